//! A message of MQTT as a packet: its bytes, a text, or a text in JSON.

use super::bad_message::{BadMessage, checked};
use super::chirpstack;
use crate::base64_text;
use crate::config::PayloadForm;
use crate::uplink::{Reception, Uplink};

/// The longest part of a topic that names a gateway.
const MAX_GATEWAY_CHARS: usize = 128;

/// Reads a message. `topic` names the gateway of a message that does not.
///
/// # Errors
/// Why the message holds no packet.
pub fn parse(
    form: Option<&PayloadForm>,
    topic: &str,
    message: &[u8],
) -> Result<Uplink, BadMessage> {
    let Some(form) = form else { return chirpstack::parse(message) };
    let packet = match form {
        PayloadForm::Raw => message.to_vec(),
        PayloadForm::Hex => from_hex(text(message)?)?,
        PayloadForm::Base64 => from_base64(text(message)?)?,
        PayloadForm::JsonHex(pointer) => from_hex(&at(message, pointer)?)?,
        PayloadForm::JsonBase64(pointer) => from_base64(&at(message, pointer)?)?,
    };
    let gateway: String = topic.chars().take(MAX_GATEWAY_CHARS).collect();
    let reception = Reception { gateway: Some(gateway), ..Reception::default() };
    checked(Uplink { packet, reception })
}

fn text(message: &[u8]) -> Result<&str, BadMessage> {
    str::from_utf8(message).map_err(|_| BadMessage::NotText)
}

fn from_hex(text: &str) -> Result<Vec<u8>, BadMessage> {
    hex::decode(text.trim_ascii()).map_err(|_| BadMessage::NotHex)
}

fn from_base64(text: &str) -> Result<Vec<u8>, BadMessage> {
    base64_text::decode(text).ok_or(BadMessage::NotBase64)
}

fn at(message: &[u8], pointer: &str) -> Result<String, BadMessage> {
    let value: serde_json::Value =
        serde_json::from_slice(message).map_err(|_| BadMessage::NotJson)?;
    let text = value.pointer(pointer).and_then(serde_json::Value::as_str);
    text.map(str::to_owned).ok_or(BadMessage::NothingThere)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::uplink::MAX_PACKET_LEN_BYTES;

    fn forms() -> [PayloadForm; 5] {
        let pointer = || "/uplink/0/data".to_owned();
        [
            PayloadForm::Raw,
            PayloadForm::Hex,
            PayloadForm::Base64,
            PayloadForm::JsonHex(pointer()),
            PayloadForm::JsonBase64(pointer()),
        ]
    }

    #[test]
    fn every_form_carries_the_packet() {
        let json = |data: &str| format!(r#"{{"uplink":[{{"data":"{data}"}}]}}"#);
        let messages =
            ["abc".to_owned(), "616263".into(), "YWJj".into(), json("616263"), json("YWJj")];
        for (form, message) in forms().iter().zip(messages) {
            let uplink = parse(Some(form), "radio/7/up", message.as_bytes());
            let uplink = uplink.map(|uplink| (uplink.packet, uplink.reception.gateway));
            assert_eq!(uplink, Ok((b"abc".to_vec(), Some("radio/7/up".into()))), "{form:?}");
        }
    }

    #[test]
    fn other_messages_are_named() {
        let [raw, hex, base64, json, _] = forms();
        let why = |form: &PayloadForm, message: &[u8]| parse(Some(form), "", message).err();
        assert_eq!(why(&hex, b"abc"), Some(BadMessage::NotHex));
        assert_eq!(why(&hex, b"\xff"), Some(BadMessage::NotText));
        assert_eq!(why(&base64, b"*"), Some(BadMessage::NotBase64));
        assert_eq!(why(&json, b"abc"), Some(BadMessage::NotJson));
        assert_eq!(why(&json, br#"{"uplink":[{"data":5}]}"#), Some(BadMessage::NothingThere));
        assert_eq!(why(&raw, &[0; MAX_PACKET_LEN_BYTES]), None);
        assert_eq!(why(&raw, &[0; MAX_PACKET_LEN_BYTES + 1]), Some(BadMessage::TooLong));
    }

    proptest! {
        #[test]
        fn no_message_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for form in forms() {
                let _ = parse(Some(&form), "", &bytes);
            }
            let _ = parse(None, "", &bytes);
        }
    }
}
