use super::*;
use proptest::prelude::*;

fn make(kind: i16, line: &str, user: &str, host: &str, secs: u32, address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &kind.to_le_bytes());
    put(4, &77_i32.to_le_bytes());
    put(8, line.as_bytes());
    put(44, user.as_bytes());
    put(76, host.as_bytes());
    put(340, &secs.to_le_bytes());
    put(348, address);
    bytes
}

#[test]
fn records_of_both_books() {
    let mut bytes = make(7, "pts/0", "alice", "192.0.2.1", 1_773_144_000, &[192, 0, 2, 1]);
    bytes.extend(make(8, "pts/0", "", "", 1_773_144_001, &[]));
    bytes.extend(make(2, "~", "reboot", "6.1.0", 1_773_144_002, &[]));
    bytes.extend(make(7, "tty1", "root", "", 1_773_144_003, &[]));
    bytes.extend(make(99, "", "", "", 0, &[]));
    bytes.extend([7; 100]);
    let (attempts, skipped) = parse(&bytes, Book::Logins);
    assert_eq!(skipped, 1);
    let shown: Vec<_> = attempts
        .iter()
        .map(|it| (it.user.as_str(), it.origin.to_string(), it.service, it.outcome))
        .collect();
    assert_eq!(
        shown,
        [
            ("alice", "192.0.2.1".to_owned(), Service::Sshd, Outcome::Success),
            ("root", "local".to_owned(), Service::Login, Outcome::Success)
        ]
    );
    let six: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let bytes = make(6, "ssh:notty", "root", "2001:db8::1", 1_773_144_000, &six.octets());
    let (attempts, _) = parse(&bytes, Book::Failures);
    assert_eq!(attempts[0].origin, Origin::Address(six.into()));
    assert_eq!(attempts[0].outcome, Outcome::Failure);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
        let (attempts, skipped) = parse(&bytes, Book::Failures);
        prop_assert!(attempts.len() as u64 + skipped <= (bytes.len() / RECORD_BYTES) as u64);
    }
}
