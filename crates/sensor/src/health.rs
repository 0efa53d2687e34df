//! What a sensor says of itself.

use std::fmt;

/// Where events come from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Programs in the kernel: everything, with results, nothing lost between.
    Ebpf,
    /// The process connector, and the records of the audit system where rules ask for them.
    Audit,
    /// The process connector and what /proc still knows when the notice comes.
    Connector,
    /// Looking at /proc again and again: what lives shorter than a sweep is not seen.
    Polling,
}

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "eBPF",
            Self::Audit => "audit",
            Self::Connector => "process connector",
            Self::Polling => "polling",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub tier: Tier,
    /// Programs or sources that work.
    pub attached: Vec<String>,
    pub missing: Vec<Missing>,
    /// Events handed out so far.
    pub events: u64,
    /// What was seen by the kernel but not handed out, since the sensor was opened.
    pub lost: Vec<Loss>,
}

impl Health {
    /// Everything lost so far.
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().map(|it| it.count).sum()
    }
}

/// A part that does not work here, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub name: String,
    pub reason: String,
}

/// How the reason begins where the host has nothing that the part would see.
const NOT_APPLICABLE: &str = "not applicable";

impl Missing {
    /// Whether something is not seen for want of it.
    pub fn is_loss(&self) -> bool {
        !self.reason.starts_with(NOT_APPLICABLE)
    }

    pub(crate) fn new(name: &str, reason: &str) -> Self {
        Self { name: name.to_owned(), reason: reason.to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// `None` where the source does not tell.
    pub cpu: Option<u32>,
    /// The kind of event, as in [`crate::Health`]'s words; `any` where the source does not tell.
    pub kind: &'static str,
    pub cause: Cause,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The reader was too slow.
    Full,
    /// More of this kind in one second than the sensor lets through.
    Flood,
    /// A record that the reader did not understand.
    Unreadable,
}
