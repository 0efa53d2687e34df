//! Which findings go where, and when.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan as _};
use model::because;
use model::because::Because;
use model::finding::{FindingKind, Severity};
use model::id::{ChannelId, GroupId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::Notice;

model::words! {
    /// When a route sends.
    Mode {
        /// At once; what follows within the interval is summed up.
        RealTime = "real_time",
        /// Once a day.
        Digest = "digest",
    }
}

model::words! {
    /// The languages of the product.
    Language {
        En = "en",
        Zh = "zh",
    }
}

/// What an operator sets about a route. Empty lists match everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteRule {
    /// Every message goes to each of them.
    #[schema(min_items = 1, max_items = 10)]
    pub channels: Vec<ChannelId>,
    /// For e-mail channels, in place of the channel's own recipients.
    #[schema(max_items = 50, example = json!(["security@example.org"]))]
    pub recipients: Vec<Address>,
    #[schema(max_items = 4)]
    pub kinds: Vec<FindingKind>,
    /// The least severity.
    pub severity: Severity,
    #[schema(max_items = 100, example = json!(["brute_force"]))]
    pub categories: Vec<CategoryName>,
    #[schema(max_items = 100)]
    pub groups: Vec<GroupId>,
    pub mode: Mode,
    /// Seconds after a message in which further findings are summed up.
    #[schema(minimum = 10, maximum = 86_400, example = 300)]
    pub interval_s: u32,
    /// Time of day of the digest, in `zone`.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "08:00")]
    pub digest_at: String,
    /// IANA name of the time zone of all times of this route.
    #[schema(pattern = "^[A-Za-z0-9+_/-]+$", max_length = 64, example = "Asia/Shanghai")]
    pub zone: String,
    pub quiet: Option<QuietHours>,
    pub language: Language,
}

/// Hours of the day in which findings are held back and then summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "22:00")]
    pub from: String,
    /// The first minute that is not quiet; before `from` it is that of the next day.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "07:00")]
    pub until: String,
    /// At least this severity is sent all the same.
    pub except: Option<Severity>,
}

/// An e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*$", max_length = 254)]
pub struct Address(pub String);

/// The unit of counters and filters of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[a-z0-9_]{1,64}$", max_length = 64)]
pub struct CategoryName(pub String);

/// Why a rule cannot be used, although its form is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub field: &'static str,
    pub why: Because,
}

impl RouteRule {
    /// What a schema cannot say.
    pub fn check(&self) -> Result<(), RuleError> {
        let wrong = |field, why| Err(RuleError { field, why });
        if TimeZone::get(&self.zone).is_err() {
            return wrong("rule.zone", because!("input.zone", "is no time zone known here"));
        }
        let mut channels = self.channels.clone();
        channels.sort_unstable();
        channels.dedup();
        if channels.len() != self.channels.len() {
            return wrong(
                "rule.channels",
                because!("input.channel_twice", "names a channel twice"),
            );
        }
        if self.quiet.as_ref().is_some_and(|it| it.from == it.until) {
            return wrong(
                "rule.quiet",
                because!("input.no_span", "begins and ends at the same time"),
            );
        }
        Ok(())
    }

    pub fn fits(&self, notice: &Notice) -> bool {
        notice.severity >= self.severity
            && (self.kinds.is_empty() || self.kinds.contains(&notice.kind))
            && (self.groups.is_empty() || self.groups.contains(&notice.group))
            && (self.categories.is_empty()
                || self.categories.iter().any(|it| it.0 == notice.category))
    }

    /// Whether a finding of `severity` is held back at `now` because of the hour.
    pub fn holds(&self, severity: Severity, now: Timestamp) -> bool {
        let Some(quiet) = &self.quiet else { return false };
        quiet.except.is_none_or(|it| severity < it) && self.is_quiet(now)
    }

    pub fn is_quiet(&self, now: Timestamp) -> bool {
        let Some(quiet) = &self.quiet else { return false };
        let (Some(from), Some(until)) = (minutes(&quiet.from), minutes(&quiet.until)) else {
            return false;
        };
        let local = instant(now).to_zoned_datetime(zone(&self.zone)).time();
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        if from < until {
            (from..until).contains(&minute)
        } else {
            minute >= from || minute < until
        }
    }

