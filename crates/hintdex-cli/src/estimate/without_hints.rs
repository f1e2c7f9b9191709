//! The estimate of a fleet whose packets have no hints: states, points, and multiplications.

use std::time::{Duration, Instant};

use hintdex::StationOptions;
use hintdex::wire::{
    DeviceId, EphemeralPacket, EphemeralSealer, EphemeralSuite, KeyId, MasterKey, StationSecret,
};
use serde_json::{Value, json};

use super::figures;
use crate::args::EstimateArgs;

/// The length of a state in memory and of its row, and of the row of a point, in bytes
/// (docs/format/live-index.md).
const STATE_LEN_BYTES: u64 = 24;
const STATE_ROW_LEN_BYTES: u64 = 4 + STATE_LEN_BYTES;
const POINT_ROW_LEN_BYTES: u64 = 12 + 8;

/// The estimate as an object. The cost of a packet is measured for as long as `calibration`.
pub fn estimate(args: &EstimateArgs, suite: EphemeralSuite, calibration: Duration) -> Value {
    let (devices, open_s) = (u64::from(args.devices), open_s(suite, calibration));
    // One row a device. Former versions of a row add to these bytes until a compaction.
    let states_bytes = devices * STATE_ROW_LEN_BYTES;
    let point_bytes = if suite == EphemeralSuite::X25519 { POINT_ROW_LEN_BYTES } else { 0 };
    json!({
        "devices": devices,
        "lookahead": 0,
        "hint_scheme": "none",
        "hints": 0,
        "disk": {
            "states_bytes": states_bytes,
            "bytes_per_remembered_packet": point_bytes,
            "repeat_window_s": if point_bytes > 0 { StationOptions::REPEAT_WINDOW_S } else { 0 },
        },
        "memory": { "states_bytes": devices * STATE_LEN_BYTES },
        "packet": {
            "suite": suite.name(),
            "overhead_bytes": suite.overhead_bytes(),
            "open_s": open_s,
            "packets_per_second_and_core": 1.0 / open_s,
        },
    })
}

/// The time in which a packet is opened on this machine, in seconds.
fn open_s(suite: EphemeralSuite, calibration: Duration) -> f64 {
    let (station, device) = (StationSecret::new(&[9; 32]), DeviceId(7));
    let mac_key = MasterKey::new(&[1; 32]).mac_key(KeyId::first(device));
    let mut sealer = EphemeralSealer::new(suite, device, *station.point(), mac_key.clone(), 0);
    let (mut bytes, mut payload) = ([0; 128], [0; 32]);
    let len = sealer.seal(&[3; 32], &[5; 20], &mut bytes).unwrap_or(0);
    let packet = bytes.get(..len).and_then(|bytes| EphemeralPacket::parse(suite, bytes).ok());
    let Some(packet) = packet else { return f64::INFINITY };
    let (started, mut opened) = (Instant::now(), 0_u32);
    while started.elapsed() < calibration {
        let agreed = station.agree(&packet);
        let is_open = agreed.and_then(|agreed| agreed.open(&mac_key, &mut payload).map(drop));
        opened += u32::from(is_open.is_some());
    }
    started.elapsed().as_secs_f64() / f64::from(opened.max(1))
}

/// The estimate as a table.
pub fn to_table(object: &Value) -> String {
    let number = |path: &str| figures::number(object, path);
    let bytes = |path: &str| figures::bytes(object, path);
    let mut text = format!("{} devices, no hints\n\n", number("/devices"));
    text += &format!("{:<22}{}\n", "states on disk", bytes("/disk/states_bytes"));
    if number("/disk/bytes_per_remembered_packet") > 0.0 {
        text += &format!(
            "{:<22}{:>16} bytes a packet of the last {} hours\n",
            "points on disk",
            number("/disk/bytes_per_remembered_packet"),
            number("/disk/repeat_window_s") / 3600.0,
        );
    }
    text += &format!("{:<22}{}\n", "states in memory", bytes("/memory/states_bytes"));
    let suite = object.pointer("/packet/suite").and_then(Value::as_str).unwrap_or_default();
    text += &format!(
        "\n{:<22}{:>16} bytes around the payload, {suite}\n  {:<20}{:>16.2} µs, {:.0} packets a second and core\n",
        "a packet",
        number("/packet/overhead_bytes"),
        "opening takes",
        number("/packet/open_s") * 1e6,
        number("/packet/packets_per_second_and_core"),
    );
    text
}
