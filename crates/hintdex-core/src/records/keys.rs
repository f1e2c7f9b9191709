//! The names of the families, and the keys of their rows.

use hintdex_wire::{DeviceId, Slot};

/// The families of every store.
pub(crate) const META_FAMILY: &str = "default";
pub(crate) const SLOTS_FAMILY: &str = "slots";
pub(crate) const STATES_FAMILY: &str = "states";
/// The family of the accepted points of packets without a nonce; absent in other fleets.
pub(crate) const POINTS_FAMILY: &str = "points";
/// The family of the payloads that readers have not acknowledged; absent before an index was first
/// opened with an outbox.
pub(crate) const OUTBOX_FAMILY: &str = "outbox";
/// The prefix of a window family's name; the window's epoch in hex follows.
pub(crate) const WINDOW_FAMILY_PREFIX: &str = "hints-";

/// The key of the one [`Meta`](super::Meta) record.
pub(crate) const META_KEY: &[u8] = b"meta";
/// The key of the associated data of the fleet; absent where there are none.
pub(crate) const ASSOCIATED_KEY: &[u8] = b"associated-data";
/// The key of the lead of the fleet's packets; absent where they have none.
pub(crate) const LEAD_KEY: &[u8] = b"lead";
/// The key of the [`NamingRecord`](super::NamingRecord); absent where packets have hints.
pub(crate) const NAMING_KEY: &[u8] = b"naming";
/// The key prefix of [`WindowRecord`](super::WindowRecord)s; the epoch follows, big-endian.
pub(crate) const WINDOW_KEY_PREFIX: &[u8] = b"window:";
/// The key prefix of the counters of entries added since a window was built; the epoch follows.
pub(crate) const ADDED_KEY_PREFIX: &[u8] = b"added:";

/// The key of the [`SettingsRecord`](super::SettingsRecord) of the fleet, and the key prefix of
/// those of devices; the id follows, big-endian.
pub(crate) const SETTINGS_KEY_PREFIX: &[u8] = b"set:";

/// The key prefix of the places of the outbox's readers; the name of the reader follows.
pub(crate) const READER_KEY_PREFIX: &[u8] = b"reader:";

/// The key of the settings of a device, or of the fleet.
pub(crate) fn settings_key(device: Option<DeviceId>) -> Vec<u8> {
    let id = device.map(|device| device.0.to_be_bytes());
    [SETTINGS_KEY_PREFIX, id.as_ref().map_or(&[], |id| &id[..])].concat()
}

/// The device of the rest of a settings' key, or the fleet; `None` if it is no such rest.
pub(crate) fn device_of_settings(rest: &[u8]) -> Option<Option<DeviceId>> {
    match rest {
        [] => Some(None),
        id => Some(Some(DeviceId(u32::from_be_bytes(id.try_into().ok()?)))),
    }
}

/// The key of a slot's row.
pub(crate) const fn slot_key(slot: Slot) -> [u8; 4] {
    slot.0.to_be_bytes()
}

/// The slot of a row's key; `None` if the key is not a slot's.
pub(crate) fn slot_of_key(key: &[u8]) -> Option<Slot> {
    Some(Slot(u32::from_be_bytes(key.try_into().ok()?)))
}

/// The key of an epoch's row.
pub(crate) fn epoch_key(prefix: &[u8], epoch: u32) -> Vec<u8> {
    [prefix, &epoch.to_be_bytes()].concat()
}

/// The name of the family of an epoch's window.
pub(crate) fn window_family(epoch: u32) -> String {
    format!("{WINDOW_FAMILY_PREFIX}{epoch:08x}")
}

/// The epoch of a window family's name; `None` for other families.
pub(crate) fn epoch_of_family(name: &str) -> Option<u32> {
    u32::from_str_radix(name.strip_prefix(WINDOW_FAMILY_PREFIX)?, 16).ok()
}
