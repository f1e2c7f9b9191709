//! The lines of an export (docs/format/device-export.md).

use hintdex::wire::{DeviceId, KeyId, RatchetBits, Suite};
use hintdex::{
    ClockTransfer, DeviceSettings, DeviceTransfer, KeyOrigin, KeyTransfer, LateTransfer, Params,
    Retirement, ScheduleClock, WrappedKeys,
};
use serde::{Deserialize, Serialize};

use crate::naming_text::{hint_name, schedule_text, station_point, suite_name};
use crate::settings_text::{max_gap_text, parse_max_gap, parse_rate, rate_text};

/// The version that this program writes and reads.
pub const VERSION: u32 = 1;

/// The first line of an export.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub hintdex_devices: u32,
    pub hint: String,
    pub nonce: String,
    /// The suite; left out for `aes-ctr-hmac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// The associated data of the fleet in hex; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_data: Option<String>,
    /// The lead of the fleet's packets in hex; left out where they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<String>,
    /// The point of the station in hex, where packets have no hints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station_point: Option<String>,
    /// The bits of key epochs; 0 if one key serves all nonces.
    #[serde(default, skip_serializing_if = "is_zero_byte")]
    pub ratchet_bits: u8,
    /// The shortest and the longest delay in milliseconds, where packets follow a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    pub wrapped: bool,
}

impl Header {
    /// The first line of an export of a fleet with these parameters.
    pub fn of(params: &Params, wrapped: bool) -> Self {
        let Params { nonces, associated_data, ratchet, .. } = params;
        let suite = suite_name(params);
        Self {
            hintdex_devices: VERSION,
            hint: hint_name(params).to_owned(),
            nonce: nonces.to_string(),
            suite: (suite != Suite::default().name()).then(|| suite.to_owned()),
            associated_data: Some(associated_data.to_string()).filter(|data| !data.is_empty()),
            lead: params.lead.map(|lead| lead.to_string()),
            station_point: station_point(params),
            ratchet_bits: ratchet.map_or(0, RatchetBits::bits),
            schedule: schedule_text(params),
            wrapped,
        }
    }
}

/// A key of a device.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub device: u32,
    /// The EUI of the device, 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eui: Option<String>,
    generation: u16,
    #[serde(default, skip_serializing_if = "is_false")]
    imported: bool,
    added: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    grace_s: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    retired: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    revoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    next_nonce: u64,
    /// The replay window in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    seen: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Clock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Scheduled>,
    /// The packets of a counter that wait for a second one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pending: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<Late>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    /// The wrapped keys in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

/// The late window of a counter.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Late {
    first: u64,
    nonces: u32,
    /// The blocks of 64 nonces, with the bits of each in hex.
    blocks: Vec<(u64, String)>,
}

/// The settings of a device, as `hintdex device set` reads them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_gap: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
}

impl Settings {
    fn of(settings: &DeviceSettings) -> Option<Self> {
        let DeviceSettings { late_nonces: late, max_gap, rate } = *settings;
        let (max_gap, rate) = (max_gap.map(max_gap_text), rate.map(rate_text));
        (!settings.is_empty()).then_some(Self { late, max_gap, rate })
    }

    fn settings(&self) -> Option<DeviceSettings> {
        let Self { late, max_gap, rate } = self;
        Some(DeviceSettings {
            late_nonces: *late,
            max_gap: max_gap.as_deref().map(parse_max_gap).transpose().ok()?,
            rate: rate.as_deref().map(parse_rate).transpose().ok()?,
        })
    }
}

/// The clock of a device whose packets follow a schedule.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scheduled {
    heard_ms: u64,
    clock_ms: u64,
    baseline_ms: u32,
    baseline_clock_ms: u32,
    rate_ppb: i32,
    rate_half_ppb: u32,
}

impl From<&ScheduleClock> for Scheduled {
    fn from(clock: &ScheduleClock) -> Self {
        let ScheduleClock { heard_ms, clock_ms, .. } = *clock;
        let ScheduleClock { baseline_ms, baseline_clock_ms, rate_ppb, rate_half_ppb, .. } = *clock;
        Self { heard_ms, clock_ms, baseline_ms, baseline_clock_ms, rate_ppb, rate_half_ppb }
    }
}

impl From<Scheduled> for ScheduleClock {
    fn from(clock: Scheduled) -> Self {
        let Scheduled { heard_ms, clock_ms, .. } = clock;
        let Scheduled { baseline_ms, baseline_clock_ms, rate_ppb, rate_half_ppb, .. } = clock;
        Self { heard_ms, clock_ms, baseline_ms, baseline_clock_ms, rate_ppb, rate_half_ppb }
    }
}

