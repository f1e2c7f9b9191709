//! Resolvable private addresses: every key is tried.

use hintdex_scan::IdentityTable;
use hintdex_wire::{HintKey, Slot};
use zeroize::Zeroizing;

use crate::records::BeaconRecord;
use crate::registration::Rule;
use crate::registry::Registry;
use crate::{Answer, Identification, Identifier, Sighting, Source};

/// The keys of resolvable addresses, and whose they are.
pub struct Identities {
    table: IdentityTable,
    slots: Vec<u32>,
}

impl Identities {
    pub fn of(registry: &Registry) -> Self {
        Self::with(registry, BeaconRecord::key)
    }

    /// The same beacons with the bytes of each key reversed.
    pub fn reversed(registry: &Registry) -> Self {
        Self::with(registry, |row| {
            let mut bytes = Zeroizing::new(*row.key().expose());
            bytes.reverse();
            HintKey::from_bytes(*bytes)
        })
    }

    fn with(registry: &Registry, key: impl Fn(&BeaconRecord) -> HintKey) -> Self {
        let is_identity = |row: &BeaconRecord| matches!(row.rule(), Some(Rule::BleRpa));
        let rows = (0_u32..).zip(registry.rows()).filter(|(_, row)| is_identity(row));
        let (slots, keys) = rows.map(|(slot, row)| (slot, key(row))).unzip();
        let mut table = IdentityTable::new();
        table.extend(keys);
        Self { table, slots }
    }

    /// What they take in memory.
    pub fn memory_bytes(&self) -> u64 {
        (self.slots.len() * (size_of::<u32>() + 16)) as u64
    }

    /// Answers those of the sightings that are addresses.
    pub fn resolve(&self, sightings: &[Sighting], registry: &Registry, answers: &mut [Answer]) {
        let (places, addresses): (Vec<_>, Vec<_>) = (0..)
            .zip(sightings)
            .filter_map(|(at, sighting): (usize, _)| match sighting.identifier {
                Identifier::Address(address) => Some((at, address)),
                _ => None,
            })
            .unzip();
        if addresses.is_empty() {
            return;
        }
        for (at, keys) in places.into_iter().zip(self.table.resolve(&addresses)) {
            if let Some(answer) = answers.get_mut(at) {
                *answer = self.answer(&keys, registry);
            }
        }
    }

    /// What is said of an address that these keys of the table made.
    fn answer(&self, keys: &[usize], registry: &Registry) -> Answer {
        let slots: Vec<u32> = keys.iter().filter_map(|key| self.slots.get(*key).copied()).collect();
        let device = |slot: &u32| registry.get(*slot).map(BeaconRecord::device);
        let mut devices: Vec<_> = slots.iter().filter_map(device).collect();
        devices.sort_unstable();
        match (devices.as_slice(), slots.as_slice()) {
            ([], _) => Answer::Unknown,
            ([device], [slot]) => Answer::Identified(Identification {
                device: *device,
                slot: Slot(*slot),
                clock_s: None,
                source: Source::Scan,
            }),
            _ => Answer::Ambiguous(devices),
        }
    }
}
