//! From the decision to block an address to the packet filter that drops its packets, in a network
//! of its own: nothing outside of it is touched.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use agent::host_root::HostRoot;
use agent::respond::Responder;
use agent::respond::answers::Answers;
use agent::respond::block::filter::Filter;
use agent::respond::block::{Blocker, Wanted};
use agent::runtime::responder::{Order, Worker, start};
use agent::spool::{Limits, Spool};
use agent::verdict::Verdicts;
use anyhow::Context as _;
use engine::content::Catalogue;
use engine::login::correlate::{Correlator, State};
use engine::login::{Attempt, Method, Origin, Outcome, Service, Sign};
use engine::place::{Cidr, Places};
use model::policy::{LoginPolicy, Policy};
use model::time::Timestamp;

use super::Bar;
use crate::process::now;

/// Attackers, one after the other.
const ATTACKS: u32 = 100;
/// Addresses blocked at once.
const BATCH: u32 = 10_000;
/// An address that is not in the set after this will never be.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run() -> anyhow::Result<Vec<Bar>> {
    let measured = std::thread::spawn(|| {
        agent::respond::namespace::private_network().context("this bench needs root")?;
        let dir = tempfile::tempdir_in(".")?;
        let mut bars = single(dir.path())?;
        bars.extend(batch(dir.path())?);
        Ok::<_, anyhow::Error>(bars)
    });
    measured.join().map_err(|_| anyhow::anyhow!("the bench ended by a panic"))?
}

/// Each attacker fails until the engine decides; the clock runs from that log line to the moment
/// another process would see the address in the kernel's set.
fn single(dir: &Path) -> anyhow::Result<Vec<Bar>> {
    let catalogue = Catalogue::embedded()?;
    let mut policy = Policy::default();
    policy.response.block = true;
    policy.response.per_hour_max = ATTACKS + 1;
    let state = dir.join("agent");
    std::fs::create_dir_all(&state)?;
    let spool = Spool::open(&state.join("spool"), Limits::default())?;
    let (act, actions) = sync_channel(ATTACKS as usize);
    let answers = Answers::new(&catalogue, policy.response.clone(), act);
    let root = HostRoot::live()?;
    let verdicts = Verdicts::load(&state);
    let (responder, records) = Responder::open(root, &state, policy, Vec::new(), verdicts, now())?;
    let worker = Worker::new(responder, records, spool, now);
    let (orders, thread) = start(worker, actions, 16)?;
    let mut correlator = Correlator::new(&catalogue, LoginPolicy::default(), State::default())?;
    let places = Places::without_database();
    let mut kernel = Filter::open()?;
    let mut spans = Vec::new();
    for number in 0..ATTACKS {
        let source = address(number);
        let began = attack(&mut correlator, &places, &answers, source)?;
        while !kernel.counters().unwrap_or_default().iter().any(|it| it.first == source) {
            anyhow::ensure!(began.elapsed() < PATIENCE, "{source} was never blocked");
            std::thread::sleep(Duration::from_millis(1));
        }
        spans.push(began.elapsed());
    }
    orders.send(Order::Stop).context("the responder ended early")?;
    thread.join().map_err(|_| anyhow::anyhow!("the responder ended by a panic"))?;
    spans.sort_unstable();
    let of = |share: usize| {
        spans.get((spans.len() * share / 100).min(spans.len() - 1)).map_or(0.0, millis)
    };
    Ok(vec![
        Bar::at_most("block: deciding log line to packet filter, median", of(50), 500.0, "ms"),
        Bar::at_most("block: deciding log line to packet filter, p99", of(99), 1000.0, "ms"),
    ])
}

/// When the log line was read at which the engine decided.
fn attack(
    correlator: &mut Correlator,
    places: &Places,
    answers: &Answers,
    source: IpAddr,
) -> anyhow::Result<Instant> {
    for _ in 0..LoginPolicy::default().burst_failures {
        let at = now();
        let began = Instant::now();
        let decided = correlator.observe(&failure(source, at), places, at);
        if !decided.findings.is_empty() {
            decided.findings.iter().for_each(|it| answers.consider(it, at));
            return Ok(began);
        }
    }
    anyhow::bail!("the engine did not decide about {source}")
}

fn failure(source: IpAddr, at: Timestamp) -> Attempt {
    Attempt {
        at,
        service: Service::Sshd,
        user: "admin".to_owned(),
        origin: Origin::Address(source),
        outcome: Outcome::Failure,
        method: Some(Method::Password),
        key_fingerprint: None,
        port: None,
        pid: None,
        sign: Sign::Tried(1),
        text: format!("Failed password for admin from {source} port 4711 ssh2"),
    }
}

/// Ten thousand addresses in one change, written down and in the kernel.
fn batch(dir: &Path) -> anyhow::Result<Vec<Bar>> {
    let at = now();
    let (mut blocker, ..) = Blocker::open(dir.join("batch.json"), at);
    let wanted: Vec<Wanted> = (0..BATCH)
        .map(|number| Wanted {
            block: Cidr::single(address(number)),
            until: at + Duration::from_hours(12),
            finding: "f-0".to_owned(),
            reason: "bench".to_owned(),
            automatic: None,
        })
        .collect();
    let began = Instant::now();
    blocker.block(&wanted, at)?;
    let blocked = began.elapsed();
    let began = Instant::now();
    let listed = Filter::open()?.counters()?.len();
    anyhow::ensure!(listed == BATCH as usize, "{listed} of {BATCH} are in the kernel");
    let read = began.elapsed();
    Ok(vec![
        Bar::at_most(
            format!("block: {BATCH} addresses in one change"),
            millis(&blocked),
            1000.0,
            "ms",
        ),
        Bar::at_most(format!("block: {BATCH} counters read"), millis(&read), 200.0, "ms"),
    ])
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number).into()
}

fn millis(span: &Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
