//! Decides what is sent now and what is held back. Knows no clock, no store and no network.
//!
//! A real-time route sends the first finding at once and opens a window. Findings within the
//! window are counted, and when it closes they are told in one message, which opens the next
//! window. Only a finding worse than any told in the window is sent at once too, so a window has
//! at most four messages and its summary, however hard the storm.

use std::time::Duration;

use model::finding::Severity;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Body, Bundle, Reason};
use super::route::{Mode, RouteRule};
use crate::store::Notice;

/// What a route remembers between steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteState {
    /// End of the open window.
    window_until: Option<Timestamp>,
    /// The worst severity told in the open window.
    window_worst: Option<Severity>,
    /// Counted and not yet told.
    held: Bundle,
    /// Some of what is held was held by the hour.
    held_by_hour: bool,
    digest_next: Option<Timestamp>,
    /// What `digest_next` was made from.
    digest_rule: String,
    /// End of the last digest.
    digest_since: Option<Timestamp>,
}

/// Takes `fresh` findings in and gives out what is to be sent at `now`. Findings that do not fit
/// the rule are passed over.
pub fn step(
    rule: &RouteRule,
    state: &mut RouteState,
    now: Timestamp,
    fresh: &[Notice],
) -> Vec<Body> {
    let fitting = fresh.iter().filter(|it| rule.fits(it));
    match rule.mode {
        Mode::RealTime => real_time(rule, state, now, fitting),
        Mode::Digest => digest(rule, state, now, fitting),
    }
}

fn real_time<'a>(
    rule: &RouteRule,
    state: &mut RouteState,
    now: Timestamp,
    fitting: impl Iterator<Item = &'a Notice>,
) -> Vec<Body> {
    let mut out = Vec::new();
    let interval = Duration::from_secs(u64::from(rule.interval_s));
    if state.window_until.is_none_or(|it| it <= now) {
        state.window_until = None;
        state.window_worst = None;
        if !state.held.is_empty() && !rule.is_quiet(now) {
            let bundle = std::mem::take(&mut state.held);
            let reason = if state.held_by_hour { Reason::QuietHours } else { Reason::Storm };
            state.held_by_hour = false;
            state.window_until = Some(now + interval);
            state.window_worst = bundle.severities().worst();
            out.push(Body::Summary { reason, bundle });
        }
    }
    for notice in fitting {
        if rule.holds(notice.severity, now) {
            state.held.add(notice, now);
            state.held_by_hour = true;
        } else if state.window_until.is_some() && Some(notice.severity) <= state.window_worst {
            state.held.add(notice, now);
        } else {
            state.window_until = Some(state.window_until.unwrap_or(now + interval));
            state.window_worst = state.window_worst.max(Some(notice.severity));
            out.push(Body::Alert { notice: notice.clone() });
        }
    }
    out
}

fn digest<'a>(
    rule: &RouteRule,
    state: &mut RouteState,
    now: Timestamp,
    fitting: impl Iterator<Item = &'a Notice>,
) -> Vec<Body> {
    let made_from = format!("{} {}", rule.digest_at, rule.zone);
    if state.digest_rule != made_from {
        state.digest_rule = made_from;
        state.digest_next = None;
    }
    let next = *state.digest_next.get_or_insert_with(|| rule.next_digest(now));
    let since = *state.digest_since.get_or_insert(now);
    let mut out = Vec::new();
    if next <= now {
        let mut bundle = std::mem::take(&mut state.held);
        (bundle.since, bundle.until) = (since, now);
        state.digest_since = Some(now);
        state.digest_next = Some(rule.next_digest(now));
        out.push(Body::Digest { bundle });
    }
    for notice in fitting {
        state.held.add(notice, now);
    }
    out
}

#[cfg(test)]
mod tests;
