//! Importing devices with their keys, and later keys of devices.

use std::ops::Range;
use std::sync::{Arc, MutexGuard, TryLockError};

use hintdex_core::{DeviceRange, KeyOrigin, Report};
use hintdex_wire::{Chain, DeviceId, HintKey, KeyId, Slot};

use super::chains::AppendedChains;
use super::distinct::DistinctKeys;
use super::distinct_chains::DistinctChains;
use super::fleet_keys::FleetKeys;
use super::imported::AppendedKeys;
use crate::{Error, Station};

/// An import of devices, or of later keys of devices, each with keys of its own.
///
/// Each key is sealed under the fleet's master key and written to the fleet's file as it is
/// added. So an import of any length takes 36 bytes of memory a device, and 28 more for each
/// run of ids. When [`provision`](Self::provision) returns, the fleet has all of the devices.
/// Before that, and if `provision` rejects them, the fleet has none of them, and the written
/// keys are removed. If a write of the index fails, it is not known whether the fleet has the
/// devices: then the keys stay and the index refuses everything. A station that is opened
/// again has all of the devices or none.
///
/// ```
/// use hintdex::{Error, IndexError, KeyImport, KeyPart, Station, StationOptions};
/// # use hintdex::wire::HintKey;
/// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("fleet");
/// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
/// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
/// // A device that came with random keys of its own.
/// # let (hint_key, dev_key): (_, [u8; 32]) =
/// #     (HintKey::from_bytes([1; 16]), std::array::from_fn(|i| i as u8));
/// let mut import: KeyImport<'_> = station.import_keys()?;
/// import.add(DeviceId(7), &hint_key, &dev_key)?;
/// import.provision(None)?;
///
/// let mut import = station.import_keys()?;
/// let again = import.add(DeviceId(7), &hint_key, &dev_key);
/// assert!(matches!(again, Err(Error::Index(IndexError::AlreadyProvisioned { .. }))));
/// // Half of this device key was not written.
/// let mut half = dev_key;
/// half[16..].fill(0);
/// let Err(Error::ZeroKey { part, .. }) = import.add(DeviceId(8), &hint_key, &half) else { panic!() };
/// assert_eq!(part, KeyPart::SecondHalf);
/// # Ok::<(), Error>(())
/// ```
pub struct KeyImport<'a> {
    station: &'a Station,
    takes: Takes,
    appended: Appended,
    _alone: MutexGuard<'a, ()>,
}

/// The keys that were added: those of a device, or its chain where keys move on with the nonces.
enum Appended {
    Keys(AppendedKeys, DistinctKeys),
    Chains(AppendedChains, DistinctChains),
}

/// The devices that an import takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Those that the fleet lacks.
    New,
    /// Those that the fleet has, which get later keys.
    Known,
    Any,
}

impl Station {
    /// Begins an import of new devices, which [`provision`](KeyImport::provision) ends.
    ///
    /// # Errors
    /// [`Error::ImportInProgress`] during another import, or [`Error::File`].
    pub fn import_keys(&self) -> Result<KeyImport<'_>, Error> {
        self.begin_import(Takes::New)
    }

    /// Begins an import of later keys of devices that the fleet has, which
    /// [`rekey`](KeyImport::rekey) or [`replace`](KeyImport::replace) ends.
    ///
    /// # Errors
    /// Those of [`import_keys`](Self::import_keys).
    pub fn import_later_keys(&self) -> Result<KeyImport<'_>, Error> {
        self.begin_import(Takes::Known)
    }

    /// Begins an import of new devices and of later keys of devices that the fleet has, which
    /// [`add_or_rekey`](KeyImport::add_or_rekey) ends.
    ///
    /// # Errors
    /// Those of [`import_keys`](Self::import_keys).
    pub fn import_any_keys(&self) -> Result<KeyImport<'_>, Error> {
        self.begin_import(Takes::Any)
    }

    fn begin_import(&self, takes: Takes) -> Result<KeyImport<'_>, Error> {
        let keys = &self.keys;
        let alone = match keys.importing.try_lock() {
            Ok(alone) => alone,
            // The keys that the panicked thread had written were removed.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::ImportInProgress),
        };
        let appended = match self.params().ratchet {
            None => {
                let appended = keys.imported.load().append(&keys.master)?;
                Appended::Keys(appended, DistinctKeys::default())
            }
            Some(_) => {
                let appended = AppendedChains::begin(&keys.chains, &keys.master)?;
                Appended::Chains(appended, DistinctChains::default())
            }
        };
        Ok(KeyImport { station: self, takes, appended, _alone: alone })
    }
}

