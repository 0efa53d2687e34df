//! What the agent says of itself on the host: a file in its state folder, which only root reads.
//! `garrison agent status` shows it.

use std::path::Path;

use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{self, StateError};

/// Name of the file in the state folder.
pub const FILE: &str = "status.json";
const FILE_BYTES_MAX: usize = 1 << 20;

/// How the agent stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub at: Timestamp,
    pub version: String,
    pub pid: u32,
    pub resident_bytes: u64,
    pub sensor: SensorStatus,
    pub detection: DetectionStatus,
    pub features: Vec<Feature>,
    pub capabilities: Vec<CapabilityStatus>,
}

/// Where events come from, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorStatus {
    /// `eBPF`, `audit`, `process connector`, `polling`; empty: none works.
    pub tier: String,
    pub attached: usize,
    /// Name and reason.
    pub missing: Vec<(String, String)>,
    pub events: u64,
    /// Where it was lost (processor and kind), why, and how many.
    pub lost: Vec<(String, String, u64)>,
}

/// What the tables hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectionStatus {
    pub rules: usize,
    /// Rules of the user that do not work: file, line and reason.
    pub refused: Vec<String>,
    pub processes: usize,
    /// Processes forgotten because there were too many.
    pub forgotten: u64,
    /// Executables whose digest is not known.
    pub undigested: u64,
    /// Starts after a failure.
    pub restarts: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feature {
    pub id: String,
    pub cpu_us: u64,
    pub events: u64,
    pub lost: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CapabilityStatus {
    pub id: String,
    /// `active`, `degraded` or `missing`.
    pub state: String,
    pub reason: String,
}

impl Status {
    pub fn write(&self, state_dir: &Path) -> Result<(), StateError> {
        let file = state_dir.join(FILE);
        state::write_transient(&file, &state::json(&file, self)?)
    }

    /// `None` where there is none, or this user may not read it.
    pub fn read(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&state::read(&state_dir.join(FILE), FILE_BYTES_MAX)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Status::read(dir.path()), None);
        let status = Status { version: "1".to_owned(), pid: 7, ..Status::default() };
        status.write(dir.path()).unwrap();
        assert_eq!(Status::read(dir.path()), Some(status));
        std::fs::write(dir.path().join(FILE), "{\"version\": \"2\", \"unknown\": 1}").unwrap();
        assert_eq!(Status::read(dir.path()).unwrap().version, "2");
    }
}
