//! The records of the audit system: lines of `key=value`, of which an event has several.
//!
//! ```text
//! audit(1700000000.123:456): arch=c000003e syscall=59 success=yes exit=0 … comm="ls" exe="/bin/ls"
//! ```
//!
//! A value that processes choose is quoted, or in hexadecimal digits where a quote would not do.

use model::time::Timestamp;

/// Kinds of records, of `linux/audit.h`.
pub const SYSCALL: u16 = 1300;
pub const PATH: u16 = 1302;
pub const SOCKADDR: u16 = 1306;
pub const CWD: u16 = 1307;
pub const EXECVE: u16 = 1309;
/// The last of an event.
pub const END: u16 = 1320;
pub const MODULE: u16 = 1330;

/// Of one record; the kernel itself stops at 8,970.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Fields of one record; an `EXECVE` splits what has more arguments.
const FIELDS_MAX: usize = 4096;

/// One record, understood as far as its fields go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: Timestamp,
    /// The same for all records of an event.
    pub serial: u64,
    fields: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Quoted(Vec<u8>),
    Bare(String),
}

/// `None` for what is no record.
pub fn parse(payload: &[u8]) -> Option<Record> {
    let payload = payload.get(..payload.len().min(RECORD_BYTES_MAX))?;
    let payload = payload.strip_prefix(b"audit(")?;
    let end = payload.iter().position(|it| *it == b')')?;
    let (stamp, rest) = payload.split_at_checked(end)?;
    let (time, serial) = std::str::from_utf8(stamp).ok()?.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let (seconds, millis): (i64, i64) = (seconds.parse().ok()?, millis.parse().ok()?);
    let at = seconds.checked_mul(1_000_000)?.checked_add(millis.checked_mul(1000)?)?;
    let fields = fields(rest.strip_prefix(b"):")?);
    Some(Record { at: Timestamp(at), serial: serial.parse().ok()?, fields })
}

fn fields(mut rest: &[u8]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    while all.len() < FIELDS_MAX {
        let start = rest.iter().position(|it| !matches!(it, b' ' | b'\0' | b'\n'));
        let Some((_, from)) = start.and_then(|it| rest.split_at_checked(it)) else { break };
        let end = from.iter().position(|it| matches!(it, b'=' | b' ')).unwrap_or(from.len());
        let Some((key, after)) = from.split_at_checked(end) else { break };
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after;
            continue;
        };
        let (value, next) = value(after);
        all.push((String::from_utf8_lossy(key).into_owned(), value));
        rest = next;
    }
    all
}

fn value(from: &[u8]) -> (Value, &[u8]) {
    let until = |from: &[u8], ends: &[u8]| {
        from.iter().position(|it| ends.contains(it)).unwrap_or(from.len())
    };
    if let Some(quoted) = from.strip_prefix(b"\"") {
        let (text, rest) = quoted.split_at(until(quoted, b"\""));
        return (Value::Quoted(text.to_vec()), rest.strip_prefix(b"\"").unwrap_or(rest));
    }
    let (text, rest) = from.split_at(until(from, b" \0\n"));
    (Value::Bare(String::from_utf8_lossy(text).into_owned()), rest)
}

impl Record {
    fn value(&self, key: &str) -> Option<&Value> {
        self.fields.iter().find(|(it, _)| it == key).map(|(_, value)| value)
    }

    /// Keys with what stands behind them, in their order.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        self.fields.iter().filter_map(|(key, value)| Some((key.as_str(), value.bytes()?)))
    }

    /// What a process chose; `None` where there is nothing: `(null)`, `?`.
    pub fn text(&self, key: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.text_bytes(key)?).into_owned())
    }

    /// The same, as bytes.
    pub fn text_bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.value(key)?.bytes()
    }

    /// A word the kernel chose.
    pub fn word(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Bare(text) => Some(text),
            Value::Quoted(_) => None,
        }
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.word(key)?.parse().ok()
    }

    /// Of a system call's argument `a0` to `a3`.
    pub fn hexadecimal(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.word(key)?, 16).ok()
    }

    /// A mode, as in `mode=0100755`.
    pub fn octal(&self, key: &str) -> Option<u32> {
        u32::from_str_radix(self.word(key)?, 8).ok()
    }
}

impl Value {
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Quoted(bytes) => Some(bytes.clone()),
            Self::Bare(text) => decode(text),
        }
    }
}

/// Pairs of hexadecimal digits, as the kernel writes what cannot be quoted.
fn decode(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_their_kind() {
        let line = b"audit(1700000000.123:456): arch=c000003e syscall=59 success=yes exit=-13 \
            a2=7fff01 mode=0100755 comm=\"ls -l\" exe=2F746D702F6120620A name=(null) lone key=\"x\"\0";
        let it = parse(line).unwrap();
        assert_eq!((it.at.0, it.serial), (1_700_000_000_123_000, 456));
        assert_eq!(it.number::<i32>("exit"), Some(-13));
        assert_eq!(it.word("success"), Some("yes"));
        assert_eq!(it.hexadecimal("a2"), Some(0x007f_ff01));
        assert_eq!(it.octal("mode"), Some(0o100_755));
        assert_eq!(it.text("comm").as_deref(), Some("ls -l"));
        assert_eq!(it.text("exe").as_deref(), Some("/tmp/a b\n"));
        assert_eq!(it.text("name"), None);
        assert_eq!(it.text("key").as_deref(), Some("x"));
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        let line = b"audit(1.002:3): a=\"b";
        assert_eq!(parse(line).unwrap().text("a").as_deref(), Some("b"));
        for cut in 0..b"audit(1.002:3):".len() {
            assert_eq!(parse(&line[..cut]), None, "{cut}");
        }
        for line in
            ["audit(9223372036854775807.1:1): a=1", "audit(a.b:c): ", "type=1 audit(1.1:1):"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
