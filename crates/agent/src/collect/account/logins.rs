//! Last log-ins: `/var/log/lastlog` (by uid), `/var/log/wtmp` (by name) and lastlog2's
//! database. Layouts of bits/utmp.h and lastlog2(8).

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use model::time::Timestamp;

use crate::collect::fields::text;
use crate::collect::{Collected, unreadable};
use crate::host_root::HostRoot;

/// Most of the end of wtmp that is read: some 21,000 log-ins.
const WTMP_BYTES_MAX: u64 = 8 << 20;
/// A log-in of a user, not of the system: `USER_PROCESS`.
const USER_PROCESS: i16 = 7;
const LASTLOG_BYTES: usize = 292;

/// Length of a record and where its time is: architectures whose 32-bit programs share the
/// files keep times in 32 bits.
const COMPACT: bool = cfg!(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "s390x",
    target_arch = "powerpc64",
    target_arch = "arm"
));
pub const WTMP_RECORD_BYTES: usize = if COMPACT { 384 } else { 400 };
const WTMP_TIME_AT: usize = if COMPACT { 340 } else { 344 };

/// When and from where somebody was here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub at: Timestamp,
    /// Address or name of the host, or the terminal.
    pub from: String,
}

/// Everything known about last log-ins.
#[derive(Debug, Default)]
pub struct LastLogins {
    lastlog: Option<File>,
    by_name: HashMap<Vec<u8>, Login>,
}

impl LastLogins {
    pub fn read(root: &HostRoot, out: &mut Collected) -> Self {
        let mut logins = Self::default();
        match root.open("/var/log/lastlog") {
            Ok(file) => logins.lastlog = Some(file),
            Err(error) => out.note(&error),
        }
        match root.open_with_metadata("/var/log/wtmp") {
            Ok((file, metadata)) => logins.add_wtmp(&file, metadata.size, out),
            Err(error) => out.note(&error),
        }
        match root.open("/var/lib/lastlog/lastlog2.db") {
            Ok(file) => {
                if let Err(error) = logins.add_lastlog2(&file) {
                    out.skipped.push(unreadable(&error).at("/var/lib/lastlog/lastlog2.db"));
                }
            }
            Err(error) => out.note(&error),
        }
        logins
    }

    /// The latest log-in that any of the files tells.
    pub fn of(&self, name: &[u8], uid: u32) -> Option<Login> {
        let lastlog = self.lastlog.as_ref().and_then(|file| {
            let mut record = [0; LASTLOG_BYTES];
            // The file is sparse and ends at the largest uid that ever came.
            file.read_exact_at(&mut record, u64::from(uid) * LASTLOG_BYTES as u64).ok()?;
            lastlog_record(&record)
        });
        let named = self.by_name.get(name).cloned();
        [lastlog, named].into_iter().flatten().max_by_key(|it| it.at)
    }

    fn add(&mut self, name: Vec<u8>, login: Login) {
        let latest = self.by_name.entry(name).or_insert_with(|| login.clone());
        if latest.at < login.at {
            *latest = login;
        }
    }

    fn add_wtmp(&mut self, file: &File, size: u64, out: &mut Collected) {
        let records = size.min(WTMP_BYTES_MAX) / WTMP_RECORD_BYTES as u64;
        let length = records * WTMP_RECORD_BYTES as u64;
        let end = size - size % WTMP_RECORD_BYTES as u64;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        if let Err(error) = file.read_exact_at(&mut bytes, end - length) {
            out.skipped.push(unreadable(&error).at("/var/log/wtmp"));
            return;
        }
        for (name, login) in parse_wtmp(&bytes) {
            self.add(name, login);
        }
    }

    fn add_lastlog2(&mut self, file: &File) -> Result<(), rusqlite::Error> {
        let uri = format!("file:/proc/self/fd/{}?immutable=1&mode=ro", file.as_raw_fd());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY
            | rusqlite::OpenFlags::SQLITE_OPEN_URI
            | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = rusqlite::Connection::open_with_flags(uri, flags)?;
        let mut question = database.prepare(
            "select Name, Time, coalesce(nullif(RemoteHost, ''), TTY, '') from Lastlog2",
        )?;
        let rows = question.query_map([], |row| {
            let (name, at): (String, i64) = (row.get(0)?, row.get(1)?);
            let from: String = row.get(2)?;
            Ok((name, Login { at: Timestamp::from_secs(at), from: text(from.as_bytes()) }))
        })?;
        for row in rows {
            let (name, login) = row?;
            self.add(name.into_bytes(), login);
        }
        Ok(())
    }
}

/// `int32 time, char line[32], char host[256]`; time 0 is never.
pub fn lastlog_record(record: &[u8]) -> Option<Login> {
    let (time, rest) = record.split_first_chunk()?;
    let at = u32::from_ne_bytes(*time);
    let (line, host) = rest.split_at_checked(32)?;
    (at != 0).then(|| Login { at: Timestamp::from_secs(i64::from(at)), from: place(line, host) })
}

/// Name and log-in of each record of a user. What follows the last whole record is left out.
pub fn parse_wtmp(bytes: &[u8]) -> Vec<(Vec<u8>, Login)> {
    bytes.chunks_exact(WTMP_RECORD_BYTES).filter_map(wtmp_record).collect()
}

fn wtmp_record(record: &[u8]) -> Option<(Vec<u8>, Login)> {
    let kind = i16::from_ne_bytes(record.get(..2)?.try_into().ok()?);
    let name = until_nul(record.get(44..76)?);
    let time = record.get(WTMP_TIME_AT..)?;
    let seconds = if COMPACT {
        i64::from(u32::from_ne_bytes(*time.first_chunk()?))
    } else {
        i64::from_ne_bytes(*time.first_chunk()?)
    };
    let from = place(record.get(8..40)?, record.get(76..332)?);
    let login = Login { at: Timestamp::from_secs(seconds), from };
    (kind == USER_PROCESS && !name.is_empty() && seconds > 0).then(|| (name.to_vec(), login))
}

fn place(line: &[u8], host: &[u8]) -> String {
    let host = until_nul(host);
    text(if host.is_empty() { until_nul(line) } else { host })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|it| *it == 0).next().unwrap_or_default()
}
