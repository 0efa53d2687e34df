use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::identity::{Credentials, Der};

#[test]
fn the_unit_is_filled_in_and_limited() {
    let text = unit(&Places::under(Path::new("/")));
    assert!(!text.contains('@'), "{text}");
    for line in [
        "ExecStart=/usr/local/bin/garrison agent run --state /var/lib/garrison/agent",
        "WatchdogSec=60",
        "MemoryMax=150M",
        "NoNewPrivileges=yes",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn the_program_is_replaced_in_one_step_and_left_alone_when_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("new");
    let to = dir.path().join("deep/bin/garrison");
    fs::write(&from, "program").unwrap();
    place_program(&from, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"program");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);
    let inode = fs::metadata(&to).unwrap().ino();
    place_program(&to, &to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().ino(), inode);
    assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1, "nothing left behind");
}

#[test]
fn a_locked_program_is_let_go_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::under(dir.path());
    let from = dir.path().join("new");
    fs::write(&from, "new").unwrap();
    fs::create_dir_all(places.program.parent().unwrap()).unwrap();
    fs::write(&places.program, "old").unwrap();
    if let Err(error) = immutable::lock(&places.program) {
        return println!("skipped: immutable files: {error}");
    }
    let refused = place_program(&from, &places.program);
    release(&places).unwrap();
    assert!(refused.is_err(), "nobody replaces it while it is locked");
    place_program(&from, &places.program).unwrap();
    assert_eq!(fs::read(&places.program).unwrap(), b"new");
    assert!(release(&places).is_ok(), "neither flag nor unit");
}

#[test]
fn an_identity_is_kept_only_for_its_own_server_and_while_it_lasts() {
    let now = Timestamp::from_secs(1000);
    let credentials = |not_after| Credentials {
        key: Der(vec![]),
        chain: vec![],
        issued_at: Timestamp::from_secs(0),
        not_after: Timestamp::from_secs(not_after),
    };
    let identity = |not_after| Identity {
        host: "host_1".to_owned(),
        servers: vec!["a:1".to_owned()],
        ca: Der(vec![1, 2, 3]),
        current: credentials(not_after),
        next: None,
    };
    let token = |ca_pin| EnrolToken { secret: [0; 16], ca_pin, endpoints: vec!["a:1".to_owned()] };
    let own = token(connect::digest(&vec![1, 2, 3].into()));
    let other = token([0; 32]);
    let renewed = Identity { next: Some(credentials(2000)), ..identity(500) };
    for (what, found, token, kept) in [
        ("valid", identity(2000), Some(&own), true),
        ("valid, repaired without a token", identity(2000), None, true),
        ("expired", identity(500), Some(&own), false),
        ("expired, but renewed", renewed, Some(&own), true),
        ("of another server", identity(2000), Some(&other), false),
    ] {
        assert_eq!(usable(Ok(found), token, now).is_some(), kept, "{what}");
    }
    let absent = Err(IdentityError::Absent { path: PathBuf::new() });
    assert!(usable(absent, Some(&own), now).is_none());
}

#[test]
fn nobody_to_stop_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(supervise::stop(dir.path()).is_ok());
    assert!(supervise::stop(&dir.path().join("absent")).is_ok());
}

#[tokio::test(flavor = "current_thread")]
async fn an_agent_without_a_sign_of_life_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join(supervise::ALIVE_FILE);
    let span = std::time::Duration::from_millis(400);
    let hangs = || supervise::hangs(&alive, span);
    let signs = async {
        loop {
            fs::write(&alive, "").unwrap();
            tokio::time::sleep(span / 8).await;
        }
    };
    tokio::select! {
        () = hangs() => panic!("it gave signs"),
        () = signs => {}
        () = tokio::time::sleep(span * 4) => {}
    }
    let silent = tokio::time::timeout(span * 20, hangs()).await;
    assert!(silent.is_ok(), "the signs stayed out");
    // On a clock that is set an hour back and forth, signs are signs.
    let hour = std::time::Duration::from_hours(1);
    let signs = async {
        let mut clock = fs::metadata(dir.path()).unwrap().modified().unwrap();
        for count in 1.. {
            clock = if count % 2 == 0 { clock + hour * count } else { clock - hour * count };
            fs::File::create(&alive).unwrap().set_modified(clock).unwrap();
            tokio::time::sleep(span / 8).await;
        }
    };
    tokio::select! {
        () = hangs() => panic!("it gave signs"),
        () = signs => {}
        () = tokio::time::sleep(span * 4) => {}
    }
}

#[test]
fn isolated_files_are_not_lost_with_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(isolated(dir.path()), 0);
    fs::create_dir(dir.path().join("vault")).unwrap();
    for name in ["key", "iso-1.json", "iso-1.sealed"] {
        fs::write(dir.path().join("vault").join(name), "").unwrap();
    }
    assert_eq!(isolated(dir.path()), 1);
    if rustix::process::geteuid().is_root() {
        let places = Places { state: dir.path().to_owned(), ..Places::under(dir.path()) };
        assert!(matches!(uninstall(&places, None, false), Err(InstallError::Isolated(1))));
        assert!(dir.path().join("vault/iso-1.sealed").exists());
    }
}
