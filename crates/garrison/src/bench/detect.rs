//! From what happens on the host to the alarm on the console: a whole agent and a whole server,
//! a thousand programs a second in the background, and shells on sockets acted out meanwhile.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use agent::status::Status;
use anyhow::Context as _;

use super::console::{Console, Told};
use super::host::{Up, cpu, resident_bytes};
use super::storm::{self, Starter, Storm};
use super::{Bar, say};

const RULE: &str = "GAR-RSH-001";
const P99_MS_MAX: f64 = 1000.0;
const BACKGROUND_PER_S: u32 = 1000;
const WORKERS: u32 = 2;
const WAIT: Duration = Duration::from_mins(3);
const SETTLE: Duration = Duration::from_secs(5);
/// Between two acts.
const PAUSE: Duration = Duration::from_millis(100);
/// After the last act; what has not come by then never will.
const LATE: Duration = Duration::from_secs(20);
/// The agent writes its status this often.
const STATUS: Duration = Duration::from_secs(6);
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shells on sockets that are acted out.
    #[arg(long, default_value_t = 200)]
    acts: u8,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Bar>> {
    let folder = tempfile::tempdir_in(".").context("cannot make a folder for the bench")?;
    let program = storm::program(folder.path())?;
    let up = Up::start()?;
    let console = Console::sign_in(&up)?;
    let scanned = |it: &str| it.contains("on the console after").then_some(());
    up.wait_line("first scan", WAIT, || (), scanned)?;
    let agent = up.parts().into_iter().find(|(name, _)| name == "agent").context("no agent")?.1;
    sensor_sees(&up)?;
    std::thread::sleep(SETTLE);
    let told = console.watch()?;
    let pace = Starter::Spawn { per_second: BACKGROUND_PER_S };
    let storm = Storm::start(&program, u32::MAX, WORKERS, pace)?;
    std::thread::sleep(SETTLE);
    let before = cpu(agent).context("the agent ended")?;
    let began = Instant::now();
    let mut acted = HashMap::new();
    for number in 1..=args.acts {
        let address = IpAddr::V4(Ipv4Addr::new(127, 71, 0, number));
        acted.insert(address.to_string(), act(address)?);
        std::thread::sleep(PAUSE);
    }
    let (mut spans, extra) = arrivals(&told, &acted)?;
    let used = cpu(agent).context("the agent ended")?.saturating_sub(before);
    let span = began.elapsed();
    let outcome = storm.stop()?;
    std::thread::sleep(STATUS);
    let status = Status::read(&up.agent_state()).context("the agent left no status")?;
    let lost: u64 = status.sensor.lost.iter().map(|(.., count)| count).sum();
    let execs = outcome.per_second() * span.as_secs_f64();
    say(&format!(
        "{:.0} execs/s beside; agent {:.1} us CPU per exec, {:.1} MiB resident; {extra} other alarms",
        outcome.per_second(),
        used.as_secs_f64() * 1e6 / execs,
        resident_bytes(agent) as f64 / MIB,
    ));
    spans.sort_unstable();
    let of = |share: usize| {
        let place = (spans.len() * share).div_ceil(100).saturating_sub(1);
        spans.get(place).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
    };
    say(&format!("call to console: p50 {:.0} ms, max {:.0} ms", of(50), of(100)));
    let missing = acted.len() - spans.len();
    Ok(vec![
        Bar::at_most("detect: call to alarm on the console, p99", of(99), P99_MS_MAX, "ms"),
        Bar::at_most(
            format!("detect: alarms that did not come, of {}", acted.len()),
            missing as f64,
            0.0,
            "",
        ),
        Bar::at_most("detect: events lost", lost as f64, 0.0, ""),
        Bar::at_least(
            "detect: programs started beside",
            outcome.per_second(),
            0.95 * f64::from(BACKGROUND_PER_S),
            "/s",
        ),
    ])
}

/// Until the agent says where its events come from.
fn sensor_sees(up: &Up) -> anyhow::Result<()> {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(status) = Status::read(&up.agent_state())
            && !status.sensor.tier.is_empty()
        {
            anyhow::ensure!(
                status.sensor.tier == "eBPF",
                "events come by {} here, so there is nothing to measure: {:?}",
                status.sensor.tier,
                status.sensor.missing
            );
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < end, "the agent never told of its sensor");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A shell that takes its commands from a connection to `address`, of which there are none: the
/// other end, which is ours too, hangs up. Returns when it was started.
fn act(address: IpAddr) -> anyhow::Result<Instant> {
    let listener = TcpListener::bind((address, 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    let stdin: OwnedFd = stream.try_clone()?.into();
    let stdout: OwnedFd = stream.into();
    let mut shell = Command::new("/bin/sh");
    shell.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = shell.spawn().context("cannot start /bin/sh")?;
    drop(other);
    child.wait()?;
    Ok(began)
}

/// How long each act took to its alarm, and how many alarms were of something else.
fn arrivals(
    told: &Receiver<Told>,
    acted: &HashMap<String, Instant>,
) -> anyhow::Result<(Vec<Duration>, u64)> {
    let mut spans = HashMap::new();
    let mut extra = 0;
    let end = Instant::now() + LATE;
    while spans.len() < acted.len() {
        let Ok(it) = told.recv_timeout(end.saturating_duration_since(Instant::now())) else {
            break;
        };
        anyhow::ensure!(it.name != "reset", "the live feed fell behind");
        let text = |name: &str| it.item.get(name).and_then(|it| it.as_str()).unwrap_or_default();
        let address = text("subject").rsplit('|').next().unwrap_or_default();
        match acted.get(address).filter(|_| text("rule") == RULE) {
            Some(began) => {
                spans.entry(address.to_owned()).or_insert(it.at.duration_since(*began));
            }
            None if it.name == "finding" => extra += 1,
            None => {}
        }
    }
    Ok((spans.into_values().collect(), extra))
}
