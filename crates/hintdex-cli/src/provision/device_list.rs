//! The columns of devices in a list.

use zeroize::Zeroizing;

use crate::input::{BadRecord, Column, Fields, GivenId, Table};

/// The columns of devices.
pub const TABLE: Table = Table {
    name: "provisioning",
    columns: &[Column::ID, Column::optional("hint_key"), Column::optional("dev_key")],
};

/// The hint key and the device key of a device.
pub type GivenKeys = (Zeroizing<[u8; 16]>, Zeroizing<[u8; 32]>);

/// A device of a list.
pub struct Device {
    pub id: GivenId,
    /// Its keys; `None` if they are derived.
    pub keys: Option<GivenKeys>,
}

/// The device of a record: with both keys, or without.
pub fn device(fields: &Fields<'_>) -> Result<Device, BadRecord> {
    let id = fields.device("id")?;
    if fields.filled("hint_key").is_none() && fields.filled("dev_key").is_none() {
        return Ok(Device { id, keys: None });
    }
    Ok(Device { id, keys: Some((fields.key("hint_key")?, fields.key("dev_key")?)) })
}
