use std::fmt::Write as _;

use super::*;
use crate::login::{Method, Origin, Outcome};
use expect_test::{Expect, expect};
use proptest::prelude::*;

const NOW: Clock = Clock { now: Timestamp(1_773_144_000_000_000), utc_offset_s: 3600 };

fn show(attempt: Option<&Attempt>) -> String {
    let Some(it) = attempt else { return "-".to_owned() };
    let mut out = format!("{} {} {} {:?} @{}", it.at, it.service, it.outcome, it.user, it.origin);
    for (name, value) in [
        ("method", it.method.map(|it| it.to_string())),
        ("key", it.key_fingerprint.clone()),
        ("port", it.port.map(|it| it.to_string())),
        ("pid", it.pid.map(|it| it.to_string())),
    ] {
        if let Some(value) = value {
            write!(out, " {name}={value}").unwrap();
        }
    }
    out + &format!(" {:?}", it.sign)
}

fn check(format: Format, lines: &str, want: Expect) {
    let mut reader = Reader::new(format);
    let mut out = String::new();
    for line in lines.trim().lines() {
        out.push_str(&show(reader.line(line.as_bytes(), NOW).as_ref()));
        out.push('\n');
    }
    want.assert_eq(&out);
}

/// What sshd says, after one and the same head.
fn sshd(messages: &str, want: Expect) {
    let lines = messages.trim().lines().map(|it| format!("Mar  9 23:00:01 web1 sshd[7]: {it}\n"));
    check(Format::Syslog, &lines.collect::<String>(), want);
}

