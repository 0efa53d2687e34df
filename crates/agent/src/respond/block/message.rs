//! Messages of nf_tables, as linux/netfilter/nf_tables.h and linux/netfilter/nfnetlink.h give them.
//!
//! Headers are in the byte order of the machine, everything inside attributes in that of the net.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use engine::place::Cidr;

pub const TABLE: &str = "garrison";
const CHAIN: &str = "blocked";
/// After connection tracking (-200), before anything a user's own rules usually do (0).
const PRIORITY: i32 = -150;

const HEADER_BYTES: usize = 16;
const GENERIC_BYTES: usize = 4;
const SUBSYSTEM: u16 = 10;
const FAMILY_INET: u8 = 1;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const GET_ELEMENT: u16 = 13;
const DELETE_ELEMENT: u16 = 14;
const NESTED: u16 = 0x8000;

const SET_INTERVAL: u32 = 0x04;
const SET_TIMEOUT: u32 = 0x10;
const INTERVAL_END: u32 = 1;
/// Elements in one message: their list is one attribute, whose length has 16 bits.
const ELEMENTS_PER_MESSAGE_MAX: usize = 1000;
/// `NFTA_SET_ELEM_*` and the counter's attributes that are read back.
const ELEMENT_KEY: u16 = 1;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_EXPRESSION: u16 = 7;
const ELEMENT_EXPRESSIONS: u16 = 11;

model::words! {
    /// The sets, one each for single addresses and for blocks of both versions.
    SetName {
        Addresses4 = "addresses4",
        Addresses6 = "addresses6",
        Blocks4 = "blocks4",
        Blocks6 = "blocks6",
    }
}

impl SetName {
    pub fn of(block: &Cidr) -> Self {
        match (block.first(), block.is_single()) {
            (IpAddr::V4(_), true) => Self::Addresses4,
            (IpAddr::V6(_), true) => Self::Addresses6,
            (IpAddr::V4(_), false) => Self::Blocks4,
            (IpAddr::V6(_), false) => Self::Blocks6,
        }
    }

    fn is_v4(self) -> bool {
        matches!(self, Self::Addresses4 | Self::Blocks4)
    }

    pub fn is_interval(self) -> bool {
        matches!(self, Self::Blocks4 | Self::Blocks6)
    }
}

/// What is to be dropped, for how long from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub block: Cidr,
    pub timeout: Duration,
}

/// Messages that the kernel carries out all or none.
#[derive(Debug)]
pub struct Transaction {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Transaction {
    pub fn begin() -> Self {
        let mut it = Self { bytes: Vec::new(), sequence: 0 };
        it.batch(BATCH_BEGIN);
        it
    }

    /// The table with its sets and its chain, empty, whatever was there before.
    #[must_use]
    pub fn table(mut self) -> Self {
        self.create_table();
        self.message(DELETE_TABLE, 0, |it| it.text(1, TABLE));
        self.create_table();
        for (id, name) in (1..).zip(SetName::ALL) {
            self.set(id, *name);
        }
        self.message(NEW_CHAIN, CREATE, |it| {
            it.text(1, TABLE);
            it.text(3, CHAIN);
            it.nested(4, |it| {
                it.number(1, 0);
                it.number(2, PRIORITY as u32);
            });
            it.number(5, 1);
            it.text(7, "filter");
        });
        for name in SetName::ALL {
            self.rule(*name);
        }
        self
    }

    #[must_use]
    pub fn no_table(mut self) -> Self {
        // Made first, so that taking away what is not there is no error.
        self.create_table();
        self.message(DELETE_TABLE, 0, |it| it.text(1, TABLE));
        self
    }

    #[must_use]
    pub fn add(mut self, set: SetName, elements: &[Element]) -> Self {
        self.elements(NEW_ELEMENT, set, elements, true);
        self
    }

