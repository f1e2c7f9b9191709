//! Uplinks of the ChirpStack gateway bridge: `UplinkFrame` of gw.proto, version 4, in protobuf or in
//! JSON, and the JSON of version 3.

mod fields;
mod json;
mod protobuf;

use super::bad_message::{BadMessage, checked};
use crate::uplink::Uplink;

/// Reads a message in either encoding. A JSON object begins with a brace, and no `UplinkFrame` in
/// protobuf does: field 15 with wire type 3 does not exist. White space is not skipped: the first byte in
/// protobuf, 10, is a line feed.
///
/// # Errors
/// Why the message holds no packet.
pub fn parse(message: &[u8]) -> Result<Uplink, BadMessage> {
    let is_json = message.first() == Some(&b'{');
    let uplink = if is_json { json::parse(message) } else { protobuf::parse(message) };
    uplink.and_then(checked)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Its length makes the second byte of a message in protobuf any byte, a brace included.
    #[test]
    fn a_packet_of_any_length_is_read_in_protobuf() {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Frame {
            #[prost(bytes = "vec", tag = "1")]
            phy_payload: Vec<u8>,
            #[prost(message, optional, tag = "5")]
            rx_info: Option<RxInfo>,
        }
        #[derive(Clone, PartialEq, prost::Message)]
        struct RxInfo {
            #[prost(string, tag = "1")]
            gateway_id: String,
        }
        for len in 1..=255_u8 {
            for first in [b'{', b'x', 0] {
                let mut packet = vec![7; usize::from(len)];
                packet.iter_mut().take(1).for_each(|byte| *byte = first);
                let rx_info = Some(RxInfo { gateway_id: "0016c001ff10a235".to_owned() });
                let message = Frame { phy_payload: packet.clone(), rx_info }.encode_to_vec();
                let read = parse(&message).map(|uplink| uplink.packet);
                assert_eq!(read.ok(), Some(packet), "{len} {first}");
            }
        }
    }
}
