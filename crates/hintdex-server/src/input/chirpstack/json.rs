//! An `UplinkFrame` in JSON, as protobuf maps it: names in camelCase, bytes in base64.

use serde::Deserialize;
use serde_json::Value;

use super::fields::{BAD_CRC, data_rate};
use crate::base64_text;
use crate::input::bad_message::BadMessage;
use crate::uplink::{Reception, Uplink};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UplinkFrame {
    phy_payload: Option<String>,
    #[serde(default)]
    tx_info: TxInfo,
    #[serde(default)]
    rx_info: RxInfo,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TxInfo {
    frequency: Value,
    modulation: Value,
    /// Version 3.
    lora_modulation_info: Value,
    #[serde(rename = "loRaModulationInfo")]
    lo_ra_modulation_info: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RxInfo {
    gateway_id: Option<String>,
    /// Version 3: the EUI in base64.
    #[serde(rename = "gatewayID")]
    gateway_id_v3: Option<String>,
    gw_time: Value,
    time: Value,
    rssi: Value,
    snr: Value,
    #[serde(rename = "loRaSNR")]
    lora_snr: Value,
    channel: Value,
    antenna: Value,
    crc_status: Value,
}

pub fn parse(message: &[u8]) -> Result<Uplink, BadMessage> {
    let frame: UplinkFrame = serde_json::from_slice(message).map_err(|_| BadMessage::NotUplink)?;
    let RxInfo { crc_status, .. } = &frame.rx_info;
    if crc_status.as_str() == Some("BAD_CRC") || crc_status.as_i64() == Some(BAD_CRC.into()) {
        return Err(BadMessage::BadCrc);
    }
    let payload = frame.phy_payload.as_deref().ok_or(BadMessage::NotUplink)?;
    let packet = base64_text::decode(payload).ok_or(BadMessage::NotBase64)?;
    Ok(Uplink { packet, reception: reception(&frame) })
}

fn reception(UplinkFrame { tx_info, rx_info, .. }: &UplinkFrame) -> Reception {
    let of_v3 = rx_info.gateway_id_v3.as_deref().and_then(base64_text::decode).map(hex::encode);
    let gateway = rx_info.gateway_id.clone().or(of_v3).filter(|id| id.len() <= 64);
    let of_time = |time: &Value| {
        let time: jiff::Timestamp = time.as_str()?.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    };
    let lora = tx_info.modulation.get("lora");
    let lora = lora.or_else(|| {
        let of_v3 = [&tx_info.lora_modulation_info, &tx_info.lo_ra_modulation_info];
        of_v3.into_iter().find(|info| info.is_object())
    });
    Reception {
        gateway,
        time_ms: of_time(&rx_info.gw_time).or_else(|| of_time(&rx_info.time)),
        rssi: number(&rx_info.rssi),
        snr: number(&rx_info.snr).or_else(|| number(&rx_info.lora_snr)),
        frequency_hz: tx_info.frequency.as_u64(),
        channel: unsigned(&rx_info.channel),
        data_rate: lora.and_then(|lora| {
            let bandwidth = unsigned(lora.get("bandwidth")?)?;
            // Version 3 has kHz.
            let bandwidth_hz = if bandwidth < 1_000 { 1_000 * bandwidth } else { bandwidth };
            Some(data_rate(unsigned(lora.get("spreadingFactor")?)?, bandwidth_hz))
        }),
        antenna: unsigned(&rx_info.antenna),
        is_time_certain: false,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a signal strength needs no 53 bits")]
fn number(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

fn unsigned(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn an_uplink_of_version_4_is_read() {
        let message = br#"{"phyPayload":"AAEBAQEBAQEBAgICAgICAgJpNbxrAh8=",
            "txInfo":{"frequency":868100000,"modulation":{"lora":{"bandwidth":125000,
            "spreadingFactor":7,"codeRate":"CR_4_5"}}},
            "rxInfo":{"gatewayId":"0016c001f153a14c","uplinkId":4217106255,
            "gwTime":"2022-07-25T10:03:22.5Z","rssi":-36,"snr":10.5,"channel":5,"rfChain":1,
            "context":"E3OWOQ==","crcStatus":"CRC_OK"}}"#;
        let uplink = parse(message).expect("an uplink");
        assert_eq!(uplink.packet.len(), 23);
        let expected = Reception {
            gateway: Some("0016c001f153a14c".into()),
            time_ms: Some(1_658_743_402_500),
            rssi: Some(-36.0),
            snr: Some(10.5),
            frequency_hz: Some(868_100_000),
            channel: Some(5),
            data_rate: Some("SF7BW125".into()),
            ..Reception::default()
        };
        assert_eq!(uplink.reception, expected);
        let damaged = String::from_utf8_lossy(message).replace("CRC_OK", "BAD_CRC");
        assert_eq!(parse(damaged.as_bytes()), Err(BadMessage::BadCrc));
    }

    #[test]
    fn an_uplink_of_version_3_is_read() {
        let message = br#"{"phyPayload":"qrs=","txInfo":{"frequency":868300000,
            "modulation":"LORA","loRaModulationInfo":{"bandwidth":125,"spreadingFactor":11}},
            "rxInfo":{"gatewayID":"cnb/AC4GLBg=","time":null,"rssi":-57,"loRaSNR":-3.5,
            "channel":2,"antenna":1}}"#;
        let uplink = parse(message).expect("an uplink");
        assert_eq!(uplink.packet, [0xaa, 0xbb]);
        let Reception { gateway, time_ms, snr, data_rate, antenna, .. } = uplink.reception;
        assert_eq!(gateway.as_deref(), Some("7276ff002e062c18"));
        assert_eq!((time_ms, snr, antenna), (None, Some(-3.5), Some(1)));
        assert_eq!(data_rate.as_deref(), Some("SF11BW125"));
    }

    #[test]
    fn other_objects_are_named() {
        for (message, why) in [
            ("{}", BadMessage::NotUplink),
            (r#"{"phyPayload":5}"#, BadMessage::NotUplink),
            (r#"{"phyPayload":"*"}"#, BadMessage::NotBase64),
            (r#"{"phyPayload":"AA==","rxInfo":5}"#, BadMessage::NotUplink),
        ] {
            assert_eq!(parse(message.as_bytes()), Err(why), "{message}");
        }
    }
}
