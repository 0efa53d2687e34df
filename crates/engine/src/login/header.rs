//! The head of a syslog line: time, host, program and process.

use model::time::Timestamp;

/// What the reader of a log knows about time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the line was read: settles the year of heads that have none.
    pub now: Timestamp,
    /// Of the host's time zone, for heads without one.
    pub utc_offset_s: i32,
}

/// A syslog line taken apart. The time is read on demand: most lines are not of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    stamp: Stamp<'t>,
    /// `sshd`, without the process.
    pub tag: &'t str,
    pub pid: Option<u32>,
    pub body: &'t str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp<'t> {
    /// `Mar 10 12:00:00`
    Short(&'t str),
    /// `2026-03-10T12:00:00.123456+01:00`
    Iso(&'t str),
}

/// RFC 3164 as syslog daemons write it, and the RFC 3339 form of newer rsyslog.
/// `None` for anything else.
pub fn parse(line: &str) -> Option<Line<'_>> {
    let first = *line.as_bytes().first()?;
    let (stamp, rest) = if first.is_ascii_digit() {
        let (stamp, rest) = line.split_once(' ')?;
        (Stamp::Iso(stamp), rest)
    } else if first == b'<' {
        let (_, rest) = line.split_once('>')?;
        return if rest.starts_with('<') { None } else { parse(rest) };
    } else {
        let (stamp, rest) = line.split_at_checked(15)?;
        (Stamp::Short(stamp), rest.strip_prefix(' ')?)
    };
    let (_host, rest) = rest.split_once(' ')?;
    let end = rest.bytes().position(|it| matches!(it, b'[' | b':' | b' '))?;
    let (tag, rest) = rest.split_at_checked(end)?;
    let (pid, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (pid, rest) = inner.split_once(']')?;
            (pid.parse().ok(), rest)
        }
        None => (None, rest),
    };
    let body = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(':'))?;
    Some(Line { stamp, tag, pid, body })
}

impl Line<'_> {
    /// `None` if the head is no real time.
    pub fn at(&self, clock: Clock) -> Option<Timestamp> {
        match self.stamp {
            Stamp::Short(text) => short_time(text, clock),
            Stamp::Iso(text) => iso_time(text, clock),
        }
    }
}

/// `Mar 10 12:00:00` in the host's time. The year is the latest that does not put the line
/// more than a day after `now`.
pub fn short_time(text: &str, clock: Clock) -> Option<Timestamp> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    const DAY_US: i64 = 86_400_000_000;
    let bytes = text.as_bytes();
    let month = MONTHS.chunks(3).position(|it| Some(it) == bytes.get(..3))? as u32 + 1;
    let day = number(bytes.get(4..6)?)?;
    let time = time_of_day(bytes.get(7..15)?)?;
    let offset = i64::from(clock.utc_offset_s);
    let this_year = civil_from_days((clock.now.as_secs() + offset).div_euclid(86_400)).0;
    // Eight years back there is always a 29 February.
    (0..=8).find_map(|back| {
        let days = days_from_civil(this_year + 1 - back, month, day)?;
        let at = Timestamp::from_secs(days * 86_400 + time - offset);
        (at.0 <= clock.now.0.saturating_add(DAY_US)).then_some(at)
    })
}

/// `2026-03-10T12:00:00`, a space instead of the T, a fraction, `Z` or an offset; without
/// one it is the host's time.
pub fn iso_time(text: &str, clock: Clock) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let year = i64::from(number(bytes.get(..4)?)?);
    let (month, day) = (number(bytes.get(5..7)?)?, number(bytes.get(8..10)?)?);
    let separators = [bytes.get(4)?, bytes.get(7)?, bytes.get(10)?];
    if !matches!(separators, [b'-', b'-', b'T' | b' ']) {
        return None;
    }
    let mut secs = days_from_civil(year, month, day)? * 86_400 + time_of_day(bytes.get(11..19)?)?;
    let mut rest = bytes.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
        let digits = fraction.iter().take_while(|it| it.is_ascii_digit()).count();
        let mut unit = 100_000;
        for digit in fraction.iter().take(digits) {
            micros += i64::from(digit - b'0') * unit;
            unit /= 10;
        }
        rest = fraction.get(digits..)?;
    }
    secs -= match rest {
        [] => i64::from(clock.utc_offset_s),
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let hours = i64::from(number(rest.get(..2)?)?);
            let minutes = rest.get(2..)?;
            let minutes = match minutes.strip_prefix(b":").unwrap_or(minutes) {
                [] => 0,
                two => i64::from(number(two)?),
            };
            let span = hours * 3600 + minutes * 60;
            if *sign == b'+' { span } else { -span }
        }
        _ => return None,
    };
    Some(Timestamp(secs * 1_000_000 + micros))
}

/// `12:00:00` in seconds; 60 is a leap second.
fn time_of_day(text: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = text else { return None };
    let (hours, minutes, seconds) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let sound = hours < 24 && minutes < 60 && seconds <= 60;
    sound.then(|| i64::from(hours * 3600 + minutes * 60 + seconds))
}

/// Digits, with leading spaces as `Mar  1` has them.
fn number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii_start();
    let digits = !text.is_empty() && text.len() <= 6 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |sum, it| sum * 10 + u32::from(it - b'0')))
}

/// Days from 1970-01-01, proleptic Gregorian; `None` for a day that does not exist.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    // Years run from March, so that the leap day is the last day of a year.
    let from_march = if month > 2 { year } else { year - 1 };
    let (era, in_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let shifted = i64::from((month + 9) % 12);
    let in_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468)
}

/// The reverse of [`days_from_civil`]: year, month, day.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_in_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_in_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}
