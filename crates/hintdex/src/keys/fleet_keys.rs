//! The keys of a fleet, from its master key and from its file of sealed keys.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use hintdex_core::{DeviceRange, KeyOrigin, LiveIndex, Naming};
use hintdex_wire::{
    Chain, CheckValue, Derivation, DeviceId, HintKey, KeyDerivation, KeyId, KeySource, MacKey,
    MasterKey, PacketKey,
};
use zeroize::Zeroizing;

use super::chains::ChainStore;
use super::imported::ImportedKeys;
use super::sealed::KEYS_LEN_BYTES;
use super::siv::Sealer;
use super::station_key::StationKey;
use crate::Error;

/// The file of sealed keys, inside a fleet's folder.
const FILE: &str = "device.keys";

/// The file of chains, inside a fleet's folder.
const CHAIN_FILE: &str = "device.chains";

/// The keys of a fleet.
pub(crate) struct FleetKeys {
    pub(super) master: MasterKey,
    /// The same secret, for keys that are derived with HKDF.
    hkdf: MasterKey,
    /// How the keys of this fleet are derived. The index knows: it asks whether this source
    /// serves its derivation before it uses a key.
    derivation: OnceLock<Derivation>,
    /// Whether the devices have MAC keys in place of packet keys, once the index is open.
    has_mac_keys: OnceLock<bool>,
    /// Replaced as a whole, never changed: keys are read while others are imported.
    pub(super) imported: ArcSwap<ImportedKeys>,
    /// The chains of keys that move on with their nonces.
    pub(super) chains: Arc<ChainStore>,
    /// Held during an import: there is one at a time.
    pub(super) importing: Mutex<()>,
}

impl FleetKeys {
    /// The keys of the fleet in the folder `dir`, whose master secret is `secret`.
    pub(crate) fn open(dir: &Path, secret: &[u8; 32]) -> Result<Arc<Self>, Error> {
        let (master, hkdf) =
            (MasterKey::new(secret), MasterKey::with_derivation(secret, Derivation::Hkdf));
        let imported = ArcSwap::from_pointee(ImportedKeys::open(&dir.join(FILE), &master)?);
        let (derivation, has_mac_keys) = (OnceLock::new(), OnceLock::new());
        let chains = Arc::new(ChainStore::open(&dir.join(CHAIN_FILE), &master)?);
        let importing = Mutex::default();
        Ok(Arc::new(Self { master, hkdf, derivation, has_mac_keys, imported, chains, importing }))
    }