/// The clock of a device.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    heard: u64,
    offset_s: (i64, i64),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<(u64, i64, i64)>,
    session_first: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<(u64, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pending: Vec<(u64, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero_byte(value: &u8) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl From<&DeviceTransfer> for Line {
    fn from(DeviceTransfer { state, wrapped }: &DeviceTransfer) -> Self {
        let clock = state.clock.as_ref().map(|clock| Clock {
            heard: clock.heard_unix_s,
            offset_s: clock.offset_s,
            anchor: clock.anchor,
            session_first: clock.session_first,
            past: clock.past.iter().map(|past| (past.start, past.end)).collect(),
            late: clock.late.map(|(next, seen)| (next, format!("{seen:x}"))),
            pending: clock.pending.clone(),
        });
        Self {
            device: state.key.device.0,
            eui: None,
            generation: state.key.generation,
            imported: state.origin == KeyOrigin::Imported,
            added: state.provisioned_unix_s,
            grace_s: state.grace_s,
            retired: state.retirement == Some(Retirement::Now),
            revoked: state.retirement == Some(Retirement::Revoked),
            until: match state.retirement {
                Some(Retirement::At(unix_s)) => Some(unix_s),
                _ => None,
            },
            next_nonce: state.next_nonce,
            seen: if state.seen == 0 { String::new() } else { format!("{:x}", state.seen) },
            heard: state.heard_unix_s,
            clock,
            schedule: state.schedule.as_ref().map(Scheduled::from),
            pending: state.pending.clone(),
            late: state.late.as_ref().map(|late| Late {
                first: late.first,
                nonces: late.late_nonces,
                blocks: late.blocks.iter().map(|(at, bits)| (*at, format!("{bits:x}"))).collect(),
            }),
            settings: Settings::of(&state.settings),
            wrapped: wrapped.as_ref().map(hex::encode),
        }
    }
}

impl Line {
    /// The line with the EUI of its device.
    pub fn with_eui(self, eui: Option<&u64>) -> Self {
        Self { eui: eui.map(|eui| format!("{eui:016x}")), ..self }
    }

    /// The EUI of the device.
    ///
    /// # Errors
    /// Why it is none.
    pub fn eui(&self) -> Result<Option<u64>, &'static str> {
        let Some(text) = &self.eui else { return Ok(None) };
        let is_eui = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let eui = u64::from_str_radix(text, 16).ok().filter(|_| is_eui);
        eui.map(Some).ok_or("its EUI is not 16 hex digits")
    }

    /// The key with its state.
    ///
    /// # Errors
    /// Why the line is not sound.
    pub fn transfer(self) -> Result<DeviceTransfer, &'static str> {
        let bits = |text: &str| match text {
            "" => Ok(0),
            text => u64::from_str_radix(text, 16).map_err(|_| "a replay window is not hex"),
        };
        let wrapped = self.wrapped.map(|text| {
            let mut wrapped: WrappedKeys = [0; size_of::<WrappedKeys>()];
            let decoded = hex::decode_to_slice(&text, &mut wrapped);
            decoded.map(|()| wrapped).map_err(|_| "its wrapped keys are not 72 bytes of hex")
        });
        let clock = self.clock.map(|clock| {
            let late = clock.late.map(|(next, seen)| Ok::<_, &str>((next, bits(&seen)?)));
            Ok::<_, &str>(ClockTransfer {
                heard_unix_s: clock.heard,
                offset_s: clock.offset_s,
                anchor: clock.anchor,
                session_first: clock.session_first,
                past: clock.past.into_iter().map(|(first, end)| first..end).collect(),
                late: late.transpose()?,
                pending: clock.pending,
            })
        });
        let late = self.late.map(|Late { first, nonces, blocks }| {
            let blocks = blocks.iter().map(|(at, text)| Ok((*at, bits(text)?)));
            let blocks: Result<_, &str> = blocks.collect();
            Ok::<_, &str>(LateTransfer { first, late_nonces: nonces, blocks: blocks? })
        });
        let settings = self.settings.map_or(Some(DeviceSettings::default()), |own| own.settings());
        let retirement = match (self.retired, self.revoked, self.until) {
            (false, false, None) => None,
            (true, false, None) => Some(Retirement::Now),
            (false, true, None) => Some(Retirement::Revoked),
            (false, false, Some(unix_s)) => Some(Retirement::At(unix_s)),
            _ => return Err("it retires in two ways"),
        };
        let state = KeyTransfer {
            key: KeyId { device: DeviceId(self.device), generation: self.generation },
            origin: if self.imported { KeyOrigin::Imported } else { KeyOrigin::Derived },
            provisioned_unix_s: self.added,
            grace_s: self.grace_s,
            retirement,
            next_nonce: self.next_nonce,
            seen: bits(&self.seen)?,
            heard_unix_s: self.heard,
            clock: clock.transpose()?,
            schedule: self.schedule.map(ScheduleClock::from),
            pending: self.pending,
            late: late.transpose()?,
            settings: settings.ok_or("its settings are not sound")?,
        };
        Ok(DeviceTransfer { state, wrapped: wrapped.transpose()? })
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex::{MaxGap, Rate};

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let clock = ClockTransfer {
            heard_unix_s: 1_764_000_000,
            offset_s: (-3, 5),
            anchor: Some((1_763_000_000, -9, 9)),
            session_first: 7,
            past: vec![1..3, 4..6],
            late: Some((5, u64::MAX)),
            pending: vec![(9, 1_764_000_001)],
        };
        let ways =
            [None, Some(Retirement::Now), Some(Retirement::Revoked), Some(Retirement::At(9))];
        let schedule = ScheduleClock {
            heard_ms: 1_764_000_000_123,
            clock_ms: 7,
            baseline_ms: 6,
            baseline_clock_ms: 5,
            rate_ppb: -4,
            rate_half_ppb: 3,
        };
        let clocks = [(None, None), (Some(clock), None), (None, Some(schedule)), (None, None)];
        for (retirement, (clock, schedule)) in ways.into_iter().zip(clocks) {
            let state = KeyTransfer {
                key: KeyId { device: DeviceId(u32::MAX), generation: 3 },
                origin: KeyOrigin::Imported,
                provisioned_unix_s: 12,
                grace_s: 60,
                retirement,
                next_nonce: u64::MAX,
                seen: 0x8000_0000_0000_0001,
                heard_unix_s: Some(1_764_000_000),
                pending: vec![(17, 1_764_000_002)],
                late: Some(LateTransfer {
                    first: 3,
                    late_nonces: 1000,
                    blocks: vec![(0, 8), (9, u64::MAX)],
                }),
                settings: DeviceSettings {
                    late_nonces: Some(1000),
                    max_gap: Some(MaxGap::Nonces { accepted: 5, confirmed: u32::MAX }),
                    rate: Some(Rate { packets: 4, per_s: 3600 }),
                },
                clock,
                schedule,
            };
            let transfer = DeviceTransfer { state, wrapped: Some([7; 72]) };
            let text = serde_json::to_string(&Line::from(&transfer)).expect("it can be written");
            let read: Line = serde_json::from_str(&text).expect("it can be read");
            assert_eq!(read.eui(), Ok(None));
            assert_eq!(read.transfer(), Ok(transfer.clone()));
            let with_eui = Line::from(&transfer).with_eui(Some(&0x70b3_d57e_d000_1234));
            assert_eq!(with_eui.eui(), Ok(Some(0x70b3_d57e_d000_1234)));
        }
        let plain = r#"{"device":7,"generation":0,"added":5,"next_nonce":0}"#;
        let line: Line = serde_json::from_str(plain).expect("it can be read");
        let transfer = line.transfer().expect("it is sound");
        assert_eq!(
            serde_json::to_string(&Line::from(&transfer)).expect("it can be written"),
            plain
        );
    }

    #[test]
    fn a_line_that_no_export_writes_is_rejected() {
        for text in [
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"more":1}"#,
            r#"{"device":4294967296,"generation":0,"added":5,"next_nonce":0}"#,
            r#"{"device":7,"generation":65536,"added":5,"next_nonce":0}"#,
            r#"{"device":7,"generation":0,"added":5}"#,
        ] {
            assert!(serde_json::from_str::<Line>(text).is_err(), "{text}");
        }
        for text in [
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"seen":"x"}"#,
            r#"{"device":7,"eui":"70b3","generation":0,"added":5,"next_nonce":0}"#,
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"wrapped":"00"}"#,
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"settings":{"rate":"x"}}"#,
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"late":{"first":0,"nonces":99,"blocks":[[0,"x"]]}}"#,
            r#"{"device":7,"generation":0,"added":5,"next_nonce":0,"retired":true,"until":5}"#,
        ] {
            let line: Line = serde_json::from_str(text).expect("it can be read");
            assert!(line.eui().is_err() || line.transfer().is_err(), "{text}");
        }
    }
}
