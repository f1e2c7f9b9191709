//! Devices on their way to another fleet, with their states, and with their keys if wrapped.

use hintdex_core::{KeyOrigin, KeyTransfer, Report, Retirement};
use hintdex_wire::{HintKey, KeyId, RatchetBits, Slot};
use subtle::ConstantTimeEq;

use crate::keys::{KeyImport, WrapKey, WrappedKeys, chain_of_bytes};
use crate::{Error, Station};

/// A key of a device with its state, and with the key itself if it is wrapped.
///
/// ```
/// use hintdex::{DeviceTransfer, Station, StationOptions, Verdict, WrapKey, WrappedKeys};
/// # use hintdex::DeviceRange;
/// # use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
/// # let create = |name: &str| {
/// #     Station::create(&folder.path().join(name), None, params, &StationOptions::default())
/// # };
/// # let (here, there) = (create("here")?, create("there")?);
/// # here.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
/// # let (keys, id) = (here.key_source(), KeyId::first(DeviceId(42)));
/// # let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
/// # let mut packet = [0; 64];
/// # let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 7)
/// #     .seal(b"21.5 C", &mut packet)
/// #     .unwrap();
/// # let packet = &packet[..len];
/// assert!(matches!(here.decode(packet)?, Verdict::Accepted { .. }));
/// // The fleet there has another master key, so the keys travel, too.
/// let wrap = WrapKey::new(&[9; 32]);
/// let devices: Vec<DeviceTransfer> = here.export(Some(&wrap))?;
/// let wrapped: &Option<WrappedKeys> = &devices[42].wrapped;
/// assert!(wrapped.is_some());
/// there.import(&devices, Some(&wrap), None)?;
/// assert!(matches!(there.decode(packet)?, Verdict::Replay { nonce: 7, .. }));
/// # Ok::<(), hintdex::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTransfer {
    /// The key and its state.
    pub state: KeyTransfer,
    /// The keys, wrapped under the [`WrapKey`] of the export.
    pub wrapped: Option<WrappedKeys>,
}

impl Station {
    /// Every key of the fleet with its state, in the order of slots. The keys themselves are
    /// included, wrapped, if there is a wrap key.
    ///
    /// Decode no packets meanwhile, and none afterwards: the devices are then those of the
    /// other fleet. Takes 400 bytes of memory a key.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] for a key that is missing or damaged, [`Error::Index`] if packets have
    /// no nonce.
    pub fn export(&self, wrap: Option<&WrapKey>) -> Result<Vec<DeviceTransfer>, Error> {
        self.check_transfer("export")?;
        let states = self.index.export(Slot(0)..Slot(self.index.slot_count()))?;
        let transfer = |state: KeyTransfer| {
            let wrapped = match wrap {
                None => None,
                // No packet is accepted under it, so its bytes may stay behind.
                Some(_) if is_retired(&state) => None,
                Some(wrap) => {
                    let keys = match self.params().ratchet {
                        None => self.keys.read_bytes(state.key),
                        Some(bits) => self.keys.read_chain_bytes(state.key, bits),
                    };
                    let wrapped = keys.and_then(|keys| wrap.wrap(state.key, &keys));
                    let device = state.key.device;
                    Some(wrapped.ok_or_else(|| self.keys.missing(device))?)
                }
            };
            Ok(DeviceTransfer { state, wrapped })
        };
        states.into_iter().map(transfer).collect()
    }

