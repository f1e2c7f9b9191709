//! What reads bytes of strangers, as the fuzz targets call it.

use std::ffi::OsString;

use crate::config::PayloadForm;
use crate::control::{Answer, greeting, request};
use crate::input::semtech::Datagram;
use crate::input::{line as lines, message as messages, semtech};

/// The packets of a datagram of Semtech's packet forwarder; `None` if the datagram is refused or is no PUSH_DATA.
pub fn datagram(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    match semtech::parse(bytes).ok()? {
        Datagram::Push { body, .. } => {
            Some(body.uplinks.into_iter().map(|uplink| uplink.packet).collect())
        }
        Datagram::Pull { .. } | Datagram::Other => None,
    }
}

/// The number of ways in which a message of MQTT holds a packet.
pub const MESSAGE_FORMS: u8 = 6;

/// The packet in a message of MQTT: the form 0 is that of the ChirpStack gateway bridge, the others are those
/// of `payload` in the configuration.
pub fn message(form: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let pointer = || "/0/data".to_owned();
    let form = match form {
        1 => Some(PayloadForm::Raw),
        2 => Some(PayloadForm::Hex),
        3 => Some(PayloadForm::Base64),
        4 => Some(PayloadForm::JsonHex(pointer())),
        5 => Some(PayloadForm::JsonBase64(pointer())),
        _ => None,
    };
    messages::parse(form.as_ref(), "a/topic", bytes).ok().map(|uplink| uplink.packet)
}

/// The packet in a line, and its time in milliseconds since 1970.
pub fn line(bytes: &[u8]) -> Option<(Vec<u8>, Option<u64>)> {
    let uplink = lines::parse(bytes).ok()?;
    Some((uplink.packet, uplink.reception.time_ms))
}

/// The arguments of a command in the body of a control frame.
pub fn command(body: &[u8]) -> Option<Vec<OsString>> {
    request::arguments_of(body)
}

/// The body of a control frame with these arguments.
pub fn command_body(arguments: &[OsString]) -> Vec<u8> {
    request::to_body(arguments)
}

/// Reads the body of a control frame as a greeting and as an answer. Returns the answer, written again.
pub fn answer(body: &[u8]) -> Option<Vec<u8>> {
    let _ = greeting::parse(body);
    Answer::parse(body).map(|answer| answer.to_body())
}