impl KeyImport<'_> {
    /// Adds the keys of `device`: its hint key, and the 32 bytes of its device key, whose halves
    /// encrypt and authenticate its packets.
    ///
    /// # Errors
    /// [`Error::ZeroKey`] if the hint key or a half of the device key is all zeros,
    /// [`Error::SharedKey`] if two of the three are equal, [`Error::Index`] if the fleet has
    /// the device already, or lacks the device of a later key, or if its devices have chains, or
    /// [`Error::File`].
    pub fn add(
        &mut self,
        device: DeviceId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Result<(), Error> {
        self.add_at(self.key_for(device)?, hint_key, dev_key)
    }

    /// Adds the first chain key of `device`, for a fleet whose keys move on with the nonces
    /// ([`Params::ratchet`](crate::Params)).
    ///
    /// The fleet stores the chain sealed, and wipes it once the device has left its first epoch. So
    /// the caller's copy should not outlive the import.
    ///
    /// # Errors
    /// [`Error::ZeroKey`] if the chain key is all zeros, [`Error::Index`] if the fleet has the
    /// device already, or lacks the device of a later key, or if its devices have no chains, or
    /// [`Error::File`].
    pub fn add_chain(&mut self, device: DeviceId, chain_key: &[u8; 32]) -> Result<(), Error> {
        self.add_chain_at(self.key_for(device)?, &Chain::copy_of(0, chain_key))
    }

    /// The key that the import adds for `device`.
    fn key_for(&self, device: DeviceId) -> Result<KeyId, Error> {
        match (self.takes, self.station.index.has_device(device)) {
            (Takes::Known, _) | (Takes::Any, true) => self.station.next_key(device),
            (Takes::New | Takes::Any, false) => Ok(KeyId::first(device)),
            (Takes::New, true) => {
                let (first, last) = (device, device);
                Err(hintdex_core::Error::AlreadyProvisioned { first, last }.into())
            }
        }
    }

    /// Adds the keys of `key`, whatever keys its device has.
    pub(crate) fn add_at(
        &mut self,
        key: KeyId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Result<(), Error> {
        let Appended::Keys(appended, distinct) = &mut self.appended else {
            let why = "the keys of this fleet move on with their nonces; give each device a \
                chain_key in place of hint_key and dev_key";
            return Err(hintdex_core::Error::NotForThisIndex { call: "import", why }.into());
        };
        distinct.add(key.device, hint_key, dev_key)?;
        appended.add(key, (hint_key, dev_key))
    }

    /// Adds the chain of `key`, whatever keys its device has.
    pub(crate) fn add_chain_at(&mut self, key: KeyId, chain: &Chain) -> Result<(), Error> {
        let Appended::Chains(appended, distinct) = &mut self.appended else {
            let why = "the fleet was created without --ratchet-bits; give each device a hint_key \
                and a dev_key in place of its chain_key";
            return Err(hintdex_core::Error::NotForThisIndex { call: "import", why }.into());
        };
        distinct.add(key.device, chain)?;
        appended.add(key, chain)
    }

    /// Adds the devices, in the order of their ids: all of them, or none. `report` counts
    /// slots.
    ///
    /// Costs 0.2 µs a device more than [`Station::provision`], and 1 µs for each device that
    /// was imported before, whose keys are compared with the new keys.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`], [`Error::SharedKey`], or the errors of [`Station::provision`].
    /// If the [station is poisoned](Station::is_poisoned) afterwards, it must be opened again
    /// to learn whether the fleet has the devices.
    pub fn provision(self, report: Option<Report<'_>>) -> Result<Range<Slot>, Error> {
        self.finish(|station, ranges| station.provision(ranges, report))
    }

    /// Lets the devices change to these keys, as [`Station::rotate`] lets them change to
    /// derived ones. `report` counts slots.
    ///
    /// # Errors
    /// Those of [`provision`](Self::provision) and of [`Station::rotate`].
    pub fn rekey(self, grace_s: u32, report: Option<Report<'_>>) -> Result<(), Error> {
        self.finish(|station, ranges| station.renew(ranges, grace_s, report))
    }

    /// Gives the ids of the devices to new units with these keys, as [`Station::replace`] gives
    /// them to units with derived ones. `report` counts slots.
    ///
    /// # Errors
    /// Those of [`rekey`](Self::rekey).
    pub fn replace(self, report: Option<Report<'_>>) -> Result<(), Error> {
        self.finish(|station, ranges| {
            let ids = ranges.iter().flat_map(|range| range.first.0..=range.last().0);
            station.retire_all(&ids.map(DeviceId).collect::<Vec<_>>())?;
            station.renew(ranges, 0, report)
        })
    }

    /// [Adds](Self::provision) the devices that the fleet lacks, and lets the others
    /// [change](Self::rekey) to their keys: all new devices or none, then all later keys or
    /// none. `report` counts slots.
    ///
    /// # Errors
    /// Those of [`provision`](Self::provision) and [`rekey`](Self::rekey).
    pub fn add_or_rekey(self, grace_s: u32, report: Option<Report<'_>>) -> Result<(), Error> {
        self.finish(|station, ranges| {
            let later = ranges.partition_point(|range| range.generation == 0);
            let (new, later) = ranges.split_at(later);
            if !new.is_empty() {
                station.provision(new, report)?;
            }
            if later.is_empty() { Ok(()) } else { station.renew(later, grace_s, report) }
        })
    }

    /// Adds the keys to the fleet by `add`.
    pub(crate) fn finish<T>(
        self,
        add: impl FnOnce(&Station, &[DeviceRange]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Self { station, mut appended, .. } = self;
        let ranges = DeviceRange::covering_keys(appended.keys()?, KeyOrigin::Imported);
        let FleetKeys { imported, .. } = station.keys.as_ref();
        let before = imported.load_full();
        match &mut appended {
            Appended::Keys(appended, distinct) => {
                let after = appended.finish()?;
                std::mem::take(distinct).check(&after, appended.first_new())?;
                imported.store(Arc::new(after));
            }
            Appended::Chains(appended, distinct) => {
                std::mem::take(distinct).check(&station.keys.chains)?;
                appended.finish()?;
            }
        }
        // From here on a crash may leave the keys in the index, so their records must stay. The
        // next opening ignores the records of keys that the index does not have.
        appended.keep();
        let has_first = || {
            let Some(range) = ranges.first() else { return false };
            let first = KeyId { device: range.first, generation: range.generation };
            let slots = station.index.slots(range.first).into_iter();
            slots.filter_map(|slot| station.index.key(slot)).any(|key| key == first)
        };
        let had_first = has_first();
        let added = add(station, &ranges);
        // Another call may have added the key meanwhile: that key has other bytes.
        let is_rejected = !station.is_poisoned() && (had_first || !has_first());
        if added.is_err() && is_rejected {
            imported.store(before);
            appended.take_back();
        }
        added
    }
}

impl Appended {
    /// The keys that were added, in order.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`] if a device was added twice.
    fn keys(&self) -> Result<Vec<KeyId>, Error> {
        match self {
            Self::Keys(appended, _) => appended.keys(),
            Self::Chains(appended, _) => {
                let mut keys = appended.keys().to_vec();
                keys.sort_unstable();
                match keys.array_windows().find(|[a, b]| a == b) {
                    Some([key, _]) => Err(Error::DeviceTwice { device: key.device }),
                    None => Ok(keys),
                }
            }
        }
    }

    /// Keeps the records in the file from now on.
    const fn keep(&mut self) {
        match self {
            Self::Keys(appended, _) => appended.keep(),
            Self::Chains(appended, _) => appended.keep(),
        }
    }

    /// Cuts the records off after all.
    fn take_back(self) {
        match self {
            Self::Keys(appended, _) => appended.take_back(),
            Self::Chains(appended, _) => appended.take_back(),
        }
    }
}
