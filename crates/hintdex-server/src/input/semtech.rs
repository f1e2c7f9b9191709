//! The UDP protocol of Semtech's packet forwarder, version 2 (PROTOCOL.TXT of `packet_forwarder`).
//!
//! A datagram begins with the version, a random token of two bytes, an identifier, and the gateway's
//! EUI. PUSH_DATA carries JSON behind that: `rxpk` with packets, `stat` with the gateway's status.

use serde::Deserialize;

use crate::base64_text;
use crate::uplink::{MAX_PACKET_LEN_BYTES, Reception, Uplink};

const VERSION: u8 = 2;
const PUSH_DATA: u8 = 0;
const PUSH_ACK: u8 = 1;
const PULL_DATA: u8 = 2;
const PULL_ACK: u8 = 4;
const TX_ACK: u8 = 5;

/// The seconds between the epochs of GPS (1980-01-06) and of unix time.
const GPS_EPOCH_UNIX_MS: u64 = 315_964_800_000;
/// The leap seconds since the epoch of GPS, as of 2017-01-01; no further one is announced.
const GPS_LEAP_MS: u64 = 18_000;

/// The most packets of one datagram: 64 KiB of JSON hold fewer than 2,000.
const MAX_PACKETS: usize = 2_048;

/// A datagram of a gateway.
#[derive(Debug, PartialEq)]
pub enum Datagram {
    /// Packets, to be acknowledged with `ack` before they are processed.
    Push { ack: [u8; 4], body: Push },
    /// The gateway asks for downlinks; there are none, and `ack` keeps its route open.
    Pull { ack: [u8; 4] },
    /// A message that needs no answer.
    Other,
}

/// The contents of PUSH_DATA.
#[derive(Debug, Default, PartialEq)]
pub struct Push {
    pub uplinks: Vec<Uplink>,
    /// Packets with a wrong checksum on the air, which were dropped.
    pub crc_errors: u64,
    /// Members of `rxpk` that are no packet: no base64, or of a wrong shape.
    pub malformed: u64,
}

/// Why a datagram is not of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadDatagram {
    TooShort,
    /// Another version of the protocol than 2.
    Version(u8),
    /// An identifier that no gateway sends.
    Identifier(u8),
    NotJson,
}

