//! Log-in attacks in a made-up log: how many are found, and at what cost.

use agent::watch::bench;
use anyhow::Context as _;

use super::{Bar, say};

/// Lines per CPU second, as a multiple of the peer's.
const RATIO_MIN: f64 = 20.0;

pub(super) fn run(lines: u64, seed: u64) -> anyhow::Result<Vec<Bar>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the log")?;
    let report = bench::run(folder.path(), lines, seed)?;
    say(&format!("  {lines} lines, {:.0} a CPU second", report.lines_per_cpu_s));
    let mut bars = vec![
        Bar::at_least(
            format!("attackers found of {}", report.attackers),
            f64::from(report.found),
            f64::from(report.attackers),
            "",
        ),
        Bar::at_most("alarms an attacker", f64::from(report.alarms_per_attacker_max), 1.0, ""),
        Bar::at_most("false attackers", f64::from(report.false_attackers), 0.0, ""),
    ];
    match (report.fail2ban, report.ratio()) {
        (Some(peer), Some(ratio)) => bars.push(Bar::at_least(
            format!("lines a CPU second / fail2ban-regex ({:.0})", peer.lines_per_cpu_s),
            ratio,
            RATIO_MIN,
            "x",
        )),
        _ => say("  fail2ban-regex is not installed (package fail2ban): nothing to compare with"),
    }
    Ok(bars)
}
