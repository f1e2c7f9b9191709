//! Retiring and revoking devices, and their list.

use hintdex_core::{Retirement, SlotInfo};
use hintdex_wire::{DeviceId, Slot};

use crate::{Error, Station};

impl Station {
    /// Retires a device: from now on its packets are unknown.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet has no such device.
    pub fn retire(&self, device: DeviceId) -> Result<(), Error> {
        self.retire_all(&[device])
    }

    /// Retires devices: from now on their packets are unknown. All of them are retired or none.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet does not have one of them.
    pub fn retire_all(&self, devices: &[DeviceId]) -> Result<(), Error> {
        self.retire_keys(devices, Retirement::Now)
    }

    /// Retires devices at a time of reception, in seconds since 1970: packets that are received
    /// before are accepted. A device that was to retire earlier does.
    ///
    /// # Errors
    /// Those of [`retire_all`](Self::retire_all).
    pub fn retire_at(&self, devices: &[DeviceId], unix_s: u64) -> Result<(), Error> {
        self.retire_keys(devices, Retirement::At(unix_s))
    }

    /// Revokes the keys of devices, or only those of one generation: no packet under them is
    /// accepted from now on, whatever a snapshot holds, and no import gives such a key to a
    /// device again if it was imported.
    ///
    /// # Errors
    /// Those of [`retire_all`](Self::retire_all); also if a device lacks a key of the generation.
    pub fn revoke(&self, devices: &[DeviceId], generation: Option<u16>) -> Result<(), Error> {
        let slots = self.slots_of(devices, generation)?;
        self.retire_slots(&slots, Retirement::Revoked)
    }

    fn retire_keys(&self, devices: &[DeviceId], retirement: Retirement) -> Result<(), Error> {
        let slots = self.slots_of(devices, None)?;
        self.retire_slots(&slots, retirement)
    }

    /// The slots of devices, or of their keys of one generation.
    fn slots_of(&self, devices: &[DeviceId], generation: Option<u16>) -> Result<Vec<Slot>, Error> {
        let mut slots: Vec<Slot> = Vec::with_capacity(devices.len());
        let is_meant = |slot: &Slot| {
            let key = self.index.key(*slot);
            generation.is_none_or(|wanted| key.is_some_and(|key| key.generation == wanted))
        };
        for device in devices {
            let known = slots.len();
            slots.extend(self.index.slots(*device).into_iter().filter(is_meant));
            if slots.len() == known {
                return Err(match generation.filter(|_| self.index.has_device(*device)) {
                    None => hintdex_core::Error::UnknownDevice(*device).into(),
                    Some(generation) => Error::NoSuchGeneration { device: *device, generation },
                });
            }
        }
        Ok(slots)
    }

    fn retire_slots(&self, slots: &[Slot], retirement: Retirement) -> Result<(), Error> {
        self.index.retire_slots(slots, retirement)?;
        if !matches!(retirement, Retirement::At(_)) {
            self.hint_keys.retire(slots);
        }
        self.scans.invalidate_cache();
        Ok(())
    }

    /// Takes the keys that packets under newer keys have retired out of searches, once there
    /// are many: until then they cost searches and nothing else.
    pub(crate) fn drop_keys(&self) {
        let least = (self.index.slot_count() / 16).max(1024);
        let dropped = self.index.take_dropped(least as usize);
        if !dropped.is_empty() {
            self.hint_keys.retire(&dropped);
        }
    }

    /// The keys of `device`, the oldest first; empty if the fleet does not have the device. A
    /// key that was retired long ago may be missing.
    pub fn keys_of(&self, device: DeviceId) -> Vec<SlotInfo> {
        self.index.keys_of(device)
    }

    /// Whether devices may have keys of several generations.
    pub fn has_generations(&self) -> bool {
        self.index.has_generations()
    }

    /// All keys of the fleet, in the order of slots. Calls `each` with some at a time.
    ///
    /// # Errors
    /// The first error of `each`.
    pub fn each_keys<E>(
        &self,
        mut each: impl FnMut(&[SlotInfo]) -> Result<(), E>,
    ) -> Result<(), E> {
        const SLOTS_AT_ONCE: u32 = 1 << 14;
        let end = self.index.slot_count();
        for first in (0..end).step_by(SLOTS_AT_ONCE as usize) {
            let last = end.min(first.saturating_add(SLOTS_AT_ONCE));
            each(&self.index.keys_in(Slot(first)..Slot(last)))?;
        }
        Ok(())
    }
}
