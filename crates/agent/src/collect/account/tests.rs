use std::os::unix::fs::symlink;
use std::sync::Mutex;

use expect_test::expect;

use super::passwd::*;
use super::*;
use crate::packages::PackageIndex;

fn collected(root: &HostRoot) -> Collected {
    let (packages, hashes) = (PackageIndex::default(), Mutex::default());
    let context = Context::new(root, &packages, &hashes, Timestamp(0));
    super::super::run(&COLLECTOR, &context)
}

fn texts(skipped: &[Because]) -> Vec<String> {
    skipped.iter().map(ToString::to_string).collect()
}

fn fixture() -> HostRoot {
    HostRoot::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/collect/account/fixtures/host"))
        .unwrap()
}

#[test]
fn a_whole_host() {
    let collected = collected(&fixture());
    let lines: Vec<String> = collected
        .rows
        .iter()
        .map(|row| {
            let all: Vec<_> = row
                .iter()
                .filter(|(_, it)| **it != false && it.as_array().is_none_or(|it| !it.is_empty()))
                .map(|(name, it)| format!("{name}={it}").replace('"', ""))
                .collect();
            all.join(" ")
        })
        .collect();
    expect![[r#"
        name=root uid=0 group=root home=/root shell=/bin/bash shell_login=true password=set password_algorithm=yescrypt sudo=full superuser=true duplicate_uid=true comment=root in_passwd=true password_changed_at=2024-10-04T00:00:00Z password_min_days=0 password_max_days=99999
        name=daemon uid=1 group=daemon home=/usr/sbin shell=/usr/sbin/nologin password=disabled sudo=none comment=daemon in_passwd=true password_changed_at=2022-01-08T00:00:00Z password_min_days=0 password_max_days=99999
        name=ann uid=1000 group=ann groups=[sudo,users] home=/home/ann shell=/bin/bash shell_login=true password=locked password_algorithm=sha512crypt sudo=full sudo_nopasswd=true duplicate_uid=true ssh_keys=[ssh-ed25519 SHA256:4q29iFql4rdnJVwlzcLN07TSniqP2VhpKtil1ws2hzw ann@laptop] comment=Ann,,, in_passwd=true password_changed_at=2025-01-12T00:00:00Z password_min_days=1 password_max_days=90 password_inactive_days=14 expires_at=2026-01-01T00:00:00Z
        name=bob uid=1001 group=bob groups=[users] home=/home/bob shell= shell_login=true password=empty sudo=limited sudo_nopasswd=true ssh_keys=[ssh-rsa 2048 SHA256:LchdeBKZ/8xt27aGEvyJWY+zobYwG+Qcwttipmo/1Jc bob [from=\10.0.0.0/8\,environment,command=\echo \\\a b\\\\]] comment= in_passwd=true password_changed_at=2025-01-12T00:00:00Z password_min_days=0 password_max_days=99999
        name=toor uid=0 group=root home=/root shell=/bin/bash shell_login=true password=disabled sudo=none superuser=true duplicate_uid=true comment= in_passwd=true password_changed_at=2025-01-12T00:00:00Z password_min_days=0 password_max_days=99999
        name=clone uid=1000 group=ann home=/home/ann shell=/bin/gone password=set password_algorithm=md5crypt sudo=limited sudo_nopasswd=true duplicate_uid=true ssh_keys=[ssh-ed25519 SHA256:4q29iFql4rdnJVwlzcLN07TSniqP2VhpKtil1ws2hzw ann@laptop] comment= in_passwd=true password_changed_at=2025-01-12T00:00:00Z password_min_days=0 password_max_days=99999
        name=inline uid=1002 group=1002 groups=[users] home=/home/inline shell=/bin/bash shell_login=true password=set password_algorithm=md5crypt sudo=none comment= in_passwd=true
        name=ghost password=set password_algorithm=sha512crypt password_changed_at=2025-01-12T00:00:00Z password_min_days=0 password_max_days=99999"#]].assert_eq(&lines.join("\n"));
    expect![[r#"
        /etc/passwd:8: not seven fields
        /etc/passwd:9: not seven fields
        /etc/passwd:10: accounts of NIS are not followed
        /etc/passwd:11: the uid is no number
        /etc/sudoers:9: it is not understood
        lines of authorized_keys files that are no keys: 1"#]]
    .assert_eq(&texts(&collected.skipped).join("\n"));
    assert!(collected.complete);
    let everything = serde_json::to_string(&collected.rows).unwrap();
    assert!(!everything.contains("hashhash") && !everything.contains("TOKEN"));
}

#[test]
fn password_fields() {
    for (field, state, algorithm) in [
        ("", PasswordState::Empty, None),
        ("*", PasswordState::Disabled, None),
        ("!", PasswordState::Disabled, None),
        ("!!", PasswordState::Disabled, None),
        ("!*", PasswordState::Disabled, None),
        ("*LK*", PasswordState::Disabled, None),
        ("x", PasswordState::Disabled, None),
        ("!$6$a$b", PasswordState::Locked, Some("sha512crypt")),
        ("!!$y$a$b", PasswordState::Locked, Some("yescrypt")),
        ("$2b$10$abc", PasswordState::Set, Some("bcrypt")),
        ("$5$a$b", PasswordState::Set, Some("sha256crypt")),
        ("abJnggxhB/yWI", PasswordState::Set, Some("descrypt")),
        ("_J9..rasmBYk8r9AiWNc", PasswordState::Set, Some("bsdicrypt")),
    ] {
        assert_eq!(password_field(field.as_bytes()), Password { state, algorithm }, "{field}");
    }
}

#[test]
fn sudo_rules() {
    let extent = |text: &str, name: &str| {
        let mut sudoers = Sudoers::default();
        let (statements, skipped) = sudoers::parse(text.as_bytes());
        assert_eq!(skipped, [] as [usize; 0], "{text}");
        for it in statements {
            sudoers.add(it);
        }
        let groups = [if name == "ann" { "wheel" } else { "users" }];
        let asker = Asker { name, uid: 1000, gid: 100, groups: &groups, host: "web1.example.org" };
        let (extent, nopasswd) = sudoers.extent(&asker);
        format!("{extent}{}", if nopasswd { " nopasswd" } else { "" })
    };
    for (text, expected) in [
        ("", "none"),
        ("ann ALL=(ALL) ALL", "full"),
        ("ann ALL=(ALL:ALL) NOPASSWD:ALL", "full nopasswd"),
        ("ann ALL = (ALL) NOPASSWD: SETENV: ALL", "full nopasswd"),
        ("%wheel ALL=(ALL) ALL", "full"),
        ("%users ALL=(ALL) ALL", "none"),
        ("#1000 ALL=ALL", "full"),
        ("%#100 ALL=ALL", "full"),
        ("ann , bob ALL=ALL", "full"),
        ("ALL, !ann ALL=ALL", "none"),
        ("ann ALL=(postgres) ALL", "limited"),
        ("ann ALL=(ALL, !root) ALL", "limited"),
        ("ann ALL=(:adm) ALL", "limited"),
        ("ann ALL=/bin/a, NOPASSWD: /bin/b \\, x", "limited nopasswd"),
        ("ann ALL=NOPASSWD: /bin/a, PASSWD: ALL", "full nopasswd"),
        ("ann ALL=!/bin/su", "none"),
        ("ann ALL=ALL, !/bin/su", "full"),
        ("ann web1=ALL", "full"),
        ("ann web1.example.org=ALL", "full"),
        ("ann db*=ALL", "none"),
        ("ann 10.0.0.0/8=ALL", "full"),
        ("ann db1 = ALL : web1 = /bin/a", "limited"),
        ("ann db1 = NOPASSWD: ALL : web1 = NOPASSWD: /bin/a", "limited nopasswd"),
        ("User_Alias OPS = bob, ann\nOPS ALL=ALL", "full"),
        ("User_Alias A = B : B = ann\nA ALL=ALL", "full"),
        ("User_Alias A = A\nA ALL=ALL", "none"),
        ("Runas_Alias R = root\nann ALL=(R) ALL", "full"),
        ("Cmnd_Alias C = /bin/a\nann ALL=C", "limited"),
        ("Cmnd_Alias C = ALL\nann ALL=C", "full"),
        ("Defaults !authenticate\nann ALL=ALL", "full nopasswd"),
        ("Defaults:ann !authenticate\nann ALL=ALL", "full nopasswd"),
        ("Defaults:bob !authenticate\nann ALL=ALL", "full"),
        ("Defaults env_reset,!authenticate\nann ALL=PASSWD: ALL", "full"),
        ("ann ALL=\\\n  (ALL) \\\n ALL", "full"),
        ("# ann ALL=ALL\nann ALL=ALL # all", "full"),
        ("\"ann\" ALL=ALL", "full"),
        ("ann ALL=(root) CWD=/ TIMEOUT=5 NOPASSWD: ALL", "full nopasswd"),
        ("ann ALL=sha256:abcd= /bin/a", "limited"),
        ("ann ALL=/bin/a a\\:b, /bin/b \"c,d\"", "limited"),
    ] {
        assert_eq!(extent(text, "ann"), expected, "{text}");
    }
    for text in ["ann", "ann ALL", "ann ALL=", "ann ALL=(ALL ALL", "User_Alias X", "= ="] {
        assert_eq!(sudoers::parse(text.as_bytes()).1.len(), 1, "{text}");
    }
}

#[test]
fn where_sshd_looks_for_keys() {
    let files = |text: &str, user: &str| {
        let mut files = KeyFiles::default();
        let mut conditions = Vec::new();
        for it in sshd::parse_config(text.as_bytes()) {
            match it.keyword.as_str() {
                "match" => conditions = vec![Condition::parse(&it.arguments)],
                _ => files.settings.push((conditions.clone(), it.arguments)),
            }
        }
        files.of(user, 1000, "/home/ann", &["staff"]).join(" ")
    };
    for (text, expected) in [
        ("", "/home/ann/.ssh/authorized_keys /home/ann/.ssh/authorized_keys2"),
        ("AuthorizedKeysFile none", ""),
        ("authorizedkeysfile = /k/%u/%U/%%x", "/k/ann/1000/%x"),
        ("AuthorizedKeysFile %h/a \"b c\" # d", "/home/ann/a /home/ann/b c"),
        ("AuthorizedKeysFile a\nAuthorizedKeysFile b", "/home/ann/a"),
        ("AuthorizedKeysFile a\nMatch User ann\nAuthorizedKeysFile /b", "/b"),
        ("AuthorizedKeysFile a\nMatch User bob,!ann\nAuthorizedKeysFile /b", "/home/ann/a"),
        ("AuthorizedKeysFile a\nMatch Group st*\nAuthorizedKeysFile /b", "/b"),
        ("AuthorizedKeysFile /a\nMatch Address 10.*\nAuthorizedKeysFile /b", "/a /b"),
        ("Match User=ann\nAuthorizedKeysFile /a\nMatch all\nAuthorizedKeysFile /b", "/a"),
    ] {
        assert_eq!(files(text, "ann"), expected, "{text}");
    }
}

#[test]
fn keys_and_what_is_none() {
    let file = std::fs::read(fixture().path().join("srv/keys/bob")).unwrap();
    let (keys, broken) = sshd::parse_keys(&file);
    assert_eq!((keys.len(), broken), (1, 0));
    let key = keys.first().unwrap();
    assert_eq!(key.fingerprint, "SHA256:LchdeBKZ/8xt27aGEvyJWY+zobYwG+Qcwttipmo/1Jc");
    assert_eq!((key.bits, key.comment.as_str()), (Some(2048), "bob"));
    assert_eq!(key.options, ["from=\"10.0.0.0/8\"", "environment", "command=\"echo \\\"a b\\\"\""]);
    for line in [
        "x",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-rsa !!!",
        "\"open ssh-rsa AAAA",
        "ssh-ed25519 AAAAB3NzaC1yc2E=",
    ] {
        let (keys, broken) = sshd::parse_keys(line.as_bytes());
        assert_eq!((keys.len(), broken), (0, 1), "{line}");
    }
}

fn wtmp_record(kind: i16, name: &str, line: &str, host: &str, at: u32) -> Vec<u8> {
    let mut record = vec![0; logins::WTMP_RECORD_BYTES];
    let time_at = if logins::WTMP_RECORD_BYTES == 384 { 340 } else { 344 };
    for (start, bytes) in [
        (0, &kind.to_ne_bytes()[..]),
        (8, line.as_bytes()),
        (44, name.as_bytes()),
        (76, host.as_bytes()),
        (time_at, &at.to_ne_bytes()[..]),
    ] {
        record[start..start + bytes.len()].copy_from_slice(bytes);
    }
    record
}

#[test]
fn last_logins_of_three_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("var/log");
    std::fs::create_dir_all(&log).unwrap();
    let mut wtmp = Vec::new();
    wtmp.extend(wtmp_record(7, "ann", "pts/0", "10.0.0.9", 2_000));
    wtmp.extend(wtmp_record(8, "ann", "pts/0", "", 9_000));
    wtmp.extend(wtmp_record(2, "reboot", "~", "6.1", 9_000));
    wtmp.extend(wtmp_record(7, "bob", "tty1", "", 3_000));
    wtmp.extend(b"truncated");
    std::fs::write(log.join("wtmp"), wtmp).unwrap();
    let mut record = 5_000_u32.to_ne_bytes().to_vec();
    record.extend(b"pts/1");
    record.resize(36, 0);
    record.extend(b"host.example");
    record.resize(292, 0);
    let lastlog = std::fs::File::create(log.join("lastlog")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&lastlog, &record, 1000 * 292).unwrap();
    // A file with an entry of a very large uid: sparse, and never read whole.
    lastlog.set_len(4_294_967_294 * 292).unwrap();
    let database = folder.path().join("var/lib/lastlog");
    std::fs::create_dir_all(&database).unwrap();
    let path = database.join("lastlog2.db");
    let sql = "create table Lastlog2 (Name text primary key, Time integer, TTY text, RemoteHost text, Service text);
        insert into Lastlog2 values ('bob', 4000, 'pts/3', '', 'sshd');";
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let mut out = Collected::default();
    let logins = LastLogins::read(&root, &mut out);
    assert_eq!(out.skipped, [] as [&str; 0]);
    let of = |name: &str, uid| logins.of(name.as_bytes(), uid).map(|it| (it.at.as_secs(), it.from));
    assert_eq!(of("ann", 1000), Some((5_000, "host.example".to_owned())));
    assert_eq!(of("ann", 7), Some((2_000, "10.0.0.9".to_owned())));
    assert_eq!(of("bob", 1001), Some((4_000, "pts/3".to_owned())));
    assert_eq!(of("eve", u32::MAX), None);
}

/// Issue: input that is far too large, not text, or no file at all.
#[test]
fn broken_input_is_survived_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    std::fs::create_dir_all(etc.join("ssh")).unwrap();
    std::fs::create_dir_all(folder.path().join("var/log")).unwrap();
    let mut passwd = Vec::new();
    for number in 0..100_000_u32 {
        let line = format!("u{number}:x:{number}:100::/home/u{number}:/bin/sh\n");
        passwd.extend(line.into_bytes());
    }
    passwd.extend(b"caf\xe9:x:5:5::/home/caf\xe9:/bin/sh\ncaf\xe8:x:5:5::/:/bin/sh\n\0\xff\n");
    std::fs::write(etc.join("passwd"), passwd).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, etc.join("shadow"), fifo, mode, 0).unwrap();
    symlink("group", etc.join("group")).unwrap();
    symlink("/etc", etc.join("gshadow")).unwrap();
    std::fs::write(etc.join("sudoers"), b"@include /etc/sudoers\n\0\xff\n").unwrap();
    std::fs::write(etc.join("ssh/sshd_config"), "Include /etc/ssh/*\n").unwrap();
    let log = std::fs::File::create(folder.path().join("var/log/wtmp")).unwrap();
    log.set_len(10 << 30).unwrap();
    let collected = collected(&HostRoot::new(folder.path()).unwrap());
    assert_eq!(collected.rows.len(), 100_002);
    expect![[r#"
        /etc/passwd:100003: not seven fields
        /etc/shadow is a FIFO, not a file
        /etc/group leads through too many symbolic links or folders
        /etc/gshadow is a directory, not a file
        /etc/sudoers:2: it is not understood
        /etc/ssh/sshd_config: too many included files"#]]
    .assert_eq(&texts(&collected.skipped).join("\n"));
}

#[test]
fn no_passwd_is_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let it = collected(&HostRoot::new(folder.path()).unwrap());
    assert_eq!((it.rows.len(), it.complete), (0, false));
    assert_eq!(it.skipped, ["/etc/passwd does not exist"]);
}
