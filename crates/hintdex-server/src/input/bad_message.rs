//! Why a message of a broker holds no packet.

use crate::uplink::{MAX_PACKET_LEN_BYTES, Uplink};

/// Why a message holds no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMessage {
    NotText,
    NotHex,
    NotBase64,
    NotJson,
    /// The pointer of the configuration leads to no text.
    NothingThere,
    TooLong,
    /// The bytes are no UplinkFrame of ChirpStack.
    NotUplink,
    /// The gateway reports a wrong checksum on the air.
    BadCrc,
}

impl BadMessage {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotText => "the message is no UTF-8",
            Self::NotHex => "it is not pairs of hex digits",
            Self::NotBase64 => "it is no base64",
            Self::NotJson => "the message is no JSON",
            Self::NothingThere => "the JSON has no text at the pointer of the configuration",
            Self::TooLong => "it is longer than any packet",
            Self::NotUplink => "it is no UplinkFrame of the ChirpStack gateway bridge",
            Self::BadCrc => "its checksum on the air is wrong",
        }
    }
}

/// Refuses a packet that is too long.
pub fn checked(uplink: Uplink) -> Result<Uplink, BadMessage> {
    if uplink.packet.len() > MAX_PACKET_LEN_BYTES { Err(BadMessage::TooLong) } else { Ok(uplink) }
}
