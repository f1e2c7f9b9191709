//! The lines of an export of beacons (docs/format/beacon-export.md).

use hintdex::WrapKey;
use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{BeaconTransfer, ClockTransfer, RollingPeriod, Rule, Scheme, Status};
use serde::{Deserialize, Serialize};

/// The version that this program writes and reads.
pub const VERSION: u32 = 1;

/// The first line of an export.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub hintdex_beacons: u32,
}

/// A beacon.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    device: u32,
    scheme: String,
    /// Left out for an active beacon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock_offset_s: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    randomized: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_interval: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rolling_period: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clocks: Vec<Clock>,
    /// The wrapped key in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

/// A hypothesis of the beacon's clock.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    kind: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<(u64, u8, u8)>,
    heard: u64,
    offset_us: (i64, i64),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<(u64, i64, i64)>,
}

/// In the place of a rotation: none was heard.
const NEVER_HEARD: u64 = u64::MAX;

impl From<&ClockTransfer> for Clock {
    fn from(clock: &ClockTransfer) -> Self {
        let (least_us, most_us) = clock.newest_us;
        let newest = (clock.newest_step, least_us, most_us);
        Self {
            kind: clock.kind,
            former: (clock.kind == 2).then_some((clock.since_unix_s, clock.held, clock.back)),
            heard: clock.heard_unix_s,
            offset_us: clock.offset_us,
            newest: (clock.newest_step != NEVER_HEARD).then_some(newest),
        }
    }
}

impl From<Clock> for ClockTransfer {
    fn from(clock: Clock) -> Self {
        let (since_unix_s, held, back) = clock.former.unwrap_or_default();
        let (newest_step, least_us, most_us) = clock.newest.unwrap_or((NEVER_HEARD, 0, 0));
        Self {
            kind: clock.kind,
            held,
            back,
            since_unix_s,
            offset_us: clock.offset_us,
            heard_unix_s: clock.heard,
            newest_step,
            newest_us: (least_us, most_us),
        }
    }
}

/// The owner of a wrapped key: what the key cannot be moved away from.
fn owner(device: u32, rule: &Rule) -> Vec<u8> {
    let start = match rule {
        Rule::Gaen { start_interval, .. } => *start_interval,
        Rule::EddystoneEid { .. } | Rule::BleRpa => 0,
    };
    let scheme = [rule.scheme().number()];
    [b"beacon:".as_slice(), &scheme, &device.to_be_bytes(), &start.to_be_bytes()].concat()
}

