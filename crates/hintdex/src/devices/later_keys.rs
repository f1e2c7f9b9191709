//! Later keys of devices: rotation in the field, and new units under known ids.

use hintdex_core::{DeviceRange, KeyOrigin, Report};
use hintdex_wire::{DeviceId, HintKey, KeyId};
use subtle::ConstantTimeEq;

use crate::maintenance::Addition;
use crate::{Error, Station};

impl Station {
    /// The key of the next generation of `device`.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet has no such device, or if the device has a key of the last
    /// generation, 65,535.
    pub fn next_key(&self, device: DeviceId) -> Result<KeyId, Error> {
        let newest = self.index.slots(device).last().and_then(|slot| self.index.key(*slot));
        let newest = newest.ok_or(hintdex_core::Error::UnknownDevice(device))?;
        let generation = newest.generation.checked_add(1);
        let generation = generation.ok_or(hintdex_core::Error::GenerationPassed {
            device,
            given: newest.generation,
            newest: newest.generation,
        })?;
        Ok(KeyId { device, generation })
    }

    /// Whether these are the keys of the newest generation of `device`. Compares in constant
    /// time, about 1 µs.
    pub fn has_keys(&self, device: DeviceId, hint_key: &HintKey, dev_key: &[u8; 32]) -> bool {
        let newest = self.index.slots(device).last().and_then(|slot| self.index.key(*slot));
        let Some(keys) = newest.and_then(|newest| self.keys.read_bytes(newest)) else {
            return false;
        };
        let (known_hint_key, known_dev_key) = keys.split_at(16);
        let is_equal = known_hint_key.ct_eq(hint_key.expose()) & known_dev_key.ct_eq(dev_key);
        is_equal.into()
    }

    /// Whether this is the first chain key of the newest generation of `device`. Walks to the epoch
    /// of the device and compares in constant time.
    pub fn has_chain(&self, device: DeviceId, chain_key: &[u8; 32]) -> bool {
        let newest = self.index.slots(device).last().and_then(|slot| self.index.key(*slot));
        newest.is_some_and(|newest| self.keys.is_chain(newest, chain_key))
    }

    /// Lets devices change to the next derived key: from now on the station accepts packets
    /// under it. The first such packet of a device retires the keys before, in one write with
    /// the packet; with a grace, they stay valid for that many seconds more. All devices
    /// change or none; each once, in any order. `report` counts slots.
    ///
    /// ```
    /// use hintdex::{KeyStatus, Station, StationOptions, Verdict};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let keys = station.key_source().clone();
    /// # let seal = |generation, nonce| {
    /// #     let id = KeyId { device: DeviceId(42), generation };
    /// #     let (hint_key, key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
    /// #     let mut packet = vec![0; 64];
    /// #     let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, key, nonce);
    /// #     let len = sealer.seal(b"21.5 C", &mut packet).unwrap();
    /// #     packet.truncate(len);
    /// #     packet
    /// # };
    /// // The keys of device 42 are to change; the device learns of it some day.
    /// station.rotate(&[DeviceId(42)], 0, None)?;
    /// assert!(matches!(station.decode(&seal(0, 5))?, Verdict::Accepted { nonce: 5, .. }));
    /// assert!(matches!(station.decode(&seal(1, 0))?, Verdict::Accepted { nonce: 0, .. }));
    /// // Its first key is retired.
    /// assert!(matches!(station.decode(&seal(0, 6))?, Verdict::Unknown(_)));
    /// let status: Vec<KeyStatus> = station.keys_of(DeviceId(42)).iter().map(|key| key.status).collect();
    /// assert_eq!(status, [KeyStatus::Retired, KeyStatus::Active]);
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`next_key`](Self::next_key), [`Error::DeviceTwice`], or those of
    /// [`provision`](Self::provision).
    pub fn rotate(
        &self,
        devices: &[DeviceId],
        grace_s: u32,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        self.renew(&self.next_ranges(devices)?, grace_s, report)
    }

    /// Gives the ids of devices to new units: retires every key of each device, and adds the
    /// next derived key, whose nonces begin at 0. The device may be retired already.
    ///
    /// A crash between the two leaves the devices retired; the same call finishes. `report`
    /// counts slots.
    ///
    /// # Errors
    /// Those of [`rotate`](Self::rotate).
    pub fn replace(&self, devices: &[DeviceId], report: Option<Report<'_>>) -> Result<(), Error> {
        let ranges = self.next_ranges(devices)?;
        self.retire_all(devices)?;
        self.renew(&ranges, 0, report)
    }

    /// The next derived keys of `devices`, as ranges.
    fn next_ranges(&self, devices: &[DeviceId]) -> Result<Vec<DeviceRange>, Error> {
        let mut devices = devices.to_vec();
        devices.sort_unstable();
        if let Some([device, _]) = devices.array_windows().find(|[a, b]| a == b) {
            return Err(Error::DeviceTwice { device: *device });
        }
        let keys = devices.into_iter().map(|device| self.next_key(device));
        Ok(DeviceRange::covering_keys(keys.collect::<Result<_, _>>()?, KeyOrigin::Derived))
    }

    /// Adds later keys of devices.
    pub(crate) fn renew(
        &self,
        ranges: &[DeviceRange],
        grace_s: u32,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        self.add_keys(Addition::LaterKeys(ranges, grace_s), report).map(|_| ())
    }
}
