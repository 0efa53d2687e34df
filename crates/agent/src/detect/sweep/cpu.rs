//! Processes that take a core for a while.

use std::collections::HashMap;

use engine::event::Field;
use model::time::Timestamp;

use super::{Swept, state};
use crate::collect::process::parse::number;
use crate::host_root::HostRoot;

/// Share of one core that counts.
const PERCENT_MIN: u64 = 80;
/// Told after this long, and each time it lasted three times as long.
const SECONDS_MIN: u64 = 30;
/// `USER_HZ`, the unit of times in /proc.
const TICKS_PER_SECOND: u64 = 100;
const PROCESSES_MAX: usize = 32_768;
const STAT_BYTES_MAX: usize = 4096;

#[derive(Debug)]
struct Busy {
    started: u64,
    ticks: u64,
    at: Timestamp,
    /// Busy without a pause since then.
    since: Option<Timestamp>,
    tell_after_s: u64,
}

/// What each process had used at the last look.
#[derive(Debug, Default)]
pub(super) struct Load {
    seen: HashMap<u32, Busy>,
}

impl Load {
    pub(super) fn look(&mut self, root: &HostRoot, now: Timestamp) -> Vec<Swept> {
        let mut out = Vec::new();
        let pids = sensor::procfs::pids().unwrap_or_default();
        let mut alive = HashMap::with_capacity(pids.len());
        for pid in pids.into_iter().take(PROCESSES_MAX) {
            let Ok(stat) = root.read(format!("/proc/{pid}/stat"), STAT_BYTES_MAX) else { continue };
            let Some((ticks, started)) = parse(&stat) else { continue };
            let before = self.seen.remove(&pid).filter(|it| it.started == started);
            let (busy, told) = judge(before, (ticks, started), now);
            if let Some((percent, seconds)) = told {
                let link = root.read_link(format!("/proc/{pid}/exe")).ok();
                let path = link.map(|it| it.display().to_string()).unwrap_or_default();
                let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
                if !path.is_empty() {
                    let detail = format!("{path} took {percent} % of a core for {seconds} s");
                    let mut event = state("cpu_load", path, detail, now);
                    event.set(Field::CpuPercent, Some((percent as i64).into()));
                    event.set(Field::StateSeconds, Some((seconds as i64).into()));
                    out.push(Swept { event, pid: Some(pid) });
                }
            }
            alive.insert(pid, busy);
        }
        self.seen = alive;
        out
    }
}

/// What is remembered, and share and span where they are to be told.
fn judge(
    before: Option<Busy>,
    (ticks, started): (u64, u64),
    now: Timestamp,
) -> (Busy, Option<(u64, u64)>) {
    let fresh = Busy { started, ticks, at: now, since: None, tell_after_s: SECONDS_MIN };
    // A clock that was set back says nothing of the span.
    let Some(before) = before.filter(|it| it.at <= now) else { return (fresh, None) };
    let span_ms = u64::try_from(now.since(before.at).as_millis()).unwrap_or(u64::MAX).max(1);
    let used_ms = ticks.saturating_sub(before.ticks) * 1000 / TICKS_PER_SECOND;
    let percent = used_ms * 100 / span_ms;
    if percent < PERCENT_MIN {
        return (fresh, None);
    }
    let since = before.since.unwrap_or(before.at);
    let seconds = now.since(since).as_secs();
    let tells = seconds >= before.tell_after_s;
    let tell_after_s = if tells { seconds * 3 } else { before.tell_after_s };
    let busy = Busy { since: Some(since), tell_after_s, ..fresh };
    (busy, tells.then_some((percent, seconds)))
}

/// Ticks used and start of `/proc/PID/stat`: fields 14, 15 and 22 of proc_pid_stat(5).
fn parse(stat: &[u8]) -> Option<(u64, u64)> {
    let close = memchr::memrchr(b')', stat)?;
    let fields: Vec<&[u8]> = stat.get(close + 2..)?.split(|it| *it == b' ').collect();
    let field = |at: usize| number(fields.get(at - 3)?);
    Some((field(14)? + field(15)?, field(22)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_it_has_lasted() {
        let at = |seconds: i64| Timestamp::from_secs(seconds);
        let (mut busy, first) = judge(None, (0, 7), at(0));
        assert_eq!(first, None);
        let mut told;
        let mut all = Vec::new();
        for step in 1..=24_i64 {
            // 95 % of each five seconds.
            (busy, told) = judge(Some(busy), (step as u64 * 475, 7), at(step * 5));
            all.extend(told);
        }
        assert_eq!(all, [(95, 30), (95, 90)]);
        (busy, told) = judge(Some(busy), (25 * 475, 7), at(20));
        assert_eq!((told, busy.since), (None, None), "a clock that was set back");
        (busy, told) = judge(Some(busy), (25 * 475, 7), at(125));
        assert_eq!((told, busy.since), (None, None), "a pause begins anew");
    }

    #[test]
    fn own_stat_is_understood() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        assert!(parse(&stat).unwrap().1 > 0);
        assert_eq!(parse(b"1 (a) b) S 0"), None);
        assert_eq!(parse(b""), None);
    }
}
