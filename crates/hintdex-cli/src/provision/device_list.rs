//! The columns of devices in a list.

use hintdex::wire::{DeviceId, HintKey};
use hintdex::{KeyImport, Station};
use zeroize::Zeroizing;

use crate::input::{BadRecord, Column, Fields, GivenId, Table};

/// The columns of devices.
pub const TABLE: Table = Table {
    name: "provisioning",
    columns: &[
        Column::ID,
        Column::optional("hint_key"),
        Column::optional("dev_key"),
        Column::optional("chain_key"),
    ],
};

/// The keys that a device brings.
pub enum GivenKeys {
    /// Its hint key and its device key.
    Keys(Zeroizing<[u8; 16]>, Zeroizing<[u8; 32]>),
    /// Its first chain key, where keys move on with the nonces.
    Chain(Zeroizing<[u8; 32]>),
}

impl GivenKeys {
    /// Adds the keys to an import, for the device `id`.
    pub fn add_to(&self, import: &mut KeyImport<'_>, id: DeviceId) -> Result<(), hintdex::Error> {
        match self {
            Self::Keys(hint_key, dev_key) => import.add(id, &HintKey::copy_of(hint_key), dev_key),
            Self::Chain(chain_key) => import.add_chain(id, chain_key),
        }
    }

    /// Whether these are the keys of the newest generation of the device `id`.
    pub fn are_those_of(&self, station: &Station, id: DeviceId) -> bool {
        match self {
            Self::Keys(hint_key, dev_key) => {
                station.has_keys(id, &HintKey::copy_of(hint_key), dev_key)
            }
            Self::Chain(chain_key) => station.has_chain(id, chain_key),
        }
    }
}

/// A device of a list.
pub struct Device {
    pub id: GivenId,
    /// Its keys; `None` if they are derived.
    pub keys: Option<GivenKeys>,
}

/// The device of a record: with both keys, with a chain key, or without any.
pub fn device(fields: &Fields<'_>) -> Result<Device, BadRecord> {
    let id = fields.device("id")?;
    let has_keys = fields.filled("hint_key").is_some() || fields.filled("dev_key").is_some();
    let keys = match (has_keys, fields.filled("chain_key").is_some()) {
        (false, false) => None,
        (true, false) => Some(GivenKeys::Keys(fields.key("hint_key")?, fields.key("dev_key")?)),
        (false, true) => Some(GivenKeys::Chain(fields.key("chain_key")?)),
        (true, true) => {
            let why = "it has a chain_key and other keys; give the keys that its fleet uses";
            return Err(BadRecord::Other(why));
        }
    };
    Ok(Device { id, keys })
}
