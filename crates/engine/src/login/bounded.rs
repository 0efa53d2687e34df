//! A map that forgets what was not used for longest once it is full.

use std::collections::HashMap;
use std::mem;

use serde::{Deserialize, Serialize};

/// Two halves: what is used moves to the young one; when that is full, the old one is
/// dropped and the young one grows old. Every step takes constant time and whatever is in
/// use survives, however many keys an attacker makes up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: serde::de::DeserializeOwned"))]
pub(crate) struct BoundedMap<V> {
    max: usize,
    young: HashMap<String, V>,
    old: HashMap<String, V>,
    evicted: u64,
}

impl<V> BoundedMap<V> {
    /// Holds at most `max` entries and never forgets the `max / 2` used last.
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(2), young: HashMap::new(), old: HashMap::new(), evicted: 0 }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(it) => Some(it),
            None => self.old.get_mut(key),
        }
    }

    /// The entry of `key`, made if it is not there, now among those used last.
    pub(crate) fn entry(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        let mut moved = None;
        if !self.young.contains_key(key) {
            if self.young.len() >= self.max / 2 {
                self.evicted += self.old.len() as u64;
                self.old = mem::take(&mut self.young);
            }
            moved = self.old.remove(key);
        }
        self.young.entry(key.to_owned()).or_insert_with(|| moved.unwrap_or_else(make))
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut V)> {
        self.young.iter_mut().chain(self.old.iter_mut())
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.young.retain(|_, it| keep(it));
        self.old.retain(|_, it| keep(it));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Entries forgotten for want of room since the state was made.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_counts_what_it_drops() {
        let mut map = BoundedMap::new(100);
        for number in 0..10_000 {
            map.entry(&format!("noise{number}"), || 0);
            *map.entry("busy", || 0) += 1;
            assert!(map.len() <= 100);
        }
        assert_eq!(map.get("busy"), Some(&10_000));
        assert_eq!(map.evicted() + map.len() as u64, 10_001);
        map.remove("busy");
        assert_eq!(map.get("busy"), None);
    }
}
