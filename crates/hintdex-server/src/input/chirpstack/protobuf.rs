//! An `UplinkFrame` in protobuf: the fields of gw.proto that are used, with their numbers.

use prost::Message;

use super::fields::{BAD_CRC, data_rate};
use crate::input::bad_message::BadMessage;
use crate::uplink::{Reception, Uplink};

#[derive(Clone, PartialEq, Message)]
struct UplinkFrame {
    #[prost(bytes = "vec", tag = "1")]
    phy_payload: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    tx_info: Option<UplinkTxInfo>,
    #[prost(message, optional, tag = "5")]
    rx_info: Option<UplinkRxInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct UplinkTxInfo {
    #[prost(uint32, tag = "1")]
    frequency: u32,
    #[prost(message, optional, tag = "2")]
    modulation: Option<Modulation>,
}

#[derive(Clone, PartialEq, Message)]
struct Modulation {
    #[prost(message, optional, tag = "3")]
    lora: Option<LoraModulationInfo>,
    #[prost(message, optional, tag = "4")]
    fsk: Option<FskModulationInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct LoraModulationInfo {
    #[prost(uint32, tag = "1")]
    bandwidth: u32,
    #[prost(uint32, tag = "2")]
    spreading_factor: u32,
}

#[derive(Clone, PartialEq, Message)]
struct FskModulationInfo {
    #[prost(uint32, tag = "2")]
    datarate: u32,
}

#[derive(Clone, PartialEq, Message)]
struct UplinkRxInfo {
    #[prost(string, tag = "1")]
    gateway_id: String,
    #[prost(message, optional, tag = "3")]
    gw_time: Option<Timestamp>,
    #[prost(int32, tag = "6")]
    rssi: i32,
    #[prost(float, tag = "7")]
    snr: f32,
    #[prost(uint32, tag = "8")]
    channel: u32,
    #[prost(uint32, tag = "11")]
    antenna: u32,
    #[prost(int32, tag = "16")]
    crc_status: i32,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

pub fn parse(message: &[u8]) -> Result<Uplink, BadMessage> {
    let frame = UplinkFrame::decode(message).map_err(|_| BadMessage::NotUplink)?;
    // The default of a field is not on the wire, so a message without both is another message.
    let rx_info = frame.rx_info.ok_or(BadMessage::NotUplink)?;
    if rx_info.crc_status == BAD_CRC {
        return Err(BadMessage::BadCrc);
    }
    let reception = reception(&rx_info, frame.tx_info.as_ref());
    Ok(Uplink { packet: frame.phy_payload, reception })
}

#[expect(clippy::cast_precision_loss, reason = "a signal strength needs no 24 bits")]
fn reception(rx_info: &UplinkRxInfo, tx_info: Option<&UplinkTxInfo>) -> Reception {
    let modulation = tx_info.and_then(|tx_info| tx_info.modulation.as_ref());
    let lora = modulation.and_then(|modulation| modulation.lora.as_ref());
    let fsk = modulation.and_then(|modulation| modulation.fsk.as_ref());
    let lora = lora.map(|lora| data_rate(lora.spreading_factor, lora.bandwidth));
    let id = &rx_info.gateway_id;
    Reception {
        gateway: (!id.is_empty() && id.len() <= 64).then(|| id.clone()),
        time_ms: rx_info.gw_time.as_ref().and_then(unix_ms),
        rssi: Some(rx_info.rssi as f32),
        snr: Some(rx_info.snr).filter(|snr| snr.is_finite()),
        frequency_hz: tx_info.map(|tx_info| tx_info.frequency.into()),
        channel: Some(rx_info.channel),
        data_rate: lora.or_else(|| fsk.map(|fsk| fsk.datarate.to_string())),
        antenna: Some(rx_info.antenna),
        is_time_certain: false,
    }
}

fn unix_ms(time: &Timestamp) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    let nanos = u64::try_from(time.nanos).ok()?;
    seconds.checked_mul(1_000)?.checked_add(nanos / 1_000_000)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame byte by byte, as the encoding of protobuf defines it, with fields that are skipped:
    /// `uplink_id` (2), `context` (13) and `metadata` (15) of `rx_info`.
    fn frame() -> Vec<u8> {
        let lora = [0x08, 0xc8, 0xd0, 0x07, 0x10, 0x07, 0x28, 0x01];
        let modulation = [&[0x1a, 8], &lora[..]].concat();
        let tx_info = [&[0x08, 0xa0, 0xa7, 0xf8, 0x9d, 0x03, 0x12, 10], &modulation[..]].concat();
        let mut rx_info = vec![0x0a, 16];
        rx_info.extend_from_slice(b"0016c001f153a14c");
        rx_info.extend_from_slice(&[0x10, 0x2a]);
        rx_info.extend_from_slice(&[0x1a, 12, 0x08, 0xaa, 0xd1, 0xf9, 0x96, 0x06, 0x10]);
        rx_info.extend_from_slice(&[0x80, 0xca, 0xb5, 0xee, 0x01]);
        rx_info.extend_from_slice(&[0x30, 0xdc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        rx_info.extend_from_slice(&[0x3d, 0, 0, 0x28, 0x41]);
        rx_info.extend_from_slice(&[0x40, 5, 0x6a, 2, 1, 2, 0x7a, 6, 0x0a, 1, b'a', 0x12, 1, b'b']);
        rx_info.extend_from_slice(&[0x80, 0x01, 0x02]);
        let mut frame = vec![0x0a, 3, 0xaa, 0xbb, 0xcc, 0x22, 18];
        frame.extend_from_slice(&tx_info);
        frame.push(0x2a);
        frame.push(u8::try_from(rx_info.len()).expect("a short message"));
        frame.extend_from_slice(&rx_info);
        frame
    }

    #[test]
    fn a_frame_is_read() {
        let uplink = parse(&frame()).expect("a frame");
        assert_eq!(uplink.packet, [0xaa, 0xbb, 0xcc]);
        let expected = Reception {
            gateway: Some("0016c001f153a14c".into()),
            time_ms: Some(1_658_742_954_500),
            rssi: Some(-36.0),
            snr: Some(10.5),
            frequency_hz: Some(868_094_880),
            channel: Some(5),
            data_rate: Some("SF7BW125".into()),
            antenna: Some(0),
            is_time_certain: false,
        };
        assert_eq!(uplink.reception, expected);
        assert_eq!(parse(b""), Err(BadMessage::NotUplink));
    }

    #[test]
    fn a_wrong_checksum_on_the_air_is_named() {
        let mut bad = frame();
        *bad.last_mut().expect("bytes") = 1;
        assert_eq!(parse(&bad), Err(BadMessage::BadCrc));
    }

    proptest! {
        #[test]
        fn no_damage_panics(at in 0..110_usize, byte in any::<u8>()) {
            let mut frame = frame();
            if let Some(damaged) = frame.get_mut(at) {
                *damaged = byte;
            }
            let _ = parse(&frame);
        }
    }
}