    /// Adds devices that were exported from another fleet, with their states: all of them, or
    /// none. A key that this fleet's master key derives stays derived; any other key is
    /// imported.
    ///
    /// Then builds the index anew. Packets are decoded meanwhile, by scans. `report` counts
    /// slots.
    ///
    /// # Errors
    /// [`Error::NotWrapped`] for a key that this fleet cannot have without its bytes,
    /// [`Error::WrongWrapKey`], [`Error::SharedKey`], [`Error::Index`] if the fleet has one of
    /// the devices or a state is not sound, or those of [`provision`](Self::provision).
    pub fn import(
        &self,
        devices: &[DeviceTransfer],
        wrap: Option<&WrapKey>,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        self.check_transfer("import")?;
        let mut import = self.import_keys()?;
        self.check_absent(devices)?;
        let mut states = Vec::with_capacity(devices.len());
        let mut has_imported = false;
        for DeviceTransfer { state, wrapped } in devices {
            let (key, device) = (state.key, state.key.device);
            let keys = match (wrapped, wrap) {
                (Some(wrapped), Some(wrap)) => {
                    let keys = wrap.unwrap(key, wrapped);
                    Some(keys.ok_or(Error::WrongWrapKey { device })?)
                }
                (None, _) if state.origin == KeyOrigin::Derived || is_retired(state) => None,
                _ => return Err(Error::NotWrapped { device }),
            };
            let is_given = match (&keys, self.params().ratchet) {
                (None, _) => false,
                (Some(keys), None) => self.take_keys(&mut import, key, keys)?,
                (Some(keys), Some(bits)) => self.take_chain(&mut import, key, keys, bits)?,
            };
            has_imported |= is_given;
            let origin = if is_given { KeyOrigin::Imported } else { KeyOrigin::Derived };
            states.push(KeyTransfer { origin, ..state.clone() });
        }
        if has_imported {
            import.finish(|station, _| station.take_transfers(&states))?;
        } else {
            drop(import);
            self.take_transfers(&states)?;
        }
        self.maintenance_pass().run(report)
    }

    /// Adds the keys of a transfer to `import`, unless the fleet derives them. Returns whether they
    /// were added.
    fn take_keys(
        &self,
        import: &mut KeyImport<'_>,
        key: KeyId,
        keys: &[u8; 48],
    ) -> Result<bool, Error> {
        let derived = self.keys.derive_bytes(key);
        if derived.is_some_and(|derived| keys.ct_eq(derived.as_slice()).into()) {
            return Ok(false);
        }
        let (hint_key, dev_key) = keys.split_at(16);
        let (Ok(hint_key), Ok(dev_key)) = (hint_key.try_into(), dev_key.try_into()) else {
            return Err(Error::WrongWrapKey { device: key.device });
        };
        import.add_at(key, &HintKey::copy_of(hint_key), dev_key)?;
        Ok(true)
    }

    /// [`take_keys`](Self::take_keys) of a chain.
    fn take_chain(
        &self,
        import: &mut KeyImport<'_>,
        key: KeyId,
        keys: &[u8; 48],
        bits: RatchetBits,
    ) -> Result<bool, Error> {
        let Some(chain) = chain_of_bytes(keys, bits) else {
            let why = "a device comes from a fleet whose key epochs have another length; import it \
                into a fleet with the same --ratchet-bits";
            return Err(hintdex_core::Error::NotForThisIndex { call: "import", why }.into());
        };
        let derived = self.keys.derive_chain(key, chain.epoch());
        if derived.is_some_and(|derived| derived.expose().ct_eq(chain.expose()).into()) {
            return Ok(false);
        }
        import.add_chain_at(key, &chain)?;
        Ok(true)
    }

    /// Refuses a transfer where packets have no nonce: the points that identify their repeats stay behind.
    fn check_transfer(&self, call: &'static str) -> Result<(), Error> {
        if !self.params().naming.has_points() {
            return Ok(());
        }
        let why = "x25519 packets have no nonce, so another fleet could not recognize their repeats; move \
            the whole folder";
        Err(hintdex_core::Error::NotForThisIndex { call, why }.into())
    }

    /// Refuses a transfer of a device that the fleet has, before a key of it is stored.
    fn check_absent(&self, devices: &[DeviceTransfer]) -> Result<(), Error> {
        let is_there =
            |transfer: &&DeviceTransfer| self.index.has_device(transfer.state.key.device);
        let Some(transfer) = devices.iter().find(is_there) else { return Ok(()) };
        let (first, last) = (transfer.state.key.device, transfer.state.key.device);
        Err(hintdex_core::Error::AlreadyProvisioned { first, last }.into())
    }

    fn take_transfers(&self, states: &[KeyTransfer]) -> Result<(), Error> {
        self.index.import(states)?;
        self.hint_keys.extend(&[])?;
        self.scans.invalidate_cache();
        Ok(())
    }
}

/// Whether no packet is accepted under the key any longer.
const fn is_retired(state: &KeyTransfer) -> bool {
    matches!(state.retirement, Some(Retirement::Now | Retirement::Revoked))
}
