//! The columns of beacons in a file of keys.

use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{Registration, RollingPeriod, Rule, Scheme};

use crate::input::{BadRecord, Column, Fields, GivenId, Table, shown};

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
    columns: &[Column::required("id"), Column::required("key").or(&["irk"])],
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
    let device = match fields.device("id")? {
        GivenId::Number(id) => DeviceId(id),
        GivenId::Eui(_) => {
            return Err(BadRecord::Other(
                "an EUI names no beacon; write a number from 0 to 4294967295",
            ));
        }
    };
    let key = HintKey::from_bytes(*fields.key("key")?);
    let rule = match scheme {
        Scheme::EddystoneEid => Rule::EddystoneEid {
            k: exponent(fields)?,
            clock_offset_s: fields.number("clock_offset_s")?,
            measured_unix_s: fields.optional_number("measured_s")?.unwrap_or(now_unix_s),
            is_randomized: match fields.optional_number::<u8>("randomized")? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => {
                    return Err(BadRecord::Other("randomized is out of range; it is 0 or 1"));
                }
            },
        },
        Scheme::Gaen => Rule::Gaen {
            start_interval: fields.number("start_interval")?,
            rolling_period: match fields.optional_number("rolling_period")? {
                None => RollingPeriod::DAY,
                Some(intervals) => RollingPeriod::new(intervals)
                    .ok_or(BadRecord::Other("rolling_period is out of range; it is 1 to 144"))?,
            },
        },
        Scheme::BleRpa => Rule::BleRpa,
    };
    Ok(Registration { device, key, rule })
}

fn exponent(fields: &Fields<'_>) -> Result<RotationExponent, BadRecord> {
    let text = fields.require("k")?;
    let k = fields.number("k").ok().and_then(RotationExponent::new);
    k.ok_or_else(|| BadRecord::Range { name: "k", given: shown(text), allowed: "0 to 15" })
}
