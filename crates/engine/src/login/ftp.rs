//! vsftpd's own log.

use model::time::Timestamp;

use crate::login::header::{Clock, short_time};
use crate::login::{Found, Method, Origin, Outcome, Service, address};

/// `Mon Mar  9 12:00:00 2026 [pid 2] [bob] FAIL LOGIN: Client "203.0.113.9"`. Gives the
/// process too; the time is read only for lines that matter.
///
/// The name may hold brackets and quotes: it ends at the last `] … LOGIN: Client "`.
pub(crate) fn parse(line: &str, clock: Clock) -> Option<(Timestamp, Option<u32>, Found<'_>)> {
    let (head, from) = line.strip_suffix('"')?.rsplit_once(" LOGIN: Client \"")?;
    let (head, outcome) = match head.strip_suffix("] FAIL") {
        Some(head) => (head, Outcome::Failure),
        None => (head.strip_suffix("] OK")?, Outcome::Success),
    };
    let (stamp, rest) = head.split_once(" [pid ")?;
    let (pid, user) = rest.split_once("] [")?;
    let at = time(stamp, clock)?;
    let mut found = Found::new(Service::Vsftpd, outcome, user, Origin::Address(address(from)?));
    found.method = Some(Method::Password);
    Some((at, pid.trim().parse().ok(), found))
}

/// `Mon Mar  9 12:00:00 2026`, in the host's time.
fn time(stamp: &str, clock: Clock) -> Option<Timestamp> {
    let (_weekday, rest) = stamp.split_at_checked(4)?;
    let (head, year) = rest.split_at_checked(15)?;
    // The year is there: read the rest as if it were the end of that year.
    let year: i64 = year.trim().parse().ok()?;
    let end = crate::login::header::days_from_civil(year, 12, 31)?;
    let now = Timestamp::from_secs(end * 86_400 + 86_399 - i64::from(clock.utc_offset_s));
    short_time(head, Clock { now: now - std::time::Duration::from_hours(24), ..clock })
}
