use super::*;

fn question(name: &[u8]) -> Vec<u8> {
    let mut message = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    message.extend(name);
    message.extend(b"\x00\x10\x00\x01");
    message
}

#[test]
fn questions_are_read_and_nothing_else() {
    let long = [vec![63; 64], vec![63; 64], vec![63; 64], vec![63; 64], vec![0]].concat();
    let cases: [(&[u8], Option<&str>); 7] = [
        (b"\x03www\x07eXample\x03org\x00", Some("www.example.org")),
        (b"\x00", Some(".")),
        (b"\x04a\xff\x00b\x00", Some("a??b")),
        (b"\xc0\x0c", None),
        (b"\x40", None),
        (&long, None),
        (b"\x03ww", None),
    ];
    for (name, expected) in cases {
        let found = parse_question(&question(name)).map(|it| it.0);
        assert_eq!(found.as_deref(), expected, "{name:?}");
    }
    let mut answer = question(b"\x01a\x00");
    assert_eq!(parse_question(&answer), Some(("a".to_owned(), 16)));
    answer[2] |= 0x80;
    assert_eq!(parse_question(&answer), None);
    answer[2] = 0;
    answer[5] = 0;
    assert_eq!(parse_question(&answer), None);
}

#[test]
fn over_tcp_the_length_may_come_first() {
    let message = question(b"\x01a\x00");
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend(&message);
    assert_eq!(parse_tcp(&framed), Some(("a".to_owned(), 16)));
    assert_eq!(parse_tcp(&message), Some(("a".to_owned(), 16)));
    assert_eq!(parse_tcp(b"\0"), None);
}