impl BadDatagram {
    pub fn text(self) -> String {
        match self {
            Self::TooShort => "shorter than the header of 12 bytes".into(),
            Self::Version(version) => format!("version {version} of the protocol, not 2"),
            Self::Identifier(id) => format!("identifier {id}, which no gateway sends"),
            Self::NotJson => "its body is no JSON object with rxpk or stat".into(),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    rxpk: Vec<serde_json::Value>,
}

/// A packet in JSON. A member of a wrong type is read as absent, except `data`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RxPacket {
    data: Option<String>,
    stat: serde_json::Value,
    time: serde_json::Value,
    tmms: serde_json::Value,
    rssi: serde_json::Value,
    lsnr: serde_json::Value,
    freq: serde_json::Value,
    chan: serde_json::Value,
    datr: serde_json::Value,
    ant: serde_json::Value,
    rsig: Vec<serde_json::Value>,
}

/// Reads a datagram. The cost is linear in its length.
///
/// # Errors
/// Why the datagram is not of the protocol.
pub fn parse(datagram: &[u8]) -> Result<Datagram, BadDatagram> {
    let Some((&[version, token_0, token_1, identifier], rest)) = datagram.split_first_chunk()
    else {
        return Err(BadDatagram::TooShort);
    };
    if version != VERSION {
        return Err(BadDatagram::Version(version));
    }
    let Some((eui, body)) = rest.split_first_chunk::<8>() else {
        return Err(BadDatagram::TooShort);
    };
    let ack = |identifier| [VERSION, token_0, token_1, identifier];
    match identifier {
        PUSH_DATA => {
            let body = push(&hex::encode(eui), body)?;
            Ok(Datagram::Push { ack: ack(PUSH_ACK), body })
        }
        PULL_DATA => Ok(Datagram::Pull { ack: ack(PULL_ACK) }),
        TX_ACK => Ok(Datagram::Other),
        other => Err(BadDatagram::Identifier(other)),
    }
}

fn push(gateway: &str, body: &[u8]) -> Result<Push, BadDatagram> {
    let body: Body = serde_json::from_slice(body).map_err(|_| BadDatagram::NotJson)?;
    let mut push = Push::default();
    for value in body.rxpk.into_iter().take(MAX_PACKETS) {
        let Ok(packet) = serde_json::from_value::<RxPacket>(value) else {
            push.malformed += 1;
            continue;
        };
        if packet.stat.as_i64() == Some(-1) {
            push.crc_errors += 1;
            continue;
        }
        let bytes = packet.data.as_deref().and_then(base64_text::decode);
        match bytes.filter(|bytes| bytes.len() <= MAX_PACKET_LEN_BYTES) {
            Some(bytes) => push_uplinks(gateway, &packet, &bytes, &mut push.uplinks),
            None => push.malformed += 1,
        }
    }
    Ok(push)
}

/// One uplink for the packet: the reception of its best antenna.
fn push_uplinks(gateway: &str, packet: &RxPacket, bytes: &[u8], uplinks: &mut Vec<Uplink>) {
    let reception = Reception {
        gateway: Some(gateway.to_owned()),
        time_ms: time_ms(packet),
        rssi: number(&packet.rssi),
        snr: number(&packet.lsnr),
        frequency_hz: frequency_hz(&packet.freq),
        channel: unsigned(&packet.chan),
        data_rate: data_rate(&packet.datr),
        antenna: unsigned(&packet.ant),
        is_time_certain: false,
    };
    let antennas = packet.rsig.iter().map(|antenna| of_antenna(&reception, antenna));
    let best = antennas.max_by(|a, b| strength(a).total_cmp(&strength(b)));
    let reception = best.unwrap_or(reception);
    uplinks.push(Uplink { packet: bytes.to_vec(), reception });
}

fn strength(reception: &Reception) -> f32 {
    reception.rssi.unwrap_or(f32::MIN)
}

/// The reception by one antenna of `rsig`: its own values where it has them.
fn of_antenna(packet: &Reception, antenna: &serde_json::Value) -> Reception {
    let of = |name: &str| antenna.get(name).unwrap_or(&serde_json::Value::Null);
    let rssi = number(of("rssic")).or_else(|| number(of("rssis")));
    Reception {
        rssi: rssi.or(packet.rssi),
        snr: number(of("lsnr")).or(packet.snr),
        channel: unsigned(of("chan")).or(packet.channel),
        antenna: unsigned(of("ant")).or(packet.antenna),
        ..packet.clone()
    }
}

/// The time of reception: of GPS if the gateway has it, else by its clock.
fn time_ms(packet: &RxPacket) -> Option<u64> {
    let of_gps = packet.tmms.as_u64().and_then(|gps_ms| gps_ms.checked_add(GPS_EPOCH_UNIX_MS));
    let of_gps = of_gps.and_then(|unix_ms| unix_ms.checked_sub(GPS_LEAP_MS));
    of_gps.or_else(|| {
        // "The ISO 8601 'compact' format" of the protocol is what RFC 3339 has, too.
        let time: jiff::Timestamp = packet.time.as_str()?.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    })
}

/// A finite number.
#[expect(clippy::cast_possible_truncation, reason = "a signal strength needs no 53 bits")]
fn number(value: &serde_json::Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

fn unsigned(value: &serde_json::Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// `freq` is in MHz.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
#[expect(clippy::cast_sign_loss, reason = "the range is checked")]
fn frequency_hz(value: &serde_json::Value) -> Option<u64> {
    let mhz = value.as_f64().filter(|mhz| (0.0..=1e6).contains(mhz))?;
    Some((mhz * 1e6).round() as u64)
}

/// `datr` is a text with LoRa, and a number of bits a second with FSK.
fn data_rate(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if text.len() <= 32 => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of section 4 of PROTOCOL.TXT, with its three packets and its typing.
    const EXAMPLE: &str = r#"{"rxpk":[
        {"time":"2013-03-31T16:21:17.528002Z","tmst":3512348611,"chan":2,"rfch":0,
         "freq":866.349812,"stat":1,"modu":"LORA","datr":"SF7BW125","codr":"4/6","rssi":-35,
         "lsnr":5.1,"size":32,"data":"-DS4CGaDCdG+48eJNM3Vai-zDpsR71Pn9CPA9uCON84"},
        {"time":"2013-03-31T16:21:17.530974Z","tmst":3512348514,"chan":9,"rfch":1,
         "freq":869.1,"stat":1,"modu":"FSK","datr":50000,"rssi":-75,"size":16,
         "data":"VEVTVF9QQUNLRVRfMTIzNA=="},
        {"time":"2013-03-31T16:21:17.532038Z","tmst":3316387610,"chan":0,"rfch":0,
         "freq":863.00981,"stat":-1,"modu":"LORA","datr":"SF10BW125","codr":"4/7","rssi":-38,
         "lsnr":5.5,"size":32,"data":"ysgRl452xNLep9S1NTIg2lomKDxUgn3DJ7DE+b00Ass"}]}"#;

    fn datagram(identifier: u8, body: &str) -> Vec<u8> {
        let mut bytes = vec![2, 0xbe, 0xef, identifier, 0xaa, 0x55, 0x5a, 0, 0, 0, 1, 1];
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    fn pushed(body: &str) -> Push {
        match parse(&datagram(PUSH_DATA, body)).expect("a datagram") {
            Datagram::Push { ack: [2, 0xbe, 0xef, 1], body } => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_the_protocol_is_read() {
        let push = pushed(EXAMPLE);
        assert_eq!((push.uplinks.len(), push.crc_errors, push.malformed), (2, 1, 0));
        let lora = &push.uplinks[0];
        assert_eq!(lora.packet.len(), 32);
        let expected = Reception {
            gateway: Some("aa555a0000000101".into()),
            time_ms: Some(1_364_746_877_528),
            rssi: Some(-35.0),
            snr: Some(5.1),
            frequency_hz: Some(866_349_812),
            channel: Some(2),
            data_rate: Some("SF7BW125".into()),
            ..Reception::default()
        };
        assert_eq!(lora.reception, expected);
        assert_eq!(push.uplinks[1].packet, b"TEST_PACKET_1234");
        assert_eq!(push.uplinks[1].reception.data_rate.as_deref(), Some("50000"));
    }

    #[test]
    fn acknowledgements_carry_the_token() {
        assert_eq!(parse(&datagram(PULL_DATA, "")), Ok(Datagram::Pull { ack: [2, 0xbe, 0xef, 4] }));
        assert_eq!(parse(&datagram(TX_ACK, "")), Ok(Datagram::Other));
        assert_eq!(pushed(r#"{"stat":{"time":"2014-01-12 08:59:28 GMT"}}"#), Push::default());
    }

    #[test]
    fn the_best_antenna_and_the_time_of_gps_count() {
        let push = pushed(
            r#"{"rxpk":[{"tmms":1200000000123,"data":"AA==","stat":1,"rsig":[
                {"ant":0,"chan":7,"rssic":-90,"lsnr":1.5},
                {"ant":1,"chan":8,"rssic":-80,"lsnr":9.0}]}]}"#,
        );
        let Reception { antenna, rssi, snr, channel, time_ms, .. } = &push.uplinks[0].reception;
        assert_eq!((*antenna, *rssi, *snr, *channel), (Some(1), Some(-80.0), Some(9.0), Some(8)));
        // 2018-01-14T21:19:42.123Z
        assert_eq!(*time_ms, Some(1_515_964_782_123));
    }

    #[test]
    fn what_is_not_of_the_protocol_is_named() {
        assert_eq!(parse(&[]), Err(BadDatagram::TooShort));
        assert_eq!(parse(&[2, 0, 0, 0, 1]), Err(BadDatagram::TooShort));
        assert_eq!(parse(&[1, 0, 0, 0, 1]), Err(BadDatagram::Version(1)));
        assert_eq!(parse(&datagram(9, "")), Err(BadDatagram::Identifier(9)));
        assert_eq!(parse(&datagram(PUSH_DATA, "[]x")), Err(BadDatagram::NotJson));
        let push = pushed(r#"{"rxpk":[3,{},{"data":"*"},{"data":5},{"data":"AA==","rssi":"x"}]}"#);
        assert_eq!((push.uplinks.len(), push.malformed), (1, 4));
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damage_of_an_example_panics(at in 0..EXAMPLE.len(), byte in any::<u8>()) {
            let mut bytes = datagram(PUSH_DATA, EXAMPLE);
            bytes[12 + at] = byte;
            if let Ok(Datagram::Push { body, .. }) = parse(&bytes) {
                prop_assert!(body.uplinks.len() <= 3);
            }
        }
    }
}
