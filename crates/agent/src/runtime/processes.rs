//! The thread that hears of processes and has their table read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use model::because;
use model::because::whole;
use model::wire::CapabilityState;
use sensor::processes::ProcessEvents;

use super::assets::Input;
use super::reporter::Reporter;

/// How long it takes to notice that the agent stops.
const STOP_LOOK: Duration = Duration::from_secs(1);
/// Events of this long are one change, however many they are.
const GATHER: Duration = Duration::from_millis(250);
const CAPABILITY: &str = "process_events";

/// Ends with `stop`, or at once where the kernel tells nothing; the table is then read by its
/// cadence alone, and the capability says so.
pub(super) fn start(
    assets: SyncSender<Input>,
    reporter: Reporter,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("processes".to_owned()).spawn(move || {
        if let Err(error) = listen(&assets, &reporter, &stop) {
            let why = because!(
                "process_events.failed",
                "{cause}, so processes are read once a minute only",
                cause = whole(&error)
            );
            reporter.one(CAPABILITY, CapabilityState::Degraded, why);
        }
    })
}

/// What the kernel dropped costs nothing here: any event leads to a look at everything.
fn listen(
    assets: &SyncSender<Input>,
    reporter: &Reporter,
    stop: &AtomicBool,
) -> Result<(), sensor::processes::ProcessEventsError> {
    let events = ProcessEvents::open()?;
    reporter.one(CAPABILITY, CapabilityState::Active, "");
    while !stop.load(Ordering::Relaxed) {
        if !events.wait(STOP_LOOK)? {
            continue;
        }
        let batch = events.take()?;
        if batch.lost > 0 || !batch.events.is_empty() {
            // A full channel means a busy asset thread, which the next event tells again.
            let _ = assets.try_send(Input::Changed("process"));
        }
        std::thread::sleep(GATHER);
    }
    Ok(())
}
