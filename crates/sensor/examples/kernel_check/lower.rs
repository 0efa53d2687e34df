//! What the tiers below the kernel programs tell: the audit system, the process connector, /proc.

use std::process::Stdio;
use std::time::Duration;

use model::event::{Event, FileChange, What};
use netlink_sys::{Socket, SocketAddr};
use sensor::{Config, Sensor, Tier};

use crate::{BUSYBOX, Checks, busybox, chain, does, until};

const NETLINK_AUDIT: isize = 9;
const ADD_RULE: u16 = 1011;
const DELETE_RULE: u16 = 1012;
/// Programs that are gone before anybody can look at them.
const SHORT: usize = 50;

pub(crate) fn check(checks: &mut Checks) {
    for tier in [Tier::Audit, Tier::Connector, Tier::Polling] {
        let config = Config { sweep: Duration::from_millis(20), ..Config::default() };
        let mut sensor = match Sensor::open_tier(tier, &config) {
            Ok(sensor) => sensor,
            Err(error) => {
                checks.that(&format!("{tier}: opens"), Err(chain(&error)));
                continue;
            }
        };
        // It waits for the end of its input, which is given to it once it was seen.
        let mut child = busybox(&["cat", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let is_it = |event: &Event| {
            let arguments = ["cat".to_owned(), "-".to_owned()];
            event.task.pid == pid
                && matches!(&event.what, What::Exec(exec) if exec.executable == BUSYBOX
                    && exec.arguments.ends_with(&arguments))
        };
        let told = until(&mut sensor, is_it);
        drop(child.stdin.take());
        let _ = child.wait();
        let ended =
            until(&mut sensor, |it| it.task.pid == pid && matches!(it.what, What::Exit { .. }));
        checks.that(&format!("{tier}: a program from start to end"), good(told && ended));
        let health = sensor.health();
        let names = health.missing.iter().any(|it| it.name.starts_with("network"));
        checks.that(&format!("{tier}: it says what it does not see"), good(names));
    }
    // Linux on x86-64: execve, execveat; rmdir, unlink, unlinkat.
    let rules = [rule(&[59, 322]), rule(&[84, 87, 263])];
    let unruled = Sensor::open_tier(Tier::Audit, &Config::default());
    let says = |sensor: &Sensor| sensor.health().missing.iter().any(|it| it.name.contains("short"));
    checks.that("audit: without rules it says so", good(unruled.as_ref().is_ok_and(says)));
    drop(unruled);
    for rule in &rules {
        checks.that("audit: a rule is added", send(ADD_RULE, rule));
    }
    match Sensor::open_tier(Tier::Audit, &Config::default()) {
        Ok(mut sensor) => {
            checks.that("audit: with rules it does not", good(!says(&sensor)));
            ruled(checks, &mut sensor);
        }
        Err(error) => checks.that("audit: opens with rules", Err(chain(&error))),
    }
    for rule in &rules {
        checks.that("audit: a rule is taken back", send(DELETE_RULE, rule));
    }
}

fn ruled(checks: &mut Checks, sensor: &mut Sensor) {
    let numbers: Vec<String> = (0..SHORT).map(|it| format!("short {it}")).collect();
    for number in &numbers {
        does(&["true", number, "\u{e9}"]);
    }
    let mut whole = 0;
    let told = until(sensor, |event| {
        let is_one = matches!(&event.what, What::Exec(exec) if exec.executable == BUSYBOX
            && exec.arguments.len() == 4 && exec.arguments.ends_with(&["\u{e9}".to_owned()])
            && numbers.contains(&exec.arguments[2]) && exec.cwd.is_some());
        whole += usize::from(is_one && event.task.parent_pid == std::process::id());
        whole == SHORT
    });
    let told = if told { Ok(()) } else { Err(format!("{whole} of {SHORT}")) };
    checks.that("audit: short programs are told whole, each once", told);
    let login = "echo 1000 > /proc/self/loginuid; exec /bin/busybox echo signed-in";
    does(&["sh", "-c", login]);
    let told = until(sensor, |event| {
        matches!(&event.what, What::Exec(exec) if exec.arguments.ends_with(&["signed-in".to_owned()]))
            && event.task.login_uid == Some(1000)
            && event.task.session.is_some()
    });
    checks.that("audit: log-in user and session", good(told));
    does(&["sh", "-c", "cd /tmp; echo x > gone; rm gone"]);
    let told = until(sensor, |event| {
        matches!(&event.what, What::File { change: FileChange::Removed { path }, result: Some(0) }
            if path == "/tmp/gone")
    });
    checks.that("audit: a file that a rule asks about", good(told));
    let lost = sensor.health().lost_total();
    checks.that("audit: nothing lost", if lost == 0 { Ok(()) } else { Err(format!("{lost}")) });
}

fn good(it: bool) -> Result<(), String> {
    if it { Ok(()) } else { Err("it is not so".to_owned()) }
}

/// `struct audit_rule_data`: these calls are recorded when they end, whoever makes them.
fn rule(calls: &[u32]) -> Vec<u8> {
    let mut mask = [0u32; 64];
    for call in calls {
        mask[(call / 32) as usize] |= 1 << (call % 32);
    }
    let head = [4, 2, 0];
    let rest = [0u32; 3 * 64 + 1];
    let words = head.into_iter().chain(mask).chain(rest);
    words.flat_map(u32::to_ne_bytes).collect()
}

fn send(kind: u16, rule: &[u8]) -> Result<(), String> {
    const REQUEST_AND_ANSWER: u16 = 5;
    let mut message = Vec::new();
    message.extend((16 + rule.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_AND_ANSWER.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(rule);
    let mut socket = Socket::new(NETLINK_AUDIT).map_err(|it| it.to_string())?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(|it| it.to_string())?;
    let kernel = SocketAddr::new(0, 0);
    socket.send_to(&message, &kernel, 0).map_err(|it| it.to_string())?;
    let mut answer = Vec::with_capacity(4096);
    socket.recv(&mut answer, 0).map_err(|it| it.to_string())?;
    match answer.get(16..20) {
        Some([0, 0, 0, 0]) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
