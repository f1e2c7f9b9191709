//! The columns of beacons in a file of keys.

use std::str::FromStr;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::HintKey;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{Registration, RollingPeriod, Rule, Scheme};

use crate::input::{BadRecord, Column, Fields, Table, shown};

const EDDYSTONE: Table = Table {
    name: "eddystone-eid",
    columns: &[
        Column::required("id"),
        Column::required("key"),
        Column::required("k"),
        Column::required("clock_offset_s"),
        Column::optional("measured_s"),
        Column::optional("randomized"),
    ],
};

const GAEN: Table = Table {
    name: "gaen",
    columns: &[
        Column::required("id"),
        Column::required("key"),
        Column::required("start_interval"),
        Column::optional("rolling_period"),
    ],
};

const BLE_RPA: Table = Table {
    name: "ble-rpa",
    columns: &[
        Column::required("id"),
        Column { name: "key", also: Some("irk"), is_required: true },
    ],
};

/// The columns of the beacons of a scheme.
pub const fn table(scheme: Scheme) -> &'static Table {
    match scheme {
        Scheme::EddystoneEid => &EDDYSTONE,
        Scheme::Gaen => &GAEN,
        Scheme::BleRpa => &BLE_RPA,
    }
}

/// The beacon of a record.
pub fn registration(
    fields: &Fields<'_>,
    scheme: Scheme,
    now_unix_s: u64,
) -> Result<Registration, BadRecord> {
    let device = DeviceId(fields.number("id")?);
    let key = HintKey::from_bytes(*fields.key("key")?);
    let rule = match scheme {
        Scheme::EddystoneEid => Rule::EddystoneEid {
            k: exponent(fields)?,
            clock_offset_s: fields.number("clock_offset_s")?,
            measured_unix_s: optional(fields, "measured_s")?.unwrap_or(now_unix_s),
            is_randomized: match optional::<u8>(fields, "randomized")? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => {
                    return Err(BadRecord::Other("randomized is out of range; it is 0 or 1"));
                }
            },
        },
        Scheme::Gaen => Rule::Gaen {
            start_interval: fields.number("start_interval")?,
            rolling_period: match optional(fields, "rolling_period")? {
                None => RollingPeriod::DAY,
                Some(intervals) => RollingPeriod::new(intervals)
                    .ok_or(BadRecord::Other("rolling_period is out of range; it is 1 to 144"))?,
            },
        },
        Scheme::BleRpa => Rule::BleRpa,
    };
    Ok(Registration { device, key, rule })
}

/// The number in an optional column; `None` if the field is missing or empty.
fn optional<N: FromStr>(fields: &Fields<'_>, name: &'static str) -> Result<Option<N>, BadRecord> {
    match fields.get(name) {
        None | Some("") => Ok(None),
        Some(_) => fields.number(name).map(Some),
    }
}

fn exponent(fields: &Fields<'_>) -> Result<RotationExponent, BadRecord> {
    let text = fields.require("k")?;
    let k = text.parse().ok().and_then(RotationExponent::new);
    k.ok_or_else(|| BadRecord::Range { name: "k", given: shown(text), allowed: "0 to 15" })
}
