//! What the sensor's programs see.

use std::time::Instant;

use model::event::{FileChange, What};
use sensor::{Config, Sensor, Tier};

use crate::{BUSYBOX, Checks, busybox, chain, until};

/// An act of a child, and what the sensor has to tell of it.
type Act = (&'static str, &'static [&'static str], fn(&What) -> bool);

const ACTS: &[Act] = &[
    ("exec with its arguments", &["echo", "one", "two words"], |what| {
        matches!(what, What::Exec(exec) if exec.executable == BUSYBOX
            && exec.arguments.ends_with(&["echo".into(), "one".into(), "two words".into()])
            && exec.file.is_some_and(|it| it.size > 0) && exec.cwd.as_deref() == Some("/"))
    }),
    ("exit with its code", &["sh", "-c", "exit 7"], |what| *what == What::Exit { status: 7 << 8 }),
    ("fork", &["sh", "-c", "/bin/busybox true; true"], |what| matches!(what, What::Fork { .. })),
    ("connect", &["nc", "-w", "1", "127.0.0.1", "9"], |what| {
        matches!(what, What::Connect { socket, result: Some(..0) }
            if socket.peer.is_some_and(|it| it.port == 9))
    }),
    ("write below /etc", &["sh", "-c", "echo x > /etc/made"], |what| {
        matches!(what, What::File { change: FileChange::OpenWrite { path, created: true, .. }, .. }
            if path == "/etc/made")
    }),
    ("rename", &["mv", "/etc/made", "/etc/moved"], |what| {
        matches!(what, What::File { change: FileChange::Renamed { from, to }, .. }
            if from == "/etc/made" && to == "/etc/moved")
    }),
    ("removal", &["rm", "/etc/moved"], |what| {
        matches!(what, What::File { change: FileChange::Removed { path }, .. }
            if path == "/etc/moved")
    }),
    ("mount", &["mount", "-t", "tmpfs", "none", "/mnt"], |what| {
        matches!(what, What::Mount { target, kind, result: Some(0), .. }
            if target == "/mnt" && kind == "tmpfs")
    }),
    (
        "name query",
        &["nslookup", "seen.example", "127.0.0.1"],
        |what| matches!(what, What::Dns { query, .. } if query.starts_with("seen.example")),
    ),
    ("change of user", &["su", "nobody", "-s", BUSYBOX, "true"], |what| {
        matches!(what, What::Credentials { before, after, .. }
            if before.uid == 0 && after.uid == 65534)
    }),
];

pub(crate) fn check(checks: &mut Checks) {
    let start = Instant::now();
    let mut sensor = match Sensor::open_tier(Tier::Ebpf, &Config::default()) {
        Ok(sensor) => sensor,
        Err(error) => return checks.that("the sensor's programs load", Err(chain(&error))),
    };
    println!("        loaded in {} ms", start.elapsed().as_millis());
    let health = sensor.health();
    let is_named = |name: &&&str| {
        let is_missing = health.missing.iter().any(|it| it.name == **name && !it.reason.is_empty());
        health.attached.iter().any(|it| it == **name) || is_missing
    };
    let silent: Vec<_> = ENTRIES.iter().filter(|it| !is_named(it)).collect();
    let named = if silent.is_empty() { Ok(()) } else { Err(format!("{silent:?}: {health:?}")) };
    checks.that("every program of the sensor is attached, or named with the reason", named);
    for missing in &health.missing {
        println!("missing {}: {}", missing.name, missing.reason);
    }
    for (name, arguments, is_it) in ACTS {
        let mut child = busybox(arguments).current_dir("/").spawn().unwrap();
        let pid = child.id();
        let mut seen = Vec::new();
        let told = until(&mut sensor, |event| {
            let is_theirs = event.task.pid == pid || event.task.parent_pid == pid;
            if is_theirs {
                seen.push(format!("{:?}", event.what));
            }
            is_theirs && is_it(&event.what)
        });
        let _ = child.wait();
        let told = if told { Ok(()) } else { Err(format!("not told, but {seen:#?}")) };
        checks.that(&format!("seen: {name}"), told);
    }
    let lost = sensor.health().lost_total();
    let lost = if lost == 0 { Ok(()) } else { Err(format!("{lost} events")) };
    checks.that("seen: nothing lost", lost);
}

/// Programs that are attached; all others are jumped to from the end of system calls.
const ENTRIES: [&str; 5] = ["on_exec", "on_fork", "on_exit", "on_call", "on_module_load"];
