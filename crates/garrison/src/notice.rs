//! What a supervised server tells the `garrison up` that started it: one JSON object a line
//! on its standard output. The pipe is private to the two, so secrets may pass through it.

use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub(crate) enum Notice {
    /// Both listeners answer.
    Ready {
        /// `http://127.0.0.1:8080`
        console: String,
        /// `host:port` agents connect to.
        agents: String,
        /// Only when the first account was made just now.
        first_admin: Option<FirstAdmin>,
        /// One use, for the agent of this host.
        enrol_token: String,
        /// Why the server still runs as root, if it does.
        kept_root: Option<String>,
    },
    /// A scan of any host went on.
    Scan {
        scan: String,
        done: usize,
        total: usize,
        running: Option<String>,
        rows: u64,
        findings: u64,
        finished: bool,
    },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstAdmin {
    pub name: String,
    pub password: String,
}

impl Notice {
    /// Writes the line at once; the reader may have gone, which its own end will tell.
    pub(crate) fn send(&self) {
        use std::io::Write as _;
        if let Ok(mut line) = serde_json::to_string(self) {
            line.push('\n');
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }
}
