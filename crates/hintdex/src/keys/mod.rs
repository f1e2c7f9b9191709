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
use hintdex_core::{DeviceRange, LiveIndex};
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
    /// was cut off.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] if the index has a device whose key was given and is not there.
    pub(crate) fn settle(&self, index: &LiveIndex) -> Result<(), Error> {
        let ranges = index.given();
        let mut given = self.given.load_full();
        if ranges.is_empty() && given.is_empty() {
            return Ok(());
        }
        if !ranges.iter().all(|range| given.has_all(range)) {
            // Another process may have imported some before it closed the index.
            given = Arc::new(Given::open(given.path(), &self.master)?);
        }
        let kept = given.only(&ranges);
        if let Some(range) = ranges.iter().find(|range| !kept.has_all(range)) {
            let DeviceRange { first, .. } = *range;
            return Err(Error::KeysMissing { path: kept.path().into(), first, last: range.last() });
        }
        self.given.store(Arc::new(kept));
        Ok(())
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
