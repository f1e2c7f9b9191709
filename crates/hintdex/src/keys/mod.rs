//! Where a fleet's keys are from: derived from its master key, or given with its devices
//! and kept sealed beside it.

mod distinct;
mod given;
mod import;
pub(crate) mod master_file;
mod sealed;
mod table;

use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use hintdex_core::{DeviceRange, KeyOrigin, LiveIndex};
use hintdex_wire::{CheckValue, HintKey, KeyId, KeySource, MasterKey, PacketKey};

pub use distinct::KeyPart;
pub use import::KeyImport;
/// The bytes of the sealed keys, for the test that holds the document against them.
#[doc(hidden)]
pub use sealed::format;

use crate::Error;
use given::Given;

/// The sealed keys, inside a fleet's folder.
const GIVEN_FILE: &str = "device.keys";

/// The keys of a fleet.
pub(crate) struct FleetKeys {
    master: MasterKey,
    /// Replaced, never changed: keys are asked for while others are imported.
    given: ArcSwap<Given>,
    /// Held by the one import there may be.
    importing: Mutex<()>,
}

impl FleetKeys {
    /// The keys under `master` of the fleet in the folder `dir`.
    pub(crate) fn open(dir: &Path, master: MasterKey) -> Result<Arc<Self>, Error> {
        let given = Given::open(&dir.join(GIVEN_FILE), &master)?;
        let given = ArcSwap::from_pointee(given);
        Ok(Arc::new(Self { master, given, importing: Mutex::default() }))
    }

    /// Forgets the keys of devices that `index` does not have, which an import left that
    /// was cut off, and takes devices whose key is missing or damaged out of service.
    ///
    /// Unseals every key that was given, about 1 µs each.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] if the file is gone, or holds fewer keys than the index has
    /// devices whose keys were given.
    pub(crate) fn settle(&self, index: &LiveIndex) -> Result<(), Error> {
        let (ranges, given) = (index.imported_ranges(), self.given.load_full());
        if ranges.is_empty() && given.is_empty() {
            return Ok(());
        }
        let kept = given.only(&ranges);
        let devices: u64 = ranges.iter().map(|range| u64::from(range.count)).sum();
        if let Some(range) = ranges.iter().find(|range| !kept.has_all(range))
            && kept.record_count() < devices
        {
            let DeviceRange { first, .. } = *range;
            return Err(Error::KeysMissing { path: kept.path().into(), first, last: range.last() });
        }
        for key in kept.unusable() {
            let slots = index.slots(key.device).into_iter();
            for slot in slots.filter(|slot| index.key(*slot) == Some(key)) {
                index.put_out_of_service(slot, "its key is missing or damaged in device.keys");
            }
        }
        self.given.store(Arc::new(kept));
        Ok(())
    }

    /// Checks that every range whose keys are said to be given has them.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] for the first that has not.
    pub(crate) fn check_given(&self, ranges: &[DeviceRange]) -> Result<(), Error> {
        let given = self.given.load();
        let lacks =
            |range: &&DeviceRange| range.origin == KeyOrigin::Imported && !given.has_all(range);
        let Some(range) = ranges.iter().find(lacks) else { return Ok(()) };
        let (first, last) = (range.first, range.last());
        Err(Error::KeysMissing { path: given.path().into(), first, last })
    }

    /// Unseals every key that was given, and says how many there are.
    pub(crate) fn verify_given(&self) -> Result<u64, Error> {
        self.given.load().verify()
    }
}

impl KeySource for FleetKeys {
    fn hint_key(&self, key: KeyId) -> Option<HintKey> {
        match self.given.load().unseal(key) {
            None => self.master.hint_key(key),
            Some(given) => given.map(|(hint_key, _)| hint_key),
        }
    }

    fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
        match self.given.load().unseal(key) {
            None => self.master.packet_key(key),
            Some(given) => given.map(|(_, packet_key)| packet_key),
        }
    }

    fn check_value(&self, context: &[u8]) -> CheckValue {
        self.master.check_value(context)
    }
}
