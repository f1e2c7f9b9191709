//! No two keys of a fleet may be equal: packets of one device would be replays of another's.
//!
//! An import stores a keyed hash of each key, 24 bytes a device. The hash key is random in
//! each process, so an attacker cannot construct keys whose hashes collide. Keys whose hashes
//! occur twice are read back and compared in constant time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hintdex_wire::{DeviceId, HintKey};
use rayon::prelude::*;
use subtle::ConstantTimeEq;

use super::imported::{ImportedKeys, Place};
use super::key_part::KeyPart;
use crate::Error;

type Key = [u8; 16];

/// The parts of a device's keys, each with its name.
fn parts<'k>(hint_key: &'k [u8], dev_key: &'k [u8]) -> [(KeyPart, &'k [u8]); 3] {
    let (first, second) = dev_key.split_at(dev_key.len() / 2);
    [(KeyPart::HintKey, hint_key), (KeyPart::FirstHalf, first), (KeyPart::SecondHalf, second)]
}

/// Hashes of the keys of an import.
#[derive(Default)]
pub(super) struct DistinctKeys {
    hasher: RandomState,
    /// Three hashes for each device.
    hashes: Vec<u64>,
}

impl DistinctKeys {
    /// Adds the keys of the next device.
    ///
    /// # Errors
    /// [`Error::ZeroKey`] if a key is all zeros, [`Error::SharedKey`] if two are equal.
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

    /// Checks that all keys of `imported` are distinct. The records from number `first_new`
    /// on are those of this import.
    ///
    /// Sorts the hashes, and reads and unseals every earlier key, about 1 µs each.
    ///
    /// # Errors
    /// [`Error::SharedKey`] for the first device of this import that shares a key.
    pub(super) fn check(mut self, imported: &ImportedKeys, first_new: u32) -> Result<(), Error> {
        self.hashes.par_sort_unstable();
        let twice = self.hashes.windows(2).filter_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        });
        let mut suspects: Vec<u64> = twice.collect();
        let is_new = |hash: &u64| self.hashes.binary_search(hash).is_ok();
        let old = imported.places().par_iter().filter(|(_, place)| *place < first_new);
        suspects
            .par_extend(old.flat_map_iter(|place| self.hashes_of(imported, *place)).filter(is_new));
        if suspects.is_empty() {
            return Ok(());
        }
        suspects.sort_unstable();
        suspects.dedup();
        self.compare(imported, first_new, &suspects)
    }

    /// The hashes of the keys in a record; none if the record is damaged.
    fn hashes_of(&self, imported: &ImportedKeys, place: Place) -> Vec<u64> {
        let Some(keys) = imported.read_bytes(place) else { return Vec::new() };
        let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
        parts(hint_key, dev_key).iter().map(|(_, key)| self.hasher.hash_one(*key)).collect()
    }

    /// Compares the keys that have these hashes, in the order of their records.
    fn compare(
        &self,
        imported: &ImportedKeys,
        first_new: u32,
        suspects: &[u64],
    ) -> Result<(), Error> {
        let mut places = imported.places().to_vec();
        places.par_sort_unstable_by_key(|(_, place)| *place);
        let mut earlier: HashMap<u64, (Place, KeyPart)> = HashMap::new();
        let mut found = None;
        let mut more = 0;
        for place in places {
            let Some(keys) = imported.read_bytes(place) else { continue };
            let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
            let mut shared = None;
            for (part, key) in parts(hint_key, dev_key) {
                let hash = self.hasher.hash_one(key);
                if suspects.binary_search(&hash).is_err() {
                    continue;
                }
                match earlier.get(&hash) {
                    None => drop(earlier.insert(hash, (place, part))),
                    Some(first) if is_at(imported, *first, key) => {
                        shared = shared.or(Some((part, *first)));
                    }
                    // Two keys with the same hash: once in many millions of imports.
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

/// Whether `key` equals this part of an earlier record.
fn is_at(imported: &ImportedKeys, (place, part): (Place, KeyPart), key: &[u8]) -> bool {
    imported.read_bytes(place).is_some_and(|keys| {
        let (hint_key, dev_key) = keys.split_at(size_of::<Key>());
        let mut parts = parts(hint_key, dev_key).into_iter();
        parts.any(|(of, earlier)| of == part && earlier.ct_eq(key).into())
    })
}
