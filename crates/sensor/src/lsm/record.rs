//! What the deciding programs tell of a refusal. The layout is `struct refusal` of `bpf/decide.h`.

/// How the kernel names a file that is protected: inode, device, generation.
pub(super) type Place = [u8; 16];

/// Name and text of a refusal.
const NAME_BYTES: usize = 16;
const TEXT_BYTES: usize = 256;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    Exec,
    Write,
    Attributes,
    Remove,
    Rename,
    Make,
    Link,
    Mount,
    Signal,
    Trace,
    Limit,
    Bpf,
}

impl Refused {
    /// In the order of `enum refused` of the programs, from 1.
    const ALL: [Self; 12] = [
        Self::Exec,
        Self::Write,
        Self::Attributes,
        Self::Remove,
        Self::Rename,
        Self::Make,
        Self::Link,
        Self::Mount,
        Self::Signal,
        Self::Trace,
        Self::Limit,
        Self::Bpf,
    ];

    fn of(number: u32) -> Option<Self> {
        Self::ALL.get((number as usize).checked_sub(1)?).copied()
    }
}

/// One refusal as the programs told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Nanoseconds after boot.
    pub at_ns: u64,
    /// The protected place that decided.
    pub place: [u8; 16],
    pub what: Refused,
    pub pid: u32,
    pub uid: u32,
    /// Of the process, or the number of the BPF object, that it was about.
    pub target: u32,
    pub signal: u32,
    /// Short name of who was refused.
    pub name: String,
    /// The last component of the path; of a program, the path as it was given.
    pub text: String,
}

/// `None` for a record of another shape.
pub fn parse(bytes: &[u8]) -> Option<Raw> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let name = 48..48 + NAME_BYTES;
    let text = name.end..name.end + TEXT_BYTES;
    Some(Raw {
        at_ns: u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?),
        place: bytes.get(8..24)?.try_into().ok()?,
        what: Refused::of(word(24)?)?,
        pid: word(28)?,
        uid: word(32)?,
        target: word(36)?,
        signal: word(40)?,
        name: string(bytes.get(name)?),
        text: string(bytes.get(text)?),
    })
}

fn string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_and_others_are_left_out() {
        let mut bytes = include_bytes!("fixtures/signal.bin").to_vec();
        let raw = parse(&bytes).unwrap();
        let text = "a\u{fffd}b";
        assert_eq!((raw.at_ns, raw.what, raw.pid, raw.uid), (7, Refused::Signal, 100, 1000));
        assert_eq!((raw.target, raw.signal), (200, 15));
        assert_eq!((raw.name.as_str(), raw.text.as_str()), ("kill", text));
        assert_eq!(raw.place[..8], 41u64.to_ne_bytes());
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), None);
        }
        bytes[24] = 13;
        assert_eq!(parse(&bytes), None);
    }
}
