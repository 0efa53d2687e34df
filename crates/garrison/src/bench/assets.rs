//! A full asset collection beside the same facts gathered by well-written shelling out: one
//! spawn per kind of fact, everything batched.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agent::collect;
use agent::host_root::HostRoot;
use agent::inspect::{Inspector, thread_cpu};
use anyhow::Context as _;
use model::time::Timestamp;

use super::{Bar, say};

const ROUNDS: u32 = 5;
const COLLECT_MS_MAX: f64 = 150.0;
const RATIO_MIN: f64 = 4.0;

/// What each command gathers. Together they tell less than the collectors do.
const SHELL: &[(&str, &str)] = &[
    (
        "accounts",
        "getent passwd; getent group; cat /etc/shadow | cut -d: -f1,3-8; lastlog 2>/dev/null; \
      cat /etc/sudoers /etc/sudoers.d/* 2>/dev/null; for k in /root/.ssh/authorized_keys \
      /home/*/.ssh/authorized_keys; do test -f $k && ssh-keygen -lf $k; done",
    ),
    ("ports", "ss -tulnpe"),
    (
        "processes",
        "ps -eo pid,ppid,uid,user,lstart,stat,exe,args; sha256sum $(readlink /proc/[0-9]*/exe | sort -u)",
    ),
    ("owners", "dpkg -S $(readlink /proc/[0-9]*/exe | sort -u)"),
    (
        "software",
        "dpkg-query -W -f '${Package} ${Version} ${Architecture} ${source:Package}\\n'; \
      find /usr/lib/python3* /usr/local/lib /usr/lib/node_modules -name METADATA -o -name package.json \
      -path '*node_modules*' | xargs -r grep -hE '^(Name|Version):|\"version\"'; \
      find /usr/share /opt -name '*.jar' | head -2000",
    ),
    (
        "start-up items",
        "find /etc/systemd /lib/systemd /etc/cron* /var/spool/cron /etc/init.d /etc/profile.d \
      /lib/udev/rules.d /etc/udev /etc/xdg/autostart -type f -print0 | xargs -0 sha256sum; \
      dpkg -S $(find /lib/systemd/system -type f) ; systemctl list-unit-files --no-pager",
    ),
    (
        "web and databases",
        "grep -rsE 'root|server_name|listen|DocumentRoot' /etc/nginx /etc/apache2 /etc/httpd; \
      grep -rsE 'bind|requirepass|port' /etc/redis /etc/mysql /etc/postgresql",
    ),
    ("kernel modules, containers", "lsmod; cat /proc/[0-9]*/cgroup"),
];

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    let mut inspector = Inspector::new(HostRoot::live().context("cannot read this host")?);
    let mut rows = 0;
    let mut kinds = Vec::new();
    let cold = collect_all(&mut inspector, |_, _, count| rows += count);
    let mut warm = Duration::ZERO;
    for _ in 0..ROUNDS {
        warm += collect_all(&mut inspector, |kind, cost, _| {
            match kinds.iter_mut().find(|(it, _)| *it == kind) {
                Some((_, sum)) => *sum += cost,
                None => kinds.push((kind, cost)),
            }
        });
    }
    for (kind, cost) in &kinds {
        say(&format!("  {kind:<14} {:>8.2} ms warm", millis(*cost / ROUNDS)));
    }
    say(&format!("  {:<14} {:>8.2} ms cold, {rows} rows\n", "all", millis(cold)));
    let shell = shell()?;
    let warm_ms = millis(warm / ROUNDS);
    Ok(vec![
        Bar::at_most("full collection, CPU, warm", warm_ms, COLLECT_MS_MAX, "ms"),
        Bar::at_least(
            format!("shelling out ({:.0} ms) / collection", millis(shell)),
            millis(shell) / warm_ms,
            RATIO_MIN,
            "x",
        ),
    ])
}

/// CPU time of all collectors; `each` gets the kind, its share and its rows.
fn collect_all(
    inspector: &mut Inspector,
    mut each: impl FnMut(&'static str, Duration, usize),
) -> Duration {
    let began = thread_cpu();
    for collector in collect::ALL {
        let before = thread_cpu();
        let collected = inspector.collect(collector, Timestamp(0));
        each(collector.spec.kind, thread_cpu().saturating_sub(before), collected.rows.len());
    }
    thread_cpu().saturating_sub(began)
}

/// Mean CPU time of one round of all shell commands, taken over enough rounds for the
/// kernel's 10 ms clock ticks not to matter.
fn shell() -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for (what, script) in SHELL {
        let before = children_cpu()?;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            Command::new("sh")
                .args(["-c", script])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .with_context(|| format!("cannot run the shell for {what}"))?;
        }
        let cost = children_cpu()?.saturating_sub(before) / ROUNDS;
        total += cost;
        let wall = began.elapsed() / ROUNDS;
        say(&format!(
            "  {what:<28} {:>8.2} ms by shell ({:.0} ms wall)",
            millis(cost),
            millis(wall)
        ));
    }
    say("");
    Ok(total)
}

/// CPU time of all children waited for so far.
fn children_cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit_once(')').context("/proc/self/stat has no name")?.1;
    let ticks: u64 =
        fields.split_whitespace().skip(13).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1)))
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