#[test]
fn heads() {
    check(
        Format::Syslog,
        "
Mar  9 23:00:01 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
Dec 31 23:59:59 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
Feb 29 01:00:00 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
2026-03-09T23:00:01.25+01:00 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
2026-03-09T23:00:01Z web1 sshd-session[7]: Invalid user a from 192.0.2.1 port 1
<38>Mar  9 23:00:01 web1 sshd: Invalid user a from 192.0.2.1
Feb 30 01:00:00 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
Mar  9 23:00:61 web1 sshd[7]: Invalid user a from 192.0.2.1 port 1
Mar  9 23:00:01 web1 sshd[x: Invalid user a from 192.0.2.1 port 1
not a line
",
        expect![[r#"
            2026-03-09T22:00:01Z sshd invalid_user "a" @192.0.2.1 port=1 pid=7 Connection
            2025-12-31T22:59:59Z sshd invalid_user "a" @192.0.2.1 port=1 pid=7 Connection
            2024-02-29T00:00:00Z sshd invalid_user "a" @192.0.2.1 port=1 pid=7 Connection
            2026-03-09T22:00:01.25Z sshd invalid_user "a" @192.0.2.1 port=1 pid=7 Connection
            2026-03-09T23:00:01Z sshd invalid_user "a" @192.0.2.1 port=1 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "a" @192.0.2.1 Connection
            -
            -
            -
            -
        "#]],
    );
}

#[test]
fn openssh_says() {
    sshd(
        "
Failed password for root from 192.0.2.1 port 40022 ssh2
Failed password for invalid user oracle from 2001:db8::5 port 40022 ssh2
Failed password for root from fe80::1%eth0 port 40022 ssh2
Failed password for root from ::ffff:192.0.2.1 port 40022 ssh2
Failed keyboard-interactive/pam for root from 192.0.2.1 port 40022 ssh2
Failed publickey for root from 192.0.2.1 port 40022 ssh2: RSA SHA256:abc+/1
Failed none for invalid user  from 192.0.2.1 port 40022 ssh2
message repeated 3 times: [ Failed password for root from 192.0.2.1 port 40022 ssh2]
Accepted password for alice from 192.0.2.1 port 40022 ssh2
Accepted publickey for alice from 192.0.2.1 port 40022 ssh2: ED25519 SHA256:abc
Accepted publickey for alice from 192.0.2.1 port 40022 ssh2: ED25519-CERT SHA256:abc ID alice (serial 1) CA RSA SHA256:def
Invalid user oracle from 192.0.2.1 port 40022
Invalid user oracle from 192.0.2.1
error: maximum authentication attempts exceeded for invalid user x from 192.0.2.1 port 40022 ssh2 [preauth]
Connection closed by authenticating user root 192.0.2.1 port 40022 [preauth]
Connection reset by invalid user two words 192.0.2.1 port 40022 [preauth]
Disconnecting authenticating user root 192.0.2.1 port 40022: Too many authentication failures [preauth]
User root from 192.0.2.1 not allowed because not listed in AllowUsers
User root from host.example.com not allowed because account is locked
fatal: Access denied for user carol by PAM account configuration [preauth]
pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root
pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1 
pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1 user=root
PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root
pam_unix(sshd:account): account carol has expired (account expired)
Connection closed by 192.0.2.1 port 40022 [preauth]
Received disconnect from 192.0.2.1 port 40022:11: Bye Bye [preauth]
Failed password for root from UNKNOWN port 65535 ssh2
Server listening on 0.0.0.0 port 22.
pam_unix(sshd:auth): check pass; user unknown
pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)
",
        expect![[r#"
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd invalid_user "oracle" @2001:db8::5 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd failure "root" @fe80::1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 method=keyboard-interactive port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 method=publickey key=SHA256:abc+/1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "" @192.0.2.1 method=other port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 method=password port=40022 pid=7 Tried(3)
            2026-03-09T22:00:01Z sshd success "alice" @192.0.2.1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd success "alice" @192.0.2.1 method=publickey key=SHA256:abc port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd success "alice" @192.0.2.1 method=publickey key=SHA256:abc port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd invalid_user "oracle" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "oracle" @192.0.2.1 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "x" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "two words" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "root" @192.0.2.1 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "root" @host.example.com pid=7 Connection
            2026-03-09T22:00:01Z sshd disabled "carol" @unknown pid=7 Connection
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 pid=7 Pam(1)
            2026-03-09T22:00:01Z sshd invalid_user "" @192.0.2.1 pid=7 Pam(1)
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 pid=7 Pam(1)
            2026-03-09T22:00:01Z sshd failure "root" @192.0.2.1 pid=7 Pam(2)
            2026-03-09T22:00:01Z sshd disabled "carol" @unknown pid=7 Connection
            -
            -
            -
            -
            -
            -
        "#]],
    );
}

#[test]
fn user_names_cannot_forge_addresses() {
    // Everywhere the client is 192.0.2.1 and wants to be 6.6.6.6: the right address or none.
    sshd(
        "
Failed password for invalid user root from 6.6.6.6 port 22 ssh2 from 192.0.2.1 port 40022 ssh2
Failed password for invalid user x from 6.6.6.6 port 22 ssh2: RSA SHA256:abc from 192.0.2.1 port 40022 ssh2
Failed publickey for invalid user x from 6.6.6.6 port 22 ssh2 from 192.0.2.1 port 40022 ssh2: RSA SHA256:abc
Failed publickey for invalid user x from 192.0.2.1 port 40022 ssh2: RSA-CERT SHA256:abc ID y from 6.6.6.6 port 22 ssh2: RSA SHA256:d (serial 0) CA RSA SHA256:e
Failed publickey for invalid user x from 192.0.2.1 port 40022 ssh2: RSA-CERT SHA256:abc ID y from 6.6.6.6 port 22 ssh2
Invalid user x from 6.6.6.6 port 22 from 192.0.2.1 port 40022
Invalid user x from 6.6.6.6 from 192.0.2.1
Connection closed by invalid user x 6.6.6.6 port 22 [preauth] 192.0.2.1 port 40022 [preauth]
Disconnecting invalid user x 192.0.2.1 port 40022: Change of username or service not allowed: (x,ssh-connection) -> (y 6.6.6.6 port 22,ssh-connection) [preauth]
Disconnecting invalid user x 192.0.2.1 port 40022: Change of username or service not allowed: (x,ssh-connection) -> (y,ssh 6.6.6.6 port 22) [preauth]
pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=6.6.6.6 rhost=192.0.2.1  user=x rhost=6.6.6.6
pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=6.6.6.6  user=y rhost=192.0.2.1
error: maximum authentication attempts exceeded for invalid user x from 6.6.6.6 port 1 ssh2 from 192.0.2.1 port 40022 ssh2 [preauth]
",
        expect![[r#"
            2026-03-09T22:00:01Z sshd invalid_user "root from 6.6.6.6 port 22 ssh2" @192.0.2.1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd invalid_user "x from 6.6.6.6 port 22 ssh2: RSA SHA256:abc" @192.0.2.1 method=password port=40022 pid=7 Tried(1)
            2026-03-09T22:00:01Z sshd invalid_user "x from 6.6.6.6 port 22 ssh2" @192.0.2.1 method=publickey key=SHA256:abc port=40022 pid=7 Connection
            -
            -
            2026-03-09T22:00:01Z sshd invalid_user "x from 6.6.6.6 port 22" @192.0.2.1 port=40022 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "x from 6.6.6.6" @192.0.2.1 pid=7 Connection
            2026-03-09T22:00:01Z sshd invalid_user "x 6.6.6.6 port 22 [preauth]" @192.0.2.1 port=40022 pid=7 Connection
            -
            -
            2026-03-09T22:00:01Z vsftpd invalid_user "x" @unknown Pam(1)
            2026-03-09T22:00:01Z vsftpd failure "y rhost=192.0.2.1" @unknown Pam(1)
            2026-03-09T22:00:01Z sshd invalid_user "x from 6.6.6.6 port 1 ssh2" @192.0.2.1 port=40022 pid=7 Connection
        "#]],
    );
}

#[test]
fn other_services_say() {
    check(
        Format::Syslog,
        "
Mar  9 23:00:01 web1 su[9]: pam_unix(su:auth): authentication failure; logname=eve uid=1001 euid=0 tty=/dev/pts/0 ruser=eve rhost=  user=root
Mar  9 23:00:01 web1 su[9]: pam_unix(su-l:session): session opened for user root(uid=0) by eve(uid=1001)
Mar  9 23:00:01 web1 su[9]: pam_unix(su:session): session opened for user postgres(uid=114) by (uid=0)
Mar  9 23:00:01 web1 sudo: pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob
Mar  9 23:00:01 web1 login[9]: pam_unix(login:auth): authentication failure; logname=LOGIN uid=0 euid=0 tty=/dev/tty1 ruser= rhost=  user=root
Mar  9 23:00:01 web1 login[9]: pam_unix(login:session): session opened for user root(uid=0) by LOGIN(uid=0)
Mar  9 23:00:01 web1 vsftpd[9]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=::ffff:192.0.2.1  user=bob
Mar  9 23:00:01 web1 auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=bob rhost=192.0.2.1  user=bob
Mar  9 23:00:01 web1 dropbear[9]: Bad password attempt for 'root' from 192.0.2.1:40022
Mar  9 23:00:01 web1 dropbear[9]: Login attempt for nonexistent user from 192.0.2.1:40022
Mar  9 23:00:01 web1 dropbear[9]: Pubkey auth succeeded for 'root' with key sha1!! 00:11 from 192.0.2.1:40022
Mar  9 23:00:01 web1 CRON[9]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
",
        expect![[r#"
            2026-03-09T22:00:01Z su failure "root" @local:eve pid=9 Pam(1)
            2026-03-09T22:00:01Z su success "root" @local:eve pid=9 Tried(1)
            -
            2026-03-09T22:00:01Z sudo failure "bob" @local:bob Pam(1)
            2026-03-09T22:00:01Z login failure "root" @local pid=9 Pam(1)
            2026-03-09T22:00:01Z login success "root" @local pid=9 Tried(1)
            2026-03-09T22:00:01Z vsftpd failure "bob" @192.0.2.1 Pam(1)
            2026-03-09T22:00:01Z pam failure "bob" @192.0.2.1 Pam(1)
            2026-03-09T22:00:01Z dropbear failure "root" @192.0.2.1 method=password port=40022 pid=9 Tried(1)
            2026-03-09T22:00:01Z dropbear invalid_user "" @192.0.2.1 method=password port=40022 pid=9 Tried(1)
            2026-03-09T22:00:01Z dropbear success "root" @192.0.2.1 method=publickey port=40022 pid=9 Tried(1)
            -
        "#]],
    );
    check(
        Format::Vsftpd,
        r#"
Mon Mar  9 23:00:01 2026 [pid 2] [bob] FAIL LOGIN: Client "::ffff:192.0.2.1"
Mon Mar  9 23:00:01 2026 [pid 2] [x] FAIL LOGIN: Client "6.6.6.6" [y] FAIL LOGIN: Client "192.0.2.1"
Fri Dec 31 23:00:01 2021 [pid 2] [bob] OK LOGIN: Client "192.0.2.1"
Mon Mar  9 23:00:01 2026 [pid 1] CONNECT: Client "192.0.2.1"
"#,
        expect![[r#"
            2026-03-09T22:00:01Z vsftpd failure "bob" @192.0.2.1 method=password Tried(1)
            2026-03-09T22:00:01Z vsftpd failure "x] FAIL LOGIN: Client \"6.6.6.6\" [y" @192.0.2.1 method=password Tried(1)
            2021-12-31T22:00:01Z vsftpd success "bob" @192.0.2.1 method=password Tried(1)
            -
        "#]],
    );
}

#[test]
fn databases_say() {
    check(
        Format::Mysql,
        "
2026-03-09T22:00:01.123456Z 42 [Note] [MY-010926] [Server] Access denied for user 'root'@'192.0.2.1' (using password: YES)
2026-03-09 23:00:01 42 [Warning] Access denied for user 'root'@'localhost' (using password: NO)
2026-03-09  9:00:01 42 [Warning] Access denied for user 'app'@'db.example.com' (using password: YES)
2026-03-09 23:00:01 42 [Warning] Access denied for user 'x'@'6.6.6.6' (using password: YES)'@'192.0.2.1' (using password: YES)
2026-03-09 23:00:01 42 [Warning] Access denied for user 'bob'@'192.0.2.1' to database 'x'
2026-03-09 23:00:01 0 [Note] InnoDB: Buffer pool(s) load completed
",
        expect![[r#"
            2026-03-09T22:00:01.123456Z mysql failure "root" @192.0.2.1 method=password Tried(1)
            2026-03-09T22:00:01Z mysql failure "root" @local method=password Tried(1)
            2026-03-09T08:00:01Z mysql failure "app" @db.example.com method=password Tried(1)
            2026-03-09T22:00:01Z mysql failure "x'@'6.6.6.6' (using password: YES)" @192.0.2.1 method=password Tried(1)
            -
            -
        "#]],
    );
    check(
        Format::Postgresql,
        r#"
2026-03-09 22:00:00.100 UTC [77] LOG:  connection received: host=192.0.2.1 port=40022
2026-03-09 22:00:00.200 UTC [77] postgres@db FATAL:  password authentication failed for user "postgres"
2026-03-09 22:00:00.200 UTC [78] postgres@db FATAL:  password authentication failed for user "postgres"
2026-03-09 22:00:00.200 UTC [79] 6.6.6.6@db FATAL:  password authentication failed for user "6.6.6.6"
2026-03-09 22:00:00.200 UTC [80] 192.0.2.1(40022) FATAL:  password authentication failed for user "app"
2026-03-09 22:00:00.100 UTC [81] LOG:  connection received: host=192.0.2.1 port=40022
2026-03-09 22:00:00.200 UTC [81] bob@db LOG:  connection authorized: user=bob database=db
2026-03-09 22:00:00.200 UTC [82] LOG:  checkpoint starting: time
	FATAL:  password authentication failed for user "continued"
"#,
        expect![[r#"
            -
            2026-03-09T22:00:00.2Z postgresql failure "postgres" @192.0.2.1 method=password pid=77 Tried(1)
            2026-03-09T22:00:00.2Z postgresql failure "postgres" @unknown method=password pid=78 Tried(1)
            2026-03-09T22:00:00.2Z postgresql failure "6.6.6.6" @unknown method=password pid=79 Tried(1)
            2026-03-09T22:00:00.2Z postgresql failure "app" @192.0.2.1 method=password pid=80 Tried(1)
            -
            2026-03-09T22:00:00.2Z postgresql success "bob" @192.0.2.1 method=password pid=81 Tried(1)
            -
            -
        "#]],
    );
}

#[test]
fn journal_messages() {
    let at = Timestamp::from_secs(5);
    let it = message(at, "sshd-session", Some(9), b"Invalid user x from 192.0.2.1 port 7").unwrap();
    assert_eq!(it.text, "sshd-session[9]: Invalid user x from 192.0.2.1 port 7");
    assert_eq!((it.pid, it.outcome), (Some(9), Outcome::InvalidUser));
    assert!(is_of_interest("sshd-session") && !is_of_interest("systemd"));
    let long = vec![b'x'; LINE_BYTES_MAX + 1];
    assert_eq!(message(at, "sshd", None, &long), None);
}

proptest! {
    #[test]
    fn nothing_panics(line in proptest::collection::vec(any::<u8>(), 0..200), format in 0..4_usize) {
        let mut reader = Reader::new(Format::ALL[format]);
        let whole = [b"Mar  9 23:00:01 h sshd[7]: Failed password for ", line.as_slice()].concat();
        for text in [&line, &whole] {
            if let Some(attempt) = reader.line(text, NOW) {
                prop_assert!(attempt.user.len() <= USER_BYTES_MAX);
            }
        }
    }

    #[test]
    fn any_user_name_leaves_the_address_alone(user in "[ -~]{0,60}", invalid: bool, key: bool) {
        let kind = if invalid { "invalid user " } else { "" };
        let (method, tail) = if key { ("publickey", ": RSA SHA256:abc") } else { ("password", "") };
        let line = format!("Mar  9 23:00:01 h sshd[7]: Failed {method} for {kind}{user} from 192.0.2.1 port 9 ssh2{tail}");
        let it = Reader::new(Format::Syslog).line(line.as_bytes(), NOW).unwrap();
        prop_assert_eq!(it.origin, Origin::Address([192, 0, 2, 1].into()));
        prop_assert_eq!(it.method, Some(if key { Method::PublicKey } else { Method::Password }));
    }
}
