//! Addresses whose packets are dropped, for a time.
//!
//! What is blocked stands in a file of the agent and in the kernel. The kernel ends each block by
//! itself. A block the agent made by itself is first put in for the dead man's time only and made
//! whole once the server was in reach after it: an agent that cut itself off, or died, takes it
//! back without doing anything.

pub mod filter;
pub mod message;
pub mod protected;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::place::Cidr;
use model::because::{Because, whole};
use model::time::Timestamp;
use model::wire::{BlockedAddress, BlockedState};
use serde::{Deserialize, Serialize};

use super::step::Explain;
use crate::state;
use filter::{Filter, FilterError};
use message::Element;

/// Addresses and blocks at the same time.
pub const BLOCKED_MAX: usize = 50_000;
const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const SPAN_MIN: Duration = Duration::from_mins(1);
pub const SPAN_MAX: Duration = Duration::from_hours(30 * 24);

/// Why an address is not blocked.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("the kernel's packet filter cannot be used")]
    Filter(#[from] FilterError),
    #[error("what is blocked could not be written down")]
    State(#[from] state::StateError),
    #[error("{BLOCKED_MAX} addresses are blocked already")]
    Full,
}

impl Explain for BlockError {
    fn because(&self) -> Because {
        match self {
            Self::Filter(error) => Because::of(self, "block.filter", [("cause", whole(error))]),
            Self::State(error) => Because::of(self, "block.unwritten", [("cause", whole(error))]),
            Self::Full => Because::of(self, "block.full", [("max", BLOCKED_MAX)]),
        }
    }
}

/// Something to block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub block: Cidr,
    pub until: Timestamp,
    pub finding: String,
    pub reason: String,
    /// The dead man's time, where the agent decided by itself.
    pub automatic: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    address: String,
    since: Timestamp,
    until: Timestamp,
    finding: String,
    reason: String,
    automatic: bool,
    /// Taken back at this time unless the server was in reach after it was made.
    unless_seen: Option<Timestamp>,
    /// Dropped before the kernel's element was last made anew.
    packets_before: u64,
    packets: u64,
}

/// What is blocked on this host. The one owner of the table in the kernel.
#[derive(Debug)]
pub struct Blocker {
    file: PathBuf,
    entries: BTreeMap<Cidr, Entry>,
    /// `None` until the first block: a host where nothing is ever blocked has no table.
    filter: Option<Filter>,
}

