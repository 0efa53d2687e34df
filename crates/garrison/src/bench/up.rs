//! From nothing to a console with this host on it.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::host::{Up, http_status, resident_bytes};
use super::{Bar, say};

const MIB: f64 = 1024.0 * 1024.0;
const ANSWER_S_MAX: f64 = 3.0;
const RESIDENT_MIB_MAX: f64 = 200.0;
const SCAN_S_MAX: f64 = 60.0;
const WAIT: Duration = Duration::from_mins(3);

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    let up = Up::start()?;
    let url = up.wait_line(
        "console address",
        WAIT,
        || (),
        |it| it.trim().strip_prefix("console")?.trim().strip_prefix("http://").map(str::to_owned),
    )?;
    let address = url.parse().with_context(|| format!("`{url}` is no address"))?;
    let status = http_status(address, "/")?;
    anyhow::ensure!(status == 200, "the page answered {status}");
    let answered = up.began.elapsed();
    let mut peak = 0_u64;
    let line = up.wait_line(
        "first scan",
        WAIT,
        || peak = peak.max(resident(&up)),
        |it| it.contains("on the console after").then(|| it.trim().to_owned()),
    )?;
    let scanned = up.began.elapsed();
    // Memory settles after the scan; what counts is the most it ever was.
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        peak = peak.max(resident(&up));
        std::thread::sleep(Duration::from_millis(100));
    }
    say(&line);
    for (name, pid) in up.parts() {
        say(&format!("{name:<8} {:.1} MiB resident now", resident_bytes(pid) as f64 / MIB));
    }
    Ok(vec![
        Bar::at_most("start to the page's answer", answered.as_secs_f64(), ANSWER_S_MAX, "s"),
        Bar::at_most("server and agent, peak resident", peak as f64 / MIB, RESIDENT_MIB_MAX, "MiB"),
        Bar::at_most("first full scan on the console", scanned.as_secs_f64(), SCAN_S_MAX, "s"),
    ])
}

fn resident(up: &Up) -> u64 {
    up.parts().iter().map(|(_, pid)| resident_bytes(*pid)).sum()
}