    /// The first time of a digest after `now`. A time that a change of the clocks leaves out is
    /// taken as it would have been.
    pub fn next_digest(&self, now: Timestamp) -> Timestamp {
        let zone = zone(&self.zone);
        let minute = minutes(&self.digest_at).unwrap_or(0);
        let time = Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0).unwrap_or_default();
        let today = instant(now).to_zoned_datetime(zone.clone()).date();
        let mut day = today;
        // Today's may be over, and none of the next two can be.
        for _ in 0..3 {
            let at = day.to_datetime(time).to_zoned_datetime(zone.clone());
            if let Ok(at) = at
                && at.timestamp().as_microsecond() > now.0
            {
                return Timestamp(at.timestamp().as_microsecond());
            }
            day = day.checked_add(1.day()).unwrap_or(day);
        }
        now + std::time::Duration::from_hours(24)
    }
}

fn instant(at: Timestamp) -> Instant {
    Instant::from_microsecond(at.0).unwrap_or_default()
}

/// The zone of that name; a rule with an unknown one is not stored.
fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// `at` as people in `zone_name` read it.
pub fn local_text(at: Timestamp, zone_name: &str) -> String {
    instant(at).to_zoned_datetime(zone(zone_name)).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Minutes since midnight of `HH:MM`.
fn minutes(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    Some(hour.parse::<i32>().ok()? * 60 + minute.parse::<i32>().ok()?)
}

#[cfg(test)]
pub(crate) fn any_rule() -> RouteRule {
    RouteRule {
        channels: vec![ChannelId(1)],
        recipients: Vec::new(),
        kinds: Vec::new(),
        severity: Severity::Low,
        categories: Vec::new(),
        groups: Vec::new(),
        mode: Mode::RealTime,
        interval_s: 300,
        digest_at: "08:00".to_owned(),
        zone: "UTC".to_owned(),
        quiet: None,
        language: Language::En,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn quiet_hours_follow_the_zone() {
        let night = RouteRule {
            zone: "Asia/Shanghai".to_owned(),
            quiet: Some(QuietHours {
                from: "22:00".to_owned(),
                until: "07:00".to_owned(),
                except: Some(Severity::Critical),
            }),
            ..any_rule()
        };
        let noon = RouteRule {
            quiet: Some(QuietHours {
                from: "12:00".to_owned(),
                until: "13:30".to_owned(),
                except: None,
            }),
            ..any_rule()
        };
        for (rule, at, quiet) in [
            (&night, "2026-11-24T13:59:59Z", false),
            (&night, "2026-11-24T14:00:00Z", true),
            (&night, "2026-11-24T20:00:00Z", true),
            (&night, "2026-11-24T22:59:59Z", true),
            (&night, "2026-11-24T23:00:00Z", false),
            (&noon, "2026-11-24T11:59:59Z", false),
            (&noon, "2026-11-24T12:00:00Z", true),
            (&noon, "2026-11-24T13:29:59Z", true),
            (&noon, "2026-11-24T13:30:00Z", false),
        ] {
            assert_eq!(rule.is_quiet(time(at)), quiet, "{at} {:?}", rule.quiet);
        }
        let at = time("2026-11-24T20:00:00Z");
        assert!(night.holds(Severity::High, at));
        assert!(!night.holds(Severity::Critical, at));
    }

    #[test]
    fn digests_follow_the_clock_on_the_wall() {
        for (zone, at, now, next) in [
            ("UTC", "08:00", "2026-11-24T07:59:59Z", "2026-11-24T08:00:00Z"),
            ("UTC", "08:00", "2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z"),
            ("Asia/Shanghai", "08:00", "2026-11-24T06:00:00Z", "2026-11-25T00:00:00Z"),
            // Clocks go from 02:00 to 03:00 and, in autumn, from 03:00 back to 02:00.
            ("Europe/Berlin", "02:30", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
            ("Europe/Berlin", "08:00", "2026-10-24T12:00:00Z", "2026-10-25T07:00:00Z"),
        ] {
            let rule = RouteRule { zone: zone.to_owned(), digest_at: at.to_owned(), ..any_rule() };
            assert_eq!(rule.next_digest(time(now)), time(next), "{zone} {at} {now}");
        }
    }

    #[test]
    fn what_a_schema_cannot_say_is_refused() {
        let bad = |change: &dyn Fn(&mut RouteRule)| {
            let mut rule = any_rule();
            change(&mut rule);
            rule.check().map_err(|it| it.field)
        };
        assert_eq!(bad(&|_| {}), Ok(()));
        assert_eq!(bad(&|it| it.zone = "Mars/Olympus".to_owned()), Err("rule.zone"));
        assert_eq!(bad(&|it| it.channels.push(ChannelId(1))), Err("rule.channels"));
        let same = || {
            Some(QuietHours { from: "08:00".to_owned(), until: "08:00".to_owned(), except: None })
        };
        assert_eq!(bad(&|it| it.quiet = same()), Err("rule.quiet"));
    }
}
