//! What rules are asked about on this host, kept for a while: for benches on real events.

use std::time::Duration;

use engine::event::Event;
use model::time::Timestamp;
use sensor::Sensor;

use super::core::DetectError;
use super::enrich::{Config, Enricher};
use super::seed;
use crate::host_root::HostRoot;
use crate::verdict::Verdicts;

/// Between two looks at what is due without an event.
const STEP: Duration = Duration::from_millis(50);

/// Watches this host for `span`, or until there are `most` events.
pub fn events(
    span: Duration,
    most: usize,
    clock: fn() -> Timestamp,
) -> Result<Vec<Event>, DetectError> {
    let began = clock();
    let mut sensor = Sensor::open(&sensor::Config::default())?;
    let root = HostRoot::live()?;
    let mut enricher = Enricher::new(root, Config::default(), Verdicts::default(), began)?;
    seed::running().plant(&mut enricher, began);
    seed::listeners(enricher.images.root()).plant(&mut enricher);
    let (mut enriched, mut events) = (Vec::new(), Vec::new());
    while clock().since(began) < span && events.len() < most {
        sensor.poll(STEP, &mut |event| enricher.event(&event, &mut enriched))?;
        enricher.tick(clock(), &mut enriched);
        events.extend(enriched.drain(..).map(|it| it.event));
    }
    events.truncate(most);
    Ok(events)
}
