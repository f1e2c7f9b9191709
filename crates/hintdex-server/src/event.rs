//! An accepted payload as one JSON object, as outputs hand it out.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::fleets::Fleet;
use crate::outbox::Entry;
use crate::uplink::time_text;

/// A payload as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place of its fleet in the station.
    pub fleet: usize,
    /// The number in the outbox of its fleet.
    pub number: u64,
    /// The device.
    pub device: u32,
    /// Its EUI, if it has one.
    pub eui: Option<u64>,
    /// Whether it may have been handed out before.
    pub is_again: bool,
    /// One JSON object without a line end.
    pub text: String,
}

impl Event {
    /// The event of a payload. `is_again` says that it may have been handed out before.
    pub fn new(
        fleet_number: usize,
        fleet: &Fleet,
        euis: &HashMap<u32, u64>,
        entry: &Entry,
        is_again: bool,
    ) -> Self {
        let (device, nonce) = (entry.device.0, entry.nonce);
        let mut text = format!(r#"{{"verdict":"accepted","device":{device}"#);
        // Writing to a string never fails.
        let eui = euis.get(&device).copied();
        if let Some(eui) = eui {
            let _ = write!(text, r#","eui":"{eui:016x}""#);
        }
        let _ = write!(text, r#","nonce":{nonce}"#);
        if let Some(made) = fleet.nonces.device_time_s(nonce) {
            let made = jiff_seconds(made.start);
            let _ = write!(text, r#","time":"{made}""#);
        }
        let (payload, source) = (hex::encode(&entry.payload), entry.source.name());
        let name = serde_json::Value::from(fleet.name.as_str());
        let (number, received) = (entry.number, time_text(entry.received_ms));
        let receptions = str::from_utf8(&entry.context).ok().filter(|text| !text.is_empty());
        let _ = write!(
            text,
            r#","payload":"{payload}","source":"{source}","fleet":{name},"number":{number},"received":"{received}","receptions":{}"#,
            receptions.unwrap_or("[]"),
        );
        text.push_str(if is_again { r#","again":true}"# } else { "}" });
        Self { fleet: fleet_number, number, device, eui, is_again, text }
    }
}

/// A time in seconds since 1970 as RFC 3339, or as a number after the year 9999.
fn jiff_seconds(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).ok();
    let time = time.and_then(|unix_s| jiff::Timestamp::from_second(unix_s).ok());
    time.map_or_else(|| unix_s.to_string(), |time| time.to_string())
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use std::path::Path;

    use hintdex::Source;
    use hintdex::wire::{DeviceId, NonceKind};

    use super::*;

    #[test]
    fn an_event_is_one_object_of_json() {
        let name = "a \"fleet\"".to_owned();
        let none = |_: &Path| Ok(HashMap::new());
        let fleet = Fleet::new(name, Path::new(""), NonceKind::Counter, none);
        let euis = HashMap::from([(42, 0xaa55)]);
        let entry = Entry {
            number: 7,
            device: DeviceId(42),
            nonce: 3,
            source: Source::Snapshot,
            received_ms: 1_764_000_000_123,
            payload: b"21.5 C".to_vec(),
            context: br#"[{"gateway":"g"}]"#.to_vec(),
        };
        let event = Event::new(0, &fleet, &euis, &entry, false);
        assert_eq!(
            event.text,
            r#"{"verdict":"accepted","device":42,"eui":"000000000000aa55","nonce":3,"payload":"32312e352043","source":"snapshot","fleet":"a \"fleet\"","number":7,"received":"2025-11-24T16:00:00.123Z","receptions":[{"gateway":"g"}]}"#
        );
        let again = Event::new(0, &fleet, &euis, &Entry { context: vec![], ..entry }, true);
        let value: serde_json::Value = serde_json::from_str(&again.text).expect("JSON");
        assert_eq!(
            (value["again"].as_bool(), value["receptions"].as_array().map(Vec::len)),
            (Some(true), Some(0))
        );
    }
}
