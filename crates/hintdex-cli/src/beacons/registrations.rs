//! The columns of beacons in a file of keys.

use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{Registration, RollingPeriod, Rule, Scheme};
use zeroize::Zeroizing;

use super::gaen_export::ExportedKey;
use crate::input::{BadKey, BadRecord, Column, Fields, GivenId, Table, shown};

const EDDYSTONE: Table = Table {
    name: "eddystone-eid",
    columns: &[
        Column::ID,
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
        Column::ID,
        Column::required("key"),
        Column::required("start_interval"),
        Column::optional("rolling_period"),
    ],
};

const BLE_RPA: Table =
    Table { name: "ble-rpa", columns: &[Column::ID, Column::required("key").or(&["irk"])] };

/// The columns of the beacons of a scheme.
pub const fn table(scheme: Scheme) -> &'static Table {
    match scheme {
        Scheme::EddystoneEid => &EDDYSTONE,
        Scheme::Gaen => &GAEN,
        Scheme::BleRpa => &BLE_RPA,
    }
}

/// The id of a record.
pub fn device(fields: &Fields<'_>) -> Result<DeviceId, BadRecord> {
    match fields.device("id")? {
        GivenId::Number(id) => Ok(DeviceId(id)),
        GivenId::Eui(_) => {
            Err(BadRecord::Other("an EUI names no beacon; write a number from 0 to 4294967295"))
        }
    }
}

/// The beacon of a record.
pub fn registration(
    fields: &Fields<'_>,
    scheme: Scheme,
    now_unix_s: u64,
) -> Result<Registration, BadRecord> {
    let device = device(fields)?;
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
                Some(intervals) => rolling_period(intervals)?,
            },
        },
        Scheme::BleRpa => Rule::BleRpa,
    };
    Ok(Registration { device, key, rule })
}

/// The beacon of a key of an export.
pub fn daily_key(device: DeviceId, exported: &ExportedKey<'_>) -> Result<Registration, BadRecord> {
    let key: [u8; 16] = exported.key.try_into().map_err(|_| BadRecord::Key {
        name: "key_data",
        why: BadKey::Length { digits: 2 * exported.key.len() },
        len_bytes: 16,
    })?;
    let key = Zeroizing::new(key);
    if key.iter().all(|byte| *byte == 0) {
        return Err(BadRecord::Key { name: "key_data", why: BadKey::Zero, len_bytes: 16 });
    }
    let start = exported.start_interval.and_then(|start| u32::try_from(start).ok());
    let start_interval = start.ok_or(BadRecord::Other("no rolling_start_interval_number"))?;
    let rolling_period = rolling_period(u32::try_from(exported.rolling_period).unwrap_or(0))?;
    let rule = Rule::Gaen { start_interval, rolling_period };
    Ok(Registration { device, key: HintKey::from_bytes(*key), rule })
}

fn rolling_period(intervals: u32) -> Result<RollingPeriod, BadRecord> {
    let period = RollingPeriod::new(intervals);
    period.ok_or(BadRecord::Other("rolling_period is out of range; it is 1 to 144"))
}

fn exponent(fields: &Fields<'_>) -> Result<RotationExponent, BadRecord> {
    let text = fields.require("k")?;
    let k = fields.number("k").ok().and_then(RotationExponent::new);
    k.ok_or_else(|| BadRecord::Range { name: "k", given: shown(text), allowed: "0 to 15" })
}
