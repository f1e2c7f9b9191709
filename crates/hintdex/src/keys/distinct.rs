//! No two keys of a fleet may be the same: packets of one device would be replays of another's.
//!
//! An import keeps a keyed hash of each key, 24 bytes a device, under a key of the process's
//! own, so that nobody can make keys that collide. Hashes that occur twice name the keys that
//! are then read back and compared, in constant time.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hintdex_wire::{DeviceId, HintKey};
use rayon::prelude::*;
use subtle::ConstantTimeEq;

use super::given::{Given, Place};
use crate::Error;

/// Which of a device's keys, of 16 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPart {
    /// What its hints are computed under.
    HintKey,
    /// The first half of its device key: what its packets are encrypted under.
    FirstHalf,
    /// The second half: what they are authenticated under.
    SecondHalf,
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HintKey => "hint_key",
            Self::FirstHalf => "first half of the dev_key",
            Self::SecondHalf => "second half of the dev_key",
        })
    }
}

type Key = [u8; 16];

/// A device's keys, each with its name.
fn parts<'k>(hint_key: &'k [u8], dev_key: &'k [u8]) -> [(KeyPart, &'k [u8]); 3] {
    let (first, second) = dev_key.split_at(dev_key.len() / 2);
    [(KeyPart::HintKey, hint_key), (KeyPart::FirstHalf, first), (KeyPart::SecondHalf, second)]
}

/// What an import remembers of the keys in it.
#[derive(Default)]
pub(super) struct Distinct {
    hasher: RandomState,
    /// Three hashes for each device.
    hashes: Vec<u64>,
}

impl Distinct {
    /// Takes the keys of the next device, unless one of them is zero or two are the same.
    pub(super) fn add(
        &mut self,
        device: DeviceId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Result<(), Error> {
        let parts = parts(hint_key.expose(), dev_key);
        for (at, (part, key)) in parts.iter().enumerate() {
            if key.ct_eq(&Key::default()).into() {
                return Err(Error::ZeroKey { device, part: *part });
            }
            let same = |(_, earlier): &&(KeyPart, &[u8])| key.ct_eq(earlier).into();
            if let Some((other_part, _)) = parts.iter().take(at).find(same) {
                return Err(Error::SharedKey {
                    number: self.hashes.len() as u64 / 3,
                    device,
                    part: *part,
                    other: device,
                    other_part: *other_part,
                    more: 0,
                });
            }
        }
        self.hashes.extend(parts.map(|(_, key)| self.hasher.hash_one(key)));
        Ok(())
    }

    /// Whether all keys of `given` are different, those that were added among them, whose
    /// records are the ones from number `first_new` on.
    ///
    /// Costs a sort of the hashes, and reads and unseals every earlier key, about a
    /// microsecond each.
    pub(super) fn check(mut self, given: &Given, first_new: u32) -> Result<(), Error> {
        self.hashes.par_sort_unstable();
        let twice = self.hashes.windows(2).filter_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        });
        let mut suspects: Vec<u64> = twice.collect();
        let is_new = |hash: &u64| self.hashes.binary_search(hash).is_ok();
        let old = given.places().par_iter().filter(|(_, place)| *place < first_new);
        suspects
            .par_extend(old.flat_map_iter(|place| self.hashes_of(given, *place)).filter(is_new));
        if suspects.is_empty() {
            return Ok(());
        }
        suspects.sort_unstable();
        suspects.dedup();
        self.compare(given, first_new, &suspects)
    }

    /// The hashes of the keys in a record; none if it is damaged.
    fn hashes_of(&self, given: &Given, place: Place) -> Vec<u64> {
        let Some(keys) = given.read_bytes(place) else { return Vec::new() };
        let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
        parts(hint_key, dev_key).iter().map(|(_, key)| self.hasher.hash_one(*key)).collect()
    }

    /// Compares the keys with these hashes, in the order in which they were given.
    fn compare(&self, given: &Given, first_new: u32, suspects: &[u64]) -> Result<(), Error> {
        let mut places = given.places().to_vec();
        places.par_sort_unstable_by_key(|(_, place)| *place);
        let mut earlier: HashMap<u64, (Place, KeyPart)> = HashMap::new();
        let mut found = None;
        let mut more = 0;
        for place in places {
            let Some(keys) = given.read_bytes(place) else { continue };
            let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
            let mut shared = None;
            for (part, key) in parts(hint_key, dev_key) {
                let hash = self.hasher.hash_one(key);
                if suspects.binary_search(&hash).is_err() {
                    continue;
                }
                match earlier.get(&hash) {
                    None => drop(earlier.insert(hash, (place, part))),
                    Some(first) if is_at(given, *first, key) => {
                        shared = shared.or(Some((part, *first)));
                    }
                    // Two keys with one hash: once in many millions of imports.
                    Some(_) => {}
                }
            }
            let (owner, number) = place;
            let Some((part, ((other, _), other_part))) = shared.filter(|_| number >= first_new)
            else {
                continue;
            };
            more += u64::from(found.is_some());
            found.get_or_insert((number, owner.device, part, other.device, other_part));
        }
        found.map_or(Ok(()), |(number, device, part, other, other_part)| {
            let number = u64::from(number.saturating_sub(first_new));
            Err(Error::SharedKey { number, device, part, other, other_part, more })
        })
    }
}

/// Whether `key` is the one that an earlier record has as this part.
fn is_at(given: &Given, (place, part): (Place, KeyPart), key: &[u8]) -> bool {
    given.read_bytes(place).is_some_and(|keys| {
        let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
        let mut parts = parts(hint_key, dev_key).into_iter();
        parts.any(|(of, earlier)| of == part && earlier.ct_eq(key).into())
    })
}
