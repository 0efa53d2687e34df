//! wtmp and btmp: log-ins and failed log-ins as the C library keeps them.
//!
//! Records have a fixed size without a header (utmp(5)): 384 bytes on x86-64 and all other
//! architectures but arm64 and riscv64, where they have 400.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt;

use engine::login::{Attempt, Origin, Outcome, Service, Sign, USER_BYTES_MAX};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host_root::{HostRoot, ReadError};

#[cfg(test)]
mod tests;

/// Size of one record on this architecture.
pub const RECORD_BYTES: usize = if cfg!(target_arch = "x86_64") { 384 } else { 400 };
/// Most records taken at a time.
pub const RECORDS_MAX: usize = 10_000;

/// Records of the past looked at when a book is seen for the first time.
const LOOK_BACK_RECORDS: u64 = 2000;
const USER_PROCESS: i16 = 7;
const LOGIN_PROCESS: i16 = 6;

model::words! {
    /// Which of the two files a record stands in.
    Book {
        Logins = "wtmp",
        Failures = "btmp",
    }
}

/// A book that is followed.
#[derive(Debug)]
pub struct Follower {
    path: &'static str,
    book: Book,
    position: Option<Position>,
}

/// How far a book was read, and of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    inode: u64,
    offset: u64,
}

impl Follower {
    /// `position` is the one kept from the last run, if there was one.
    pub fn new(book: Book, position: Option<Position>) -> Self {
        let path = match book {
            Book::Logins => "/var/log/wtmp",
            Book::Failures => "/var/log/btmp",
        };
        Self { path, book, position }
    }

    pub fn book(&self) -> Book {
        self.book
    }

    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What was added since the last time. Of a book seen for the first time the last
    /// [`LOOK_BACK_RECORDS`], and of failures none: the log has them too.
    pub fn poll(&mut self, root: &HostRoot) -> Result<(Vec<Attempt>, u64), ReadError> {
        let metadata = root.metadata(self.path)?;
        let whole = metadata.size - metadata.size % RECORD_BYTES as u64;
        let start = match self.position {
            Some(it) if it.inode == metadata.inode && it.offset <= whole => it.offset,
            Some(_) => 0,
            None if self.book == Book::Failures => whole,
            None => whole.saturating_sub(LOOK_BACK_RECORDS * RECORD_BYTES as u64),
        };
        let end = whole.min(start + (RECORDS_MAX * RECORD_BYTES) as u64);
        let mut read = (Vec::new(), 0);
        if end > start {
            let mut bytes = vec![0; (end - start) as usize];
            let file = root.open(self.path)?;
            let wrong = |source| ReadError::Io { path: self.path.into(), source };
            file.read_exact_at(&mut bytes, start).map_err(wrong)?;
            read = parse(&bytes, self.book);
        }
        self.position = Some(Position { inode: metadata.inode, offset: end });
        Ok(read)
    }
}

/// Understands whole records; gives the attempts, and how many records made no sense. A rest
/// shorter than a record is left for the next time.
pub fn parse(bytes: &[u8], book: Book) -> (Vec<Attempt>, u64) {
    let (mut attempts, mut skipped) = (Vec::new(), 0);
    for record in bytes.chunks_exact(RECORD_BYTES).take(RECORDS_MAX) {
        match self::record(record, book) {
            Ok(attempt) => attempts.extend(attempt),
            Err(NoRecord) => skipped += 1,
        }
    }
    (attempts, skipped)
}

/// Bytes that cannot have been written as a record.
struct NoRecord;

/// `None` for a record that is no log-in: a boot, a log-out.
fn record(bytes: &[u8], book: Book) -> Result<Option<Attempt>, NoRecord> {
    let kind = i16::from_le_bytes(field(bytes, 0)?);
    if !(0..=9).contains(&kind) {
        return Err(NoRecord);
    }
    let wanted = match book {
        Book::Logins => kind == USER_PROCESS,
        Book::Failures => matches!(kind, USER_PROCESS | LOGIN_PROCESS),
    };
    if !wanted {
        return Ok(None);
    }
    let pid = u32::try_from(i32::from_le_bytes(field(bytes, 4)?)).ok();
    let (line, user, host) = (text(bytes, 8, 32)?, text(bytes, 44, 32)?, text(bytes, 76, 256)?);
    // Wider fields on architectures with longer records push the address back.
    let (at, address) = if RECORD_BYTES == 384 {
        let secs = u32::from_le_bytes(field(bytes, 340)?);
        (Timestamp::from_secs(i64::from(secs)), field::<16>(bytes, 348)?)
    } else {
        (Timestamp::from_secs(i64::from_le_bytes(field(bytes, 344)?)), field::<16>(bytes, 360)?)
    };
    let remote = line.starts_with("ssh") || !host.is_empty();
    let origin = address_of(address).map_or_else(
        || match host.parse::<IpAddr>() {
            Ok(address) => Origin::Address(address.to_canonical()),
            Err(_) if host.is_empty() || host.starts_with(':') => Origin::Local,
            Err(_) => Origin::Name(host.clone()),
        },
        Origin::Address,
    );
    Ok(Some(Attempt {
        at,
        service: if remote { Service::Sshd } else { Service::Login },
        user: user.chars().take(USER_BYTES_MAX / 4).collect(),
        outcome: if book == Book::Logins { Outcome::Success } else { Outcome::Failure },
        method: None,
        key_fingerprint: None,
        port: None,
        pid,
        sign: Sign::Tried(1),
        text: format!("{book}: {user} on {line} from {origin}"),
        origin,
    }))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], NoRecord> {
    bytes.get(at..at + N).and_then(|it| it.try_into().ok()).ok_or(NoRecord)
}

/// Up to the first zero.
fn text(bytes: &[u8], at: usize, max: usize) -> Result<String, NoRecord> {
    let bytes = bytes.get(at..at + max).ok_or(NoRecord)?;
    let bytes = bytes.split(|it| *it == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Four bytes of IPv4 followed by zeros, or sixteen of IPv6, in network order.
fn address_of(bytes: [u8; 16]) -> Option<IpAddr> {
    let [a, b, c, d, rest @ ..] = bytes;
    if rest.iter().all(|it| *it == 0) {
        let address = Ipv4Addr::new(a, b, c, d);
        return (!address.is_unspecified()).then_some(IpAddr::V4(address));
    }
    Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
}