    /// Of a set that holds single addresses; one that is not in it is no error.
    #[must_use]
    pub fn remove(mut self, set: SetName, blocks: &[Cidr]) -> Self {
        let elements: Vec<Element> = blocks
            .iter()
            .map(|it| Element { block: *it, timeout: Duration::from_mins(1) })
            .collect();
        self.elements(NEW_ELEMENT, set, &elements, true);
        self.elements(DELETE_ELEMENT, set, &elements, false);
        self
    }

    #[must_use]
    pub fn empty(mut self, set: SetName) -> Self {
        self.message(DELETE_ELEMENT, 0, |it| {
            it.text(1, TABLE);
            it.text(2, set.as_str());
        });
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.batch(BATCH_END);
        self.bytes
    }

    fn create_table(&mut self) {
        self.message(NEW_TABLE, CREATE, |it| it.text(1, TABLE));
    }

    fn set(&mut self, id: u32, name: SetName) {
        let interval = if name.is_interval() { SET_INTERVAL } else { 0 };
        self.message(NEW_SET, CREATE, |it| {
            it.text(1, TABLE);
            it.text(2, name.as_str());
            it.number(3, SET_TIMEOUT | interval);
            // The numbers by which the nft program shows a key as an address.
            it.number(4, if name.is_v4() { 7 } else { 8 });
            it.number(5, if name.is_v4() { 4 } else { 16 });
            it.number(10, id);
            // Each element counts what it drops; kernels before 5.7 leave this out.
            it.nested(17, |it| {
                it.text(1, "counter");
                it.nested(2, |_| {});
            });
        });
    }

    /// `meta nfproto ipv4 ip saddr @set drop`.
    fn rule(&mut self, set: SetName) {
        let (protocol, offset, length) = if set.is_v4() { (2, 12, 4) } else { (10, 8, 16) };
        self.message(NEW_RULE, CREATE | 0x800, |it| {
            it.text(1, TABLE);
            it.text(2, CHAIN);
            it.nested(4, |it| {
                it.expression("meta", |it| {
                    it.number(1, 1);
                    it.number(2, 15);
                });
                it.expression("cmp", |it| {
                    it.number(1, 1);
                    it.number(2, 0);
                    it.nested(3, |it| it.attribute(1, &[protocol]));
                });
                it.expression("payload", |it| {
                    it.number(1, 1);
                    it.number(2, 1);
                    it.number(3, offset);
                    it.number(4, length);
                });
                it.expression("lookup", |it| {
                    it.text(1, set.as_str());
                    it.number(2, 1);
                });
                it.expression("counter", |_| {});
                it.expression("immediate", |it| {
                    it.number(1, 0);
                    it.nested(2, |it| it.nested(2, |it| it.number(1, 0)));
                });
            });
        });
    }

    fn elements(&mut self, kind: u16, set: SetName, elements: &[Element], timed: bool) {
        for part in elements.chunks(ELEMENTS_PER_MESSAGE_MAX) {
            let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
            self.message(kind, flags, |it| {
                it.text(1, TABLE);
                it.text(2, set.as_str());
                it.nested(3, |it| {
                    for element in part {
                        it.element(element, set.is_interval(), timed);
                    }
                });
            });
        }
    }

    fn batch(&mut self, kind: u16) {
        let start = self.header(kind, REQUEST, 0, SUBSYSTEM);
        self.close(start);
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Self)) {
        let start = self.header(SUBSYSTEM << 8 | kind, REQUEST | flags, FAMILY_INET, 0);
        body(self);
        self.close(start);
    }