    /// What seals secrets of this fleet under its master key.
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::new(&self.master)
    }

    /// The master key that derives the keys of devices.
    pub(super) fn deriving(&self) -> &MasterKey {
        match self.derivation.get() {
            Some(Derivation::Hkdf) => &self.hkdf,
            _ => &self.master,
        }
    }

    /// Ignores the keys of devices that `index` does not have, which an interrupted import
    /// left, and takes devices whose key is missing or damaged out of service.
    ///
    /// Unseals every imported key, about 1 µs each.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] if the file is missing, or holds fewer keys than the index has
    /// devices with imported keys.
    pub(crate) fn reconcile(&self, index: &LiveIndex) -> Result<(), Error> {
        let is_ephemeral = matches!(index.params().naming, Naming::Ephemeral { .. });
        self.has_mac_keys.get_or_init(|| is_ephemeral);
        if index.params().ratchet.is_some() {
            return self.reconcile_chains(index);
        }
        let (ranges, imported) = (index.imported_ranges(), self.imported.load_full());
        if ranges.is_empty() && imported.is_empty() {
            return Ok(());
        }
        let kept = imported.only(&ranges);
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
        self.imported.store(Arc::new(kept));
        Ok(())
    }

    /// The hint key and the 32 bytes of the packet key of `key`; `None` if an imported key is
    /// missing or damaged.
    pub(crate) fn read_bytes(&self, key: KeyId) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        let imported = self.imported.load();
        if let Some(of_import) = imported.read_key(key) {
            return of_import;
        }
        self.derive_bytes(key)
    }

    /// [`read_bytes`](Self::read_bytes) of the keys that the master key derives. Where packets have
    /// no hints, the MAC key takes the place of the packet key.
    pub(crate) fn derive_bytes(&self, key: KeyId) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        let mut bytes = Zeroizing::new([0; KEYS_LEN_BYTES]);
        let (hint_key, dev_key) = bytes.split_at_mut(16);
        hint_key.copy_from_slice(self.deriving().hint_key(key)?.expose());
        match self.has_mac_keys.get() {
            Some(true) => dev_key.copy_from_slice(self.deriving().mac_key(key).expose()),
            _ => dev_key.copy_from_slice(self.deriving().dev_key(key).as_slice()),
        }
        Some(bytes)
    }

    /// Stores the station key in the folder `dir`.
    pub(crate) fn store_station_key(&self, dir: &Path, key: &StationKey) -> Result<(), Error> {
        key.store(dir, &self.master)
    }

    /// The station key of a fleet in the folder `dir` whose packets have no hints; `None` for
    /// other fleets.
    ///
    /// # Errors
    /// [`Error::StationKey`] if the key is missing, damaged or of another fleet, or
    /// [`Error::File`].
    pub(crate) fn load_station_key(
        &self,
        dir: &Path,
        naming: &Naming,
    ) -> Result<Option<StationKey>, Error> {
        let Naming::Ephemeral { station, .. } = naming else { return Ok(None) };
        let key = StationKey::load(dir, &self.master, station)?;
        let missing = || Error::StationKey { path: StationKey::path(dir), why: "it is missing" };
        key.ok_or_else(missing).map(Some)
    }

    /// The error of a device whose imported key is missing or damaged.
    pub(crate) fn missing(&self, device: DeviceId) -> Error {
        let path = self.imported.load().path().into();
        Error::KeysMissing { path, first: device, last: device }
    }

    /// Checks that every range whose keys are imported has them.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] for the first range that lacks a key.
    pub(crate) fn check_imported(&self, ranges: &[DeviceRange]) -> Result<(), Error> {
        let imported = self.imported.load();
        let lacks = |range: &&DeviceRange| {
            range.origin == KeyOrigin::Imported
                && !imported.has_all(range)
                && !self.has_all_chains(range)
        };
        let Some(range) = ranges.iter().find(lacks) else { return Ok(()) };
        let (first, last) = (range.first, range.last());
        Err(Error::KeysMissing { path: imported.path().into(), first, last })
    }

    /// Unseals every imported key, and every chain. Returns the number of imported keys.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] for a key that is missing or damaged, [`Error::DeviceKeys`] for a
    /// chain that is damaged.
    pub(crate) fn verify_imported(&self) -> Result<u64, Error> {
        Ok(self.imported.load().verify()? + self.verify_chains()?)
    }
}

impl KeySource for FleetKeys {
    fn hint_key(&self, key: KeyId) -> Option<HintKey> {
        match self.imported.load().unseal(key) {
            None => self.deriving().hint_key(key),
            Some(keys) => keys.map(|(hint_key, _)| hint_key),
        }
    }

    fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
        match self.imported.load().unseal(key) {
            None => self.deriving().packet_key(key),
            Some(keys) => keys.map(|(_, packet_key)| packet_key),
        }
    }

    fn packet_key_derivation(&self, key: KeyId) -> Option<KeyDerivation<'_>> {
        match self.imported.load().has(key) {
            false => self.deriving().packet_key_derivation(key),
            true => None,
        }
    }

    fn mac_key(&self, key: KeyId) -> Option<MacKey> {
        match self.imported.load().read_key(key) {
            None => Some(self.deriving().mac_key(key)),
            // The device key of an imported record is the MAC key.
            Some(keys) => Some(MacKey::copy_of(keys?.last_chunk()?)),
        }
    }

    fn chain(&self, key: KeyId, epoch: u32) -> Option<Chain> {
        self.chain_in(key, epoch)
    }

    fn check_value(&self, context: &[u8]) -> CheckValue {
        self.master.check_value(context)
    }

    fn serves(&self, derivation: Derivation) -> bool {
        *self.derivation.get_or_init(|| derivation) == derivation
    }
}
