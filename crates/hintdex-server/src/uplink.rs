//! A packet as an input hands it over, and how it was received.

use serde::Serialize;

/// The longest packet that is taken, in bytes. A LoRa packet has 255 at most, one of IEEE 802.15.4g
/// 2,047. The bound times the room of each queue bounds the memory.
pub const MAX_PACKET_LEN_BYTES: usize = 2_048;

/// A packet of one gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Uplink {
    /// The bytes of the packet: hint, ciphertext and tag.
    pub packet: Vec<u8>,
    /// How the gateway received the packet.
    pub reception: Reception,
}

/// How one gateway received a packet. A member that the input does not carry is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reception {
    /// The gateway: its EUI in hex, or the address from which its packets come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The time by the gateway's clock, in milliseconds since 1970.
    #[serde(rename = "time", serialize_with = "as_time_text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Received signal strength, in dBm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rssi: Option<f32>,
    /// Signal-to-noise ratio, in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snr: Option<f32>,
    /// The frequency, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<u64>,
    /// The channel of the concentrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u32>,
    /// The data rate as the gateway writes it, like `SF7BW125`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_rate: Option<String>,
    /// The antenna, where the gateway has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub antenna: Option<u32>,
    /// Whether `time_ms` comes from a process of this machine and not from a gateway: it is then
    /// the time of reception.
    #[serde(skip)]
    pub is_time_certain: bool,
}

/// A packet with all its receptions.
#[derive(Clone, Debug, PartialEq)]
pub struct GatheredPacket {
    /// The bytes of the packet.
    pub packet: Vec<u8>,
    /// The arrival of its first copy by the server's clock, in milliseconds since 1970.
    pub arrival_ms: u64,
    /// One for each gateway, in order of arrival; at most [`MAX_RECEPTIONS`].
    pub receptions: Vec<Reception>,
}

/// The most receptions that are kept of one packet. More gateways than this hear no packet.
pub const MAX_RECEPTIONS: usize = 64;

/// A time in milliseconds since 1970 as RFC 3339 with milliseconds.
pub fn time_text(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok();
    let time = time.and_then(|unix_ms| jiff::Timestamp::from_millisecond(unix_ms).ok());
    time.map_or_else(|| unix_ms.to_string(), |time| format!("{time:.3}"))
}

fn as_time_text<S: serde::Serializer>(time_ms: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    match time_ms {
        Some(time_ms) => to.serialize_str(&time_text(*time_ms)),
        None => to.serialize_none(),
    }
}