impl Line {
    /// The line of a beacon, with its key wrapped.
    pub fn of(beacon: &BeaconTransfer, wrap: &WrapKey) -> Option<Self> {
        let device = beacon.device.0;
        let wrapped = match &beacon.key {
            Some(key) => Some(hex::encode(wrap.wrap_short(&owner(device, &beacon.rule), key)?)),
            None => None,
        };
        let state = match beacon.status {
            Status::Active => None,
            status => Some(status.name().to_owned()),
        };
        let blank = Self {
            device,
            scheme: beacon.rule.scheme().name().to_owned(),
            state,
            k: None,
            clock_offset_s: None,
            measured_s: None,
            randomized: None,
            start_interval: None,
            rolling_period: None,
            clocks: beacon.clocks.iter().map(Clock::from).collect(),
            wrapped,
        };
        Some(match beacon.rule {
            Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized } => Self {
                k: Some(k.get()),
                clock_offset_s: Some(clock_offset_s),
                measured_s: Some(measured_unix_s),
                randomized: is_randomized.then_some(true),
                ..blank
            },
            Rule::Gaen { start_interval, rolling_period } => Self {
                start_interval: Some(start_interval),
                rolling_period: Some(rolling_period.get()),
                ..blank
            },
            Rule::BleRpa => blank,
        })
    }

    fn rule(&self) -> Option<Rule> {
        let rule = match Scheme::from_name(&self.scheme)? {
            Scheme::EddystoneEid => Rule::EddystoneEid {
                k: RotationExponent::new(self.k?)?,
                clock_offset_s: self.clock_offset_s?,
                measured_unix_s: self.measured_s?,
                is_randomized: self.randomized.unwrap_or(false),
            },
            Scheme::Gaen => Rule::Gaen {
                start_interval: self.start_interval?,
                rolling_period: RollingPeriod::new(self.rolling_period?.into())?,
            },
            Scheme::BleRpa => Rule::BleRpa,
        };
        Some(rule)
    }

    /// The beacon with its key.
    ///
    /// # Errors
    /// Why the line is not sound.
    pub fn transfer(self, wrap: &WrapKey) -> Result<BeaconTransfer, &'static str> {
        let rule = self.rule().ok_or("its rule is not sound")?;
        let status = match self.state.as_deref() {
            None => Status::Active,
            Some("retired") => Status::Retired,
            Some("revoked") => Status::Revoked,
            Some(_) => return Err("its state is unknown"),
        };
        let unwrap = |text: String| {
            let mut wrapped = [0; 32];
            hex::decode_to_slice(text, &mut wrapped)
                .map_err(|_| "its key is not 32 bytes of hex")?;
            let key = wrap.unwrap_short(&owner(self.device, &rule), &wrapped);
            key.ok_or("its key is wrapped under another wrap key; give that of the export")
        };
        let key = self.wrapped.map(unwrap).transpose()?;
        let clocks = self.clocks.into_iter().map(ClockTransfer::from).collect();
        Ok(BeaconTransfer { device: DeviceId(self.device), status, rule, key, clocks })
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn beacons() -> Vec<BeaconTransfer> {
        let clock = |kind, newest_step| ClockTransfer {
            kind,
            offset_us: (-5, 7),
            heard_unix_s: 1_764_000_000,
            newest_step,
            newest_us: if newest_step == NEVER_HEARD { (0, 0) } else { (-4, 6) },
            ..ClockTransfer::default()
        };
        let former = ClockTransfer { since_unix_s: 9, held: 2, back: 1, ..clock(2, 17) };
        let k = RotationExponent::new(10).expect("0 to 15");
        let rule = |is_randomized| Rule::EddystoneEid {
            k,
            clock_offset_s: -12,
            measured_unix_s: 1_763_000_000,
            is_randomized,
        };
        let of = |rule, status, clocks| BeaconTransfer {
            device: DeviceId(u32::MAX),
            status,
            rule,
            key: (status != Status::Revoked).then(|| Zeroizing::new([7; 16])),
            clocks,
        };
        let daily = Rule::Gaen { start_interval: 2_900_000, rolling_period: RollingPeriod::DAY };
        vec![
            of(rule(false), Status::Active, vec![clock(1, NEVER_HEARD), former, clock(3, 5)]),
            of(rule(true), Status::Retired, Vec::new()),
            of(daily, Status::Revoked, Vec::new()),
            of(Rule::BleRpa, Status::Active, Vec::new()),
        ]
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let wrap = WrapKey::new(&[9; 32]);
        for beacon in beacons() {
            let line = Line::of(&beacon, &wrap).expect("it can be wrapped");
            let text = serde_json::to_string(&line).expect("it can be written");
            let read: Line = serde_json::from_str(&text).expect("it can be read");
            assert_eq!(read.transfer(&wrap), Ok(beacon.clone()), "{text}");
            let other = WrapKey::new(&[8; 32]);
            let read: Line = serde_json::from_str(&text).expect("it can be read");
            assert_eq!(read.transfer(&other).is_ok(), beacon.key.is_none());
        }
    }

    #[test]
    fn a_key_belongs_to_its_beacon() {
        let wrap = WrapKey::new(&[9; 32]);
        let beacon = beacons().remove(0);
        let line = Line::of(&beacon, &wrap).expect("it can be wrapped");
        let text = serde_json::to_string(&line).expect("it can be written");
        for (field, other) in
            [("\"device\":4294967295", "\"device\":4294967294"), ("eddystone-eid", "ble-rpa")]
        {
            let moved: Line =
                serde_json::from_str(&text.replace(field, other)).expect("it can be read");
            assert!(moved.transfer(&wrap).is_err(), "{other}");
        }
        for unsound in ["\"k\":16", "\"k\":10,\"more\":1", "\"k\":10,\"state\":\"lost\""] {
            let line = serde_json::from_str::<Line>(&text.replace("\"k\":10", unsound));
            assert!(
                line.map(|line| line.transfer(&wrap)).is_ok_and(|line| line.is_err())
                    || unsound.contains("more"),
                "{unsound}"
            );
        }
    }
}
