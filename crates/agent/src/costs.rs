//! What each function of the agent has used since its start, for the heartbeat and for
//! `garrison agent status`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::wire::FeatureCost;

/// By the id of the capability; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    shared: Arc<Mutex<BTreeMap<&'static str, Cost>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub cpu: Duration,
    pub events: u64,
    pub lost: u64,
}

impl Costs {
    /// Adds what was used since the last time.
    pub fn add(&self, id: &'static str, cpu: Duration, events: u64) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = all.entry(id).or_default();
        cost.cpu += cpu;
        cost.events += events;
    }

    /// Sets what was lost in all.
    pub fn set_lost(&self, id: &'static str, lost: u64) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_default().lost = lost;
    }

    pub fn all(&self) -> Vec<(&'static str, Cost)> {
        let all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(id, cost)| (*id, *cost)).collect()
    }

    pub fn to_wire(&self) -> Vec<FeatureCost> {
        let wire = |(id, cost): (&'static str, Cost)| FeatureCost {
            id: id.to_owned(),
            cpu_us: u64::try_from(cost.cpu.as_micros()).unwrap_or(u64::MAX),
            events: cost.events,
            lost: cost.lost,
        };
        self.all().into_iter().map(wire).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up_and_losses_are_totals() {
        let costs = Costs::default();
        let twin = costs.clone();
        costs.add("sensor", Duration::from_micros(5), 2);
        twin.add("sensor", Duration::from_micros(7), 1);
        twin.set_lost("sensor", 4);
        twin.set_lost("sensor", 3);
        let want = FeatureCost { id: "sensor".to_owned(), cpu_us: 12, events: 3, lost: 3 };
        assert_eq!(costs.to_wire(), [want]);
    }
}
