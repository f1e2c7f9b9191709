//! Uplinks of the ChirpStack gateway bridge: `UplinkFrame` of gw.proto, version 4, in protobuf or in
//! JSON, and the JSON of version 3.

mod fields;
mod json;
mod protobuf;

use super::bad_message::{BadMessage, checked};
use crate::uplink::Uplink;

/// Reads a message in either encoding. A JSON object begins with a brace, and no `UplinkFrame` in
/// protobuf does: field 15 with wire type 3 does not exist.
///
/// # Errors
/// Why the message holds no packet.
pub fn parse(message: &[u8]) -> Result<Uplink, BadMessage> {
    let is_json = message.trim_ascii_start().first() == Some(&b'{');
    let uplink = if is_json { json::parse(message) } else { protobuf::parse(message) };
    uplink.and_then(checked)
}
