//! What the index knows of a key, for people.

use std::ops::Range;

use hintdex_wire::{DeviceId, KeyId, Nonce, Slot};

use crate::device_range::KeyOrigin;
use crate::fleet::Fleet;
use crate::index::LiveIndex;
use crate::records::SlotRow;
use crate::states::StateTable;

/// Whether packets under a key are accepted.
///
/// See the example of [`SlotInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyStatus {
    /// They are accepted.
    Active,
    /// They are accepted, and the first one retires the older keys of the device.
    Awaited,
    /// They are accepted until this time, in seconds since 1970: the device uses a newer key.
    Ending(u64),
    /// They are not accepted any longer.
    Retired,
    /// They are not accepted any longer, and the key is remembered as revoked.
    Revoked,
    /// They are not accepted while the stored state or the key is damaged.
    OutOfService,
}

impl KeyStatus {
    /// The name of the status in the program's output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Awaited => "awaited",
            Self::Ending(_) => "ending",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::OutOfService => "out-of-service",
        }
    }

    /// Whether packets under the key are not accepted any longer.
    pub const fn is_retired(self) -> bool {
        matches!(self, Self::Retired | Self::Revoked)
    }

    /// Whether packets under the key may be accepted.
    pub const fn is_in_service(self) -> bool {
        matches!(self, Self::Active | Self::Awaited | Self::Ending(_))
    }
}

/// A key of a device, and what the index knows of it.
///
/// ```
/// use hintdex_core::{KeyStatus, SlotInfo};
/// # use hintdex_core::{DeviceRange, LiveIndex, Options};
/// # use std::sync::Arc;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
/// # let index = LiveIndex::create(&path, keys.clone(), params, &Options::default())?;
/// # index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
/// // Device 3 gets its second key, and has not used it yet.
/// let second = DeviceRange { generation: 1, ..DeviceRange::new(DeviceId(3), 1) };
/// index.renew(&[second], 3600, None)?;
/// let keys: Vec<SlotInfo> = index.keys_of(DeviceId(3));
/// assert_eq!(keys.iter().map(|key| key.key.generation).collect::<Vec<_>>(), [0, 1]);
/// assert_eq!(keys.iter().map(|key| key.status.name()).collect::<Vec<_>>(), ["active", "awaited"]);
/// assert_eq!((keys[1].next_nonce, keys[1].heard_unix_s), (0, None));
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// The slot of the key.
    pub slot: Slot,
    /// The device, and the generation of the key.
    pub key: KeyId,
    /// The origin of the key.
    pub origin: KeyOrigin,
    /// The time at which the key was added, in seconds since 1970.
    pub provisioned_unix_s: u64,
    /// Whether packets under the key are accepted.
    pub status: KeyStatus,
    /// One more than the highest accepted nonce; 0 before the first.
    pub next_nonce: Nonce,
    /// The time of the last accepted packet, in seconds since 1970, to the minute for counters;
    /// `None` before the first.
    pub heard_unix_s: Option<u64>,
    /// With clocked nonces, the least and the most that the device's clock is ahead of station
    /// time, in seconds, as of now.
    pub clock_offset_s: Option<(i64, i64)>,
}

impl LiveIndex {
    /// The keys of `device`, the oldest first; empty if the index does not have the device. A
    /// key that was retired long ago may be missing.
    pub fn keys_of(&self, device: DeviceId) -> Vec<SlotInfo> {
        let fleet = self.fleet();
        fleet.slots(device).into_iter().filter_map(|slot| self.info_of(&fleet, slot)).collect()
    }

    /// The keys at those of `slots` that have one, in order. Costs 50 ns a slot.
    pub fn keys_in(&self, slots: Range<Slot>) -> Vec<SlotInfo> {
        let fleet = self.fleet();
        let keys = fleet.keys(slots.start.0..slots.end.0);
        keys.filter_map(|(slot, _)| self.info_of(&fleet, slot)).collect()
    }

    fn info_of(&self, fleet: &Fleet, slot: Slot) -> Option<SlotInfo> {
        let extent = fleet.extent_of(slot)?;
        let row = self.states.shard(StateTable::shard_of(slot))?.row(StateTable::place_of(slot))?;
        let SlotRow { known, end_unix_s, .. } = row;
        let (state, now_s) = (known.state, self.now_s());
        let is_awaited = || !self.successors.among(std::iter::once(slot)).is_empty();
        let status = match end_unix_s {
            _ if state.is_revoked() => KeyStatus::Revoked,
            _ if state.is_retired() => KeyStatus::Retired,
            _ if state.is_out_of_service() => KeyStatus::OutOfService,
            Some(end_unix_s) if end_unix_s <= now_s => KeyStatus::Retired,
            Some(end_unix_s) => KeyStatus::Ending(end_unix_s),
            None if is_awaited() => KeyStatus::Awaited,
            None => KeyStatus::Active,
        };
        let clock = known.clock.map(|record| record.clock());
        let was_heard = state.next_nonce() > 0;
        let heard_unix_s = match &clock {
            None => state.heard_unix_s(),
            Some(clock) => was_heard.then_some(clock.heard_s),
        };
        Some(SlotInfo {
            slot,
            key: extent.key(slot)?,
            origin: extent.range.origin,
            provisioned_unix_s: extent.provisioned_unix_s,
            status,
            next_nonce: state.next_nonce(),
            heard_unix_s,
            clock_offset_s: clock.map(|clock| clock.offsets_at(now_s, self.timing().max_drift_ppm)),
        })
    }
}
