//! Which asset table is read next, and when: by its cadence, or soon after the kernel told
//! of a change, but never so often that reading costs more than a fiftieth of one core.

use std::time::Duration;

use model::time::Timestamp;

/// Changes come in bursts (a package install, a log-in): wait this long for the rest.
const SETTLE: Duration = Duration::from_millis(300);
/// A table that cost `c` to read rests for `c` times this before a change makes it due again.
const REST_FACTOR: u32 = 50;
/// ... but a change is never left unread longer than this.
const REST_MAX: Duration = Duration::from_mins(1);

/// Times are of one clock; whoever sees that it was set says so.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    every: Duration,
    /// Due without being asked.
    due_at: Timestamp,
    /// A change was told and has not been read yet.
    changed_at: Option<Timestamp>,
    /// No change makes it due before this.
    rests_until: Timestamp,
}

impl Schedule {
    /// Adds a table that is due at once and then each `every`.
    pub fn add(&mut self, kind: &'static str, every: Duration, now: Timestamp) {
        self.entries.push(Entry { kind, every, due_at: now, changed_at: None, rests_until: now });
    }

    /// Sets how often a table is read when nothing tells of changes.
    pub fn set_every(&mut self, kind: &str, every: Duration) {
        if let Some(entry) = self.entry(kind) {
            entry.due_at = entry.due_at - entry.every + every;
            entry.every = every;
        }
    }

    /// Something told that the table changed.
    pub fn changed(&mut self, kind: &str, now: Timestamp) {
        if let Some(entry) = self.entry(kind) {
            entry.changed_at.get_or_insert(now);
        }
    }

    /// The table was read, from `began` to `now`, for `cost` of CPU time.
    pub fn read(&mut self, kind: &str, began: Timestamp, now: Timestamp, cost: Duration) {
        if let Some(entry) = self.entry(kind) {
            entry.due_at = now + entry.every;
            entry.rests_until = now + (cost * REST_FACTOR).min(REST_MAX);
            // A change told while reading may have come too late to be seen.
            entry.changed_at = entry.changed_at.filter(|it| *it > began);
        }
    }

    /// The clock was set: what is due in a minute stays due in a minute.
    pub fn move_clock(&mut self, by_us: i64) {
        for it in &mut self.entries {
            let all = [&mut it.due_at, &mut it.rests_until].into_iter().chain(&mut it.changed_at);
            all.for_each(|at| *at = at.moved(by_us));
        }
    }

    /// The table to read now, the longest overdue first.
    pub fn due(&self, now: Timestamp) -> Option<&'static str> {
        let first = self.entries.iter().min_by_key(|it| it.wakes_at())?;
        (first.wakes_at() <= now).then_some(first.kind)
    }

    /// Time until something is due; `None` if nothing ever is.
    pub fn sleep(&self, now: Timestamp) -> Option<Duration> {
        self.entries.iter().map(Entry::wakes_at).min().map(|it| it.since(now))
    }

    fn entry(&mut self, kind: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|it| it.kind == kind)
    }
}

impl Entry {
    fn wakes_at(&self) -> Timestamp {
        let change = self.changed_at.map(|it| (it + SETTLE).max(self.rests_until));
        change.map_or(self.due_at, |it| it.min(self.due_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: i64) -> Timestamp {
        Timestamp(ms * 1000)
    }

    fn schedule() -> Schedule {
        let mut it = Schedule::default();
        it.add("port", Duration::from_mins(1), ms(0));
        it
    }

    #[test]
    fn due_at_once_then_by_cadence() {
        let mut it = schedule();
        assert_eq!(it.due(ms(0)), Some("port"));
        it.read("port", ms(0), ms(5), Duration::from_millis(5));
        assert_eq!(it.due(ms(5)), None);
        assert_eq!(it.sleep(ms(5)), Some(Duration::from_mins(1)));
        assert_eq!(it.due(ms(60_005)), Some("port"));
    }

    #[test]
    fn a_change_is_read_soon() {
        let mut it = schedule();
        it.read("port", ms(0), ms(5), Duration::from_millis(5));
        it.changed("port", ms(1_000));
        it.changed("port", ms(1_200));
        assert_eq!(it.due(ms(1_299)), None);
        assert_eq!(it.due(ms(1_300)), Some("port"));
        it.read("port", ms(1_300), ms(1_310), Duration::from_millis(5));
        assert_eq!(it.due(ms(1_310)), None);
    }

    #[test]
    fn a_dear_table_rests() {
        let mut it = schedule();
        it.read("port", ms(0), ms(100), Duration::from_millis(100));
        it.changed("port", ms(200));
        assert_eq!(it.due(ms(5_099)), None);
        assert_eq!(it.due(ms(5_100)), Some("port"));
    }

    #[test]
    fn a_change_during_the_read_is_read_again() {
        let mut it = schedule();
        it.changed("port", ms(1));
        it.changed("port", ms(1));
        it.read("port", ms(400), ms(410), Duration::from_millis(1));
        assert_eq!(it.due(ms(1_000)), None);
        it.changed("port", ms(1_005));
        it.read("port", ms(1_000), ms(1_010), Duration::from_millis(1));
        assert_eq!(it.due(ms(1_400)), Some("port"));
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_late() {
        const HOUR_US: i64 = 3_600_000_000;
        for by_us in [-5 * HOUR_US, 5 * HOUR_US] {
            let mut it = schedule();
            it.read("port", ms(0), ms(100), Duration::from_millis(100));
            it.changed("port", ms(200));
            it.move_clock(by_us);
            assert_eq!(it.due(ms(5_099).moved(by_us)), None);
            assert_eq!(it.due(ms(5_100).moved(by_us)), Some("port"));
        }
    }

    #[test]
    fn a_new_cadence_counts_from_the_last_read() {
        let mut it = schedule();
        it.read("port", ms(0), ms(0), Duration::ZERO);
        it.set_every("port", Duration::from_secs(10));
        assert_eq!(it.sleep(ms(0)), Some(Duration::from_secs(10)));
    }
}