    fn header(&mut self, kind: u16, flags: u16, family: u8, resource: u16) -> usize {
        let start = self.bytes.len();
        self.sequence += 1;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u32;
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend((value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, value: &str) {
        let mut value = value.as_bytes().to_vec();
        value.push(0);
        self.attribute(kind, &value);
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn expression(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.nested(1, |it| {
            it.text(1, name);
            it.nested(2, body);
        });
    }

    fn element(&mut self, element: &Element, interval: bool, timed: bool) {
        let milliseconds = element.timeout.as_millis().max(1) as u64;
        self.nested(1, |it| {
            it.key(element.block.first());
            if timed {
                it.attribute(4, &milliseconds.to_be_bytes());
            }
        });
        // A block is two elements: its first address, and the first one after it.
        if interval && let Some(after) = next(element.block.last()) {
            self.nested(1, |it| {
                it.key(after);
                it.number(ELEMENT_FLAGS, INTERVAL_END);
            });
        }
    }

    fn key(&mut self, address: IpAddr) {
        self.nested(ELEMENT_KEY, |it| match address {
            IpAddr::V4(address) => it.attribute(1, &address.octets()),
            IpAddr::V6(address) => it.attribute(1, &address.octets()),
        });
    }
}

fn next(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(it) => Ipv4Addr::from(u32::from(it).checked_add(1)?).into(),
        IpAddr::V6(it) => Ipv6Addr::from(u128::from(it).checked_add(1)?).into(),
    })
}

/// Asks for every element of a set.
pub fn ask(set: SetName) -> Vec<u8> {
    let mut it = Transaction { bytes: Vec::new(), sequence: 0 };
    it.message(GET_ELEMENT, DUMP, |it| {
        it.text(1, TABLE);
        it.text(2, set.as_str());
    });
    it.bytes
}

/// What one datagram of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    More,
    Done,
    /// Positive errno.
    Refused(i32),
    /// Not what the kernel sends.
    Broken,
}

/// An address and how many packets from it were dropped. Of a block, its first address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub first: IpAddr,
    pub packets: u64,
}

/// Takes the elements out of one datagram.
pub fn parse(datagram: &[u8], into: &mut Vec<Counted>) -> Answer {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = rest.get(..4).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes);
        let message = length.and_then(|it| rest.get(..it as usize));
        let Some(message) = message.filter(|it| it.len() >= HEADER_BYTES) else {
            return Answer::Broken;
        };
        let kind = message.get(4..6).and_then(|it| it.try_into().ok()).map(u16::from_ne_bytes);
        let body = message.get(HEADER_BYTES..).unwrap_or_default();
        match kind {
            Some(DONE) => return Answer::Done,
            Some(ERROR) => {
                let code = body.get(..4).and_then(|it| it.try_into().ok()).map(i32::from_ne_bytes);
                match code {
                    // An acknowledgement.
                    Some(0) => {}
                    Some(code) => return Answer::Refused(code.saturating_neg()),
                    None => return Answer::Broken,
                }
            }
            Some(kind) if kind == SUBSYSTEM << 8 | NEW_ELEMENT => {
                let body = body.get(GENERIC_BYTES..).unwrap_or_default();
                let lists = attributes(body).filter(|(kind, _)| *kind == 3);
                let elements = lists.flat_map(|(_, it)| attributes(it));
                into.extend(elements.filter_map(|(_, it)| counted(it)));
            }
            _ => {}
        }
        rest = rest.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Answer::More
}

fn counted(element: &[u8]) -> Option<Counted> {
    let find = |wanted: u16| attributes(element).find(|(it, _)| *it == wanted).map(|(_, it)| it);
    if find(ELEMENT_FLAGS).is_some_and(|it| it.last().is_some_and(|it| it & 1 == 1)) {
        return None;
    }
    let (_, key) = attributes(find(ELEMENT_KEY)?).next()?;
    let first = match key.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(key).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(key).ok()?),
        _ => return None,
    };
    let listed = || find(ELEMENT_EXPRESSIONS).and_then(|it| attributes(it).next()).map(|it| it.1);
    let packets = find(ELEMENT_EXPRESSION).or_else(listed).and_then(packets).unwrap_or(0);
    Some(Counted { first, packets })
}

/// Of a counter expression: `NFTA_EXPR_DATA`, therein `NFTA_COUNTER_PACKETS`.
fn packets(expression: &[u8]) -> Option<u64> {
    let (_, data) = attributes(expression).find(|(it, _)| *it == 2)?;
    let (_, packets) = attributes(data).find(|(it, _)| *it == 2)?;
    Some(u64::from_be_bytes(packets.try_into().ok()?))
}

/// The attributes one after the other, without the flags of their kind.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}
