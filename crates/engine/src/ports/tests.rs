use super::*;

fn rules() -> PortRules {
    PortRules::builtin().expect("the built-in table loads")
}

const FACTS: PortFacts<'static> = PortFacts {
    protocol: Protocol::Tcp,
    port: 0,
    scope: Scope::Exposed,
    process: None,
    executable: None,
    package: Some("pkg"),
    unpackaged: Some(false),
    deleted_executable: false,
    authentication: None,
};

#[track_caller]
fn check(facts: PortFacts<'_>, level: Level, service: Option<&str>, reason: &str) {
    let got = assess(&rules(), &facts);
    assert_eq!((got.level, got.service.as_deref()), (level, service), "{got:?}");
    assert!(got.reason.en.contains(reason), "{:?} does not say {reason:?}", got.reason.en);
    assert!(
        !got.reason.zh.is_empty() && !got.reason.zh.contains('{') && !got.reason.en.contains('{')
    );
}

#[test]
fn the_built_in_table_is_whole() {
    let rules = rules();
    assert!(rules.len() >= 150, "{} services", rules.len());
    for (name, danger) in &rules.dangers {
        assert!(!danger.reason.en.is_empty() && !danger.reason.zh.is_empty(), "{name}");
        assert!(danger.levels.loopback <= danger.levels.private, "{name}");
        assert!(danger.levels.private <= danger.levels.exposed, "{name}");
    }
    for service in &rules.services {
        assert!(service.tcp.iter().chain(&service.udp).all(|it| *it != 0), "{}", service.name);
    }
}

#[test]
fn scope_and_authentication_decide_before_the_number() {
    let redis = PortFacts { port: 6379, process: Some("redis-server"), ..FACTS };
    check(redis, Level::Dangerous, Some("Redis"), "unless authentication");
    check(PortFacts { scope: Scope::Private, ..redis }, Level::Attention, Some("Redis"), "unless");
    check(
        PortFacts { scope: Scope::Loopback, ..redis },
        Level::Safe,
        Some("Redis"),
        "this machine",
    );
    let on = PortFacts { authentication: Some(Authentication::Required), ..redis };
    check(on, Level::Attention, Some("Redis"), "asks for authentication");
    let off = PortFacts { authentication: Some(Authentication::Absent), ..redis };
    check(off, Level::Dangerous, Some("Redis"), "without authentication");
    check(
        PortFacts { scope: Scope::Private, ..off },
        Level::Dangerous,
        Some("Redis"),
        "without authentication",
    );
    let trust = PortFacts {
        port: 5432,
        process: Some("postgres"),
        authentication: Some(Authentication::Absent),
        ..FACTS
    };
    check(trust, Level::Dangerous, Some("PostgreSQL"), "without authentication");
    let telnet = PortFacts {
        port: 23,
        process: Some("in.telnetd"),
        authentication: Some(Authentication::Required),
        ..FACTS
    };
    check(telnet, Level::Dangerous, Some("Telnet"), "clear text");
}

#[test]
fn a_known_program_decides_before_the_number() {
    let moved = PortFacts { port: 7777, process: Some("redis-server"), ..FACTS };
    check(moved, Level::Dangerous, Some("Redis"), "Redis");
    let ssh = PortFacts { port: 6379, process: Some("sshd"), ..FACTS };
    check(ssh, Level::Attention, Some("SSH"), "SSH");
    let other = PortFacts { port: 6379, process: Some("my-app"), ..FACTS };
    check(other, Level::Attention, None, "my-app");
    let forwarded = PortFacts { port: 6379, process: Some("docker-proxy"), ..FACTS };
    check(forwarded, Level::Dangerous, Some("Redis"), "Redis");
    check(PortFacts { port: 6379, ..FACTS }, Level::Dangerous, Some("Redis"), "Redis");
    // Galera's state transfer uses the default port of a known attack tool.
    let galera = PortFacts { port: 4444, process: Some("mariadbd"), ..FACTS };
    check(galera, Level::Attention, Some("MySQL"), "MySQL");
    // The kernel cuts names at 15 bytes.
    let cut = PortFacts { port: 53, process: Some("systemd-resolve"), ..FACTS };
    check(cut, Level::Safe, Some("DNS"), "outside");
    let udp = PortFacts { protocol: Protocol::Udp, port: 53, process: Some("named"), ..FACTS };
    check(udp, Level::Attention, Some("DNS"), "forged");
    let tls = PortFacts { port: 993, process: Some("dovecot"), ..FACTS };
    check(tls, Level::Safe, Some("IMAP over TLS"), "outside");
}

#[test]
fn the_program_itself_can_make_a_port_dangerous() {
    let web = PortFacts { port: 80, process: Some("nginx"), ..FACTS };
    check(web, Level::Safe, Some("HTTP"), "outside");
    let deleted = PortFacts { deleted_executable: true, package: None, ..web };
    check(deleted, Level::Dangerous, Some("HTTP"), "deleted from disk");
    check(PortFacts { deleted_executable: true, ..web }, Level::Attention, Some("HTTP"), "update");
    let unpackaged = PortFacts { unpackaged: Some(true), package: None, ..web };
    check(unpackaged, Level::Attention, Some("HTTP"), "no installed package");
    let temporary = PortFacts { executable: Some("/dev/shm/x"), ..unpackaged };
    check(temporary, Level::Dangerous, Some("HTTP"), "temporary");
    let local = PortFacts { scope: Scope::Loopback, port: 45000, process: Some("x"), ..temporary };
    check(local, Level::Attention, None, "temporary");
    check(
        PortFacts { executable: None, ..local },
        Level::Safe,
        None,
        "only programs on this machine",
    );
}

#[test]
fn what_is_not_known_says_so() {
    let odd = PortFacts { port: 45123, process: Some("odd"), ..FACTS };
    check(odd, Level::Unknown, None, "nothing is known about port 45123/tcp");
    check(PortFacts { process: None, ..odd }, Level::Unknown, None, "an unknown program");
}

#[test]
fn a_bad_table_says_where_and_why() {
    let error = |text: &str| PortRules::parse("my.yml", text).expect_err("must not load");
    let typo =
        BUILTIN.replacen("danger: remote_admin, tcp: [22]", "danger: remote_admim, tcp: [22]", 1);
    let line = typo.lines().position(|it| it.contains("remote_admim")).unwrap() as u64 + 1;
    assert_eq!(
        error(&typo).to_string(),
        format!("my.yml:{line}: no danger is called `remote_admim`")
    );

    let big = BUILTIN.replacen("tcp: [22]", "tcp: [220000]", 1);
    let got = error(&big);
    assert_eq!((got.file.as_str(), got.line), ("my.yml", line), "{got}");

    let level = BUILTIN.replacen("loopback: safe", "loopback: sure", 1);
    assert!(error(&level).line > 1, "{}", error(&level));
    assert!(error("services: [").reason.len() > 3);
}
