//! Counts that change in a transaction, summed up in memory and written once.

use std::collections::BTreeMap;

use model::finding::{FindingKind, Severity};
use rusqlite::{Connection, params};

use super::rows::Out;
use super::state::Category;
use crate::store::risk_tenths;

/// Where a finding counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) host: i64,
    pub(super) group: i64,
    pub(super) category: Category,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// (scope, category, severity number)
    open: BTreeMap<(i64, i64, u32), i64>,
    /// (day, category) to began and ended.
    days: BTreeMap<(i64, i64), (i64, i64)>,
    /// (host, day, kind number) to began and ended.
    host_days: BTreeMap<(i64, i64, u32), (i64, i64)>,
    /// (rule, day of the first occurrence) to found and dismissed.
    rules: BTreeMap<(String, i64), (i64, i64)>,
    hosts: BTreeMap<i64, HostChange>,
    counters: BTreeMap<String, i64>,
}

#[derive(Debug, Default)]
struct HostChange {
    kinds: BTreeMap<FindingKind, i64>,
    severities: BTreeMap<Severity, i64>,
}

impl Tally {
    /// One more or one less unhandled finding.
    pub(super) fn open(&mut self, place: Place, severity: Severity, by: i64) {
        for scope in [0, place.host, -place.group] {
            *self.open.entry((scope, place.category.id, severity.number())).or_default() += by;
        }
        let host = self.hosts.entry(place.host).or_default();
        *host.kinds.entry(place.category.kind).or_default() += by;
        *host.severities.entry(severity).or_default() += by;
    }

    pub(super) fn began(&mut self, place: Place, day: i64, by: i64) {
        self.days.entry((day, place.category.id)).or_default().0 += by;
        let key = (place.host, day, place.category.kind.number());
        self.host_days.entry(key).or_default().0 += by;
    }

    /// One more or one less finding handled or gone on `day`.
    pub(super) fn ended(&mut self, place: Place, day: i64, by: i64) {
        self.days.entry((day, place.category.id)).or_default().1 += by;
        let key = (place.host, day, place.category.kind.number());
        self.host_days.entry(key).or_default().1 += by;
    }

    /// More or fewer findings of `rule` that were first seen on `day`.
    pub(super) fn rule(&mut self, rule: &str, day: i64, found: i64, dismissed: i64) {
        let entry = self.rules.entry((rule.to_owned(), day)).or_default();
        entry.0 += found;
        entry.1 += dismissed;
    }

    pub(super) fn count(&mut self, name: String, by: i64) {
        *self.counters.entry(name).or_default() += by;
    }

    pub(super) fn write(mut self, sql: &Connection) -> Out<()> {
        for (host, change) in std::mem::take(&mut self.hosts) {
            self.write_host(sql, host, &change)?;
        }
        for ((scope, category, severity), by) in self.open {
            sql.prepare_cached(
                "INSERT INTO open_count (scope, category, severity, count) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET count = count + excluded.count",
            )?
            .execute(params![scope, category, severity, by])?;
            if by < 0 {
                sql.prepare_cached(
                    "DELETE FROM open_count
                     WHERE scope = ?1 AND category = ?2 AND severity = ?3 AND count = 0",
                )?
                .execute(params![scope, category, severity])?;
            }
        }
        for ((day, category), (total, handled)) in self.days {
            sql.prepare_cached(
                "INSERT INTO stat_day (day, category, total, handled) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET total = total + excluded.total,
                     handled = handled + excluded.handled",
            )?
            .execute(params![day, category, total, handled])?;
        }
        for ((host, day, kind), (total, handled)) in self.host_days {
            sql.prepare_cached(
                "INSERT INTO stat_host (host, day, kind, total, handled)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET total = total + excluded.total,
                     handled = handled + excluded.handled",
            )?
            .execute(params![host, day, kind, total, handled])?;
        }
        for ((rule, day), (found, dismissed)) in self.rules {
            sql.prepare_cached(
                "INSERT INTO rule_day (rule, day, found, dismissed) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET found = found + excluded.found,
                     dismissed = dismissed + excluded.dismissed",
            )?
            .execute(params![rule, day, found, dismissed])?;
        }
        for (name, by) in self.counters {
            add_counter(sql, &name, by)?;
        }
        Ok(())
    }

    fn write_host(&mut self, sql: &Connection, host: i64, change: &HostChange) -> Out<()> {
        let kind = |it| change.kinds.get(&it).copied().unwrap_or(0);
        let severity = |it| change.severities.get(&it).copied().unwrap_or(0);
        let risk: i64 =
            Severity::ALL.iter().map(|it| severity(*it) * risk_tenths(*it) as i64).sum();
        let after: [i64; 4] = sql
            .prepare_cached(
                "UPDATE host SET asset_risk = asset_risk + ?2, vulnerability = vulnerability + ?3,
                     unsafe_setting = unsafe_setting + ?4, alarm = alarm + ?5, low = low + ?6,
                     medium = medium + ?7, high = high + ?8, critical = critical + ?9,
                     risk = risk + ?10
                 WHERE id = ?1 RETURNING asset_risk, vulnerability, unsafe_setting, alarm",
            )?
            .query_row(
                params![
                    host,
                    kind(FindingKind::AssetRisk),
                    kind(FindingKind::Vulnerability),
                    kind(FindingKind::UnsafeSetting),
                    kind(FindingKind::Alarm),
                    severity(Severity::Low),
                    severity(Severity::Medium),
                    severity(Severity::High),
                    severity(Severity::Critical),
                    risk
                ],
                |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
            )?;
        for (it, after) in FindingKind::ALL.iter().zip(after) {
            let crossed = i64::from(after > 0) - i64::from(after - kind(*it) > 0);
            if crossed != 0 {
                self.count(format!("open_hosts.{it}"), crossed);
            }
        }
        Ok(())
    }
}

pub(super) fn add_counter(sql: &Connection, name: &str, by: i64) -> Out<()> {
    sql.prepare_cached(
        "INSERT INTO counter (name, value) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?
    .execute(params![name, by])?;
    Ok(())
}