impl Blocker {
    /// Takes up what was blocked when the agent ended, as far as it is not over, and puts it back
    /// into the kernel. Returns what came to its end meanwhile.
    pub fn open(file: PathBuf, now: Timestamp) -> (Self, Vec<BlockedAddress>, Option<FilterError>) {
        let kept: Vec<Entry> = state::read(&file, STATE_BYTES_MAX)
            .and_then(|it| serde_json::from_slice(&it).ok())
            .unwrap_or_default();
        let entries = kept.into_iter().filter_map(|it| Some((Cidr::parse(&it.address)?, it)));
        let mut it = Self { file, entries: entries.collect(), filter: None };
        let mut told = it.over(now);
        let mut failed = None;
        if !it.entries.is_empty()
            && let Err(error) = it.put_back(now)
        {
            failed = Some(error);
        }
        told.extend(it.entries.values().map(|it| record(it, BlockedState::Active, now)));
        (it, told, failed)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Blocks what is wanted, all in one change. Written down before the kernel is told.
    pub fn block(
        &mut self,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<Vec<BlockedAddress>, BlockError> {
        if self.entries.len() + wanted.len() > BLOCKED_MAX {
            return Err(BlockError::Full);
        }
        let before = self.entries.clone();
        for it in wanted {
            let old = self.entries.get(&it.block);
            let entry = Entry {
                address: named(&it.block),
                since: old.map_or(now, |old| old.since),
                until: it.until.clamp(now + SPAN_MIN, now + SPAN_MAX),
                finding: it.finding.clone(),
                reason: it.reason.clone(),
                automatic: it.automatic.is_some(),
                unless_seen: it.automatic.map(|it| now + it),
                packets_before: old.map_or(0, |old| old.packets),
                packets: old.map_or(0, |old| old.packets),
            };
            // An address a person blocked is not taken back by a dead man.
            if old.is_none_or(|old| old.automatic || !entry.automatic) {
                self.entries.insert(it.block, entry);
            }
        }
        let new: Vec<Cidr> = wanted.iter().map(|it| it.block).collect();
        if let Err(error) = self.keep().and_then(|()| Ok(self.tell_kernel(&[], &new, now)?)) {
            self.entries = before;
            // The kernel may hold a part: the next change makes its table anew.
            self.filter = None;
            self.keep()?;
            return Err(error);
        }
        let told = new.iter().filter_map(|it| self.entries.get(it));
        Ok(told.map(|it| record(it, BlockedState::Active, now)).collect())
    }

    /// Lets addresses in again. Those that are not blocked are left out of the answer.
    pub fn unblock(
        &mut self,
        blocks: &[Cidr],
        now: Timestamp,
    ) -> Result<Vec<BlockedAddress>, BlockError> {
        self.read_counters();
        let mut told = Vec::new();
        let mut gone = Vec::new();
        for block in blocks {
            if let Some(entry) = self.entries.remove(block) {
                told.push(record(&entry, BlockedState::Removed, now));
                gone.push(*block);
            }
        }
        self.keep()?;
        self.tell_kernel(&gone, &[], now)?;
        Ok(told)
    }

    /// Ends what is over and takes back what the server never heard of. `seen` is when the server
    /// was last in reach.
    pub fn tick(&mut self, now: Timestamp, seen: Option<Timestamp>) -> Vec<BlockedAddress> {
        let mut confirmed = Vec::new();
        for (block, entry) in &mut self.entries {
            if entry.unless_seen.is_some() && seen.is_some_and(|seen| seen > entry.since) {
                entry.unless_seen = None;
                confirmed.push(*block);
            }
        }
        if !confirmed.is_empty() {
            self.read_counters();
            for block in &confirmed {
                if let Some(entry) = self.entries.get_mut(block) {
                    entry.packets_before = entry.packets;
                }
            }
        }
        let told = self.over(now);
        if confirmed.is_empty() && told.is_empty() {
            return told;
        }
        let gone: Vec<Cidr> = told.iter().filter_map(|it| Cidr::parse(&it.address)).collect();
        let kept = self.keep().map_err(|error| error.to_string());
        let changed = self.tell_kernel(&gone, &confirmed, now).map_err(|error| error.to_string());
        if let Err(error) = kept.and(changed) {
            tracing::error!(error, "the end of a block could not be carried out");
        }
        told
    }

    /// The clock was set: a block lasts as long as was said, which is what the kernel does.
    pub fn move_clock(&mut self, by_us: i64) {
        for it in self.entries.values_mut() {
            let all = [&mut it.since, &mut it.until].into_iter().chain(&mut it.unless_seen);
            all.for_each(|at| *at = at.moved(by_us));
        }
        if let Err(error) = self.keep() {
            tracing::warn!(%error, "the end of blocks by the new clock could not be written down");
        }
    }

    /// Everything that is blocked, with what was dropped so far.
    pub fn list(&mut self, now: Timestamp) -> Vec<BlockedAddress> {
        self.read_counters();
        self.entries.values().map(|it| record(it, BlockedState::Active, now)).collect()
    }

    /// When [`Self::tick`] has something to do next.
    pub fn due(&self) -> Option<Timestamp> {
        self.entries.values().map(Entry::end).min()
    }

    fn over(&mut self, now: Timestamp) -> Vec<BlockedAddress> {
        let mut told = Vec::new();
        self.entries.retain(|_, it| {
            let over = it.end() <= now;
            if over {
                let by_itself = it.until <= now;
                let state = if by_itself { BlockedState::Expired } else { BlockedState::Removed };
                told.push(record(it, state, now));
            }
            !over
        });
        told
    }

    fn keep(&self) -> Result<(), BlockError> {
        let entries: Vec<&Entry> = self.entries.values().collect();
        Ok(state::write_json(&self.file, &entries)?)
    }

    fn put_back(&mut self, now: Timestamp) -> Result<(), FilterError> {
        let mut filter = Filter::open()?;
        let known = filter.counters().unwrap_or_default();
        self.count(&known);
        for entry in self.entries.values_mut() {
            entry.packets_before = entry.packets;
        }
        filter.rebuild(&self.elements(self.entries.keys(), now))?;
        self.filter = Some(filter);
        Ok(())
    }

    fn tell_kernel(
        &mut self,
        gone: &[Cidr],
        new: &[Cidr],
        now: Timestamp,
    ) -> Result<(), FilterError> {
        if self.filter.is_none() {
            return if self.entries.is_empty() { Ok(()) } else { self.put_back(now) };
        }
        let elements = self.elements(new.iter(), now);
        let any_block = gone.iter().chain(new).any(|it| !it.is_single());
        let blocks = if any_block { self.elements(self.entries.keys(), now) } else { Vec::new() };
        let Some(filter) = &mut self.filter else { return Ok(()) };
        let changed = filter.change(gone, &elements);
        let changed =
            changed.and_then(|()| if any_block { filter.blocks(&blocks) } else { Ok(()) });
        if changed.is_err() {
            // Somebody took the table away, or a part of it: it is made anew once.
            self.filter = None;
            return self.put_back(now);
        }
        Ok(())
    }

    /// What the kernel is to hold of `blocks`: of blocks within another one, only the outer.
    fn elements<'b>(&self, blocks: impl Iterator<Item = &'b Cidr>, now: Timestamp) -> Vec<Element> {
        let wide: Vec<&Cidr> = self.entries.keys().filter(|it| !it.is_single()).collect();
        let inner = |it: &Cidr| wide.iter().any(|wide| *wide != it && wide.covers(it));
        blocks
            .filter(|it| it.is_single() || !inner(it))
            .filter_map(|it| Some((it, self.entries.get(it)?)))
            .map(|(block, entry)| Element { block: *block, timeout: entry.end().since(now) })
            .collect()
    }

    fn read_counters(&mut self) {
        let Some(filter) = &mut self.filter else { return };
        match filter.counters() {
            Ok(counted) => self.count(&counted),
            Err(error) => tracing::warn!(%error, "the counters of blocked addresses"),
        }
    }

    fn count(&mut self, counted: &[message::Counted]) {
        let by_first: HashMap<IpAddr, u64> =
            counted.iter().map(|it| (it.first, it.packets)).collect();
        for (block, entry) in &mut self.entries {
            if let Some(packets) = by_first.get(&block.first()) {
                entry.packets = entry.packets_before + packets;
            }
        }
    }
}

impl Entry {
    fn end(&self) -> Timestamp {
        self.unless_seen.map_or(self.until, |it| it.min(self.until))
    }
}

/// Takes Garrison's table out of the kernel, and with it every block.
pub fn clear() -> Result<(), FilterError> {
    Filter::open()?.clear()
}

/// A single address without its length.
pub fn named(block: &Cidr) -> String {
    if block.is_single() { block.first().to_string() } else { block.to_string() }
}

fn record(entry: &Entry, state: BlockedState, now: Timestamp) -> BlockedAddress {
    BlockedAddress {
        address: entry.address.clone(),
        state: state.into(),
        since_us: entry.since.0,
        until_us: entry.until.0,
        finding: entry.finding.clone(),
        reason: entry.reason.clone(),
        automatic: entry.automatic,
        packets: entry.packets,
        at_us: now.0,
    }
}
