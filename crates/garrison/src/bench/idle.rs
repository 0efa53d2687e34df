//! What the agent costs while nothing happens.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Bar;
use super::host::{Up, cpu, resident_bytes};

const MIB: f64 = 1024.0 * 1024.0;
const RESIDENT_MIB_MAX: f64 = 60.0;
const CORE_PERCENT_MAX: f64 = 0.5;
const WAIT: Duration = Duration::from_mins(3);
/// After the first scan, until its memory and connections have settled.
const SETTLE: Duration = Duration::from_secs(15);

pub(super) fn run(seconds: u64) -> anyhow::Result<Vec<Bar>> {
    let up = Up::start()?;
    up.wait_line(
        "first scan",
        WAIT,
        || (),
        |it| it.contains("on the console after").then_some(()),
    )?;
    std::thread::sleep(SETTLE);
    let pid = up.parts().into_iter().find(|(name, _)| name == "agent").context("no agent runs")?.1;
    let before = cpu(pid).context("the agent ended")?;
    let began = Instant::now();
    let mut peak = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        peak = peak.max(resident_bytes(pid));
        std::thread::sleep(Duration::from_secs(1));
    }
    let used = cpu(pid).context("the agent ended")?.saturating_sub(before);
    let percent = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    Ok(vec![
        Bar::at_most("agent, peak resident while idle", peak as f64 / MIB, RESIDENT_MIB_MAX, "MiB"),
        Bar::at_most(
            format!("agent, share of one core over {seconds} s"),
            percent,
            CORE_PERCENT_MAX,
            "%",
        ),
    ])
}
