//! Beacons as rows of a file of keys.

use std::str::FromStr;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::HintKey;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{Registration, RollingPeriod, Rule, Scheme};

use crate::rows::{BadRow, Cells, Column, Table};
use crate::secret_input::shown;

const EDDYSTONE: Table = Table {
    name: "eddystone-eid",
    columns: &[
        Column::needed("id"),
        Column::needed("key"),
        Column::needed("k"),
        Column::needed("clock_offset_s"),
        Column::optional("measured_s"),
        Column::optional("randomized"),
    ],
};

const GAEN: Table = Table {
    name: "gaen",
    columns: &[
        Column::needed("id"),
        Column::needed("key"),
        Column::needed("start_interval"),
        Column::optional("rolling_period"),
    ],
};

const BLE_RPA: Table = Table {
    name: "ble-rpa",
    columns: &[Column::needed("id"), Column { name: "key", also: Some("irk"), is_needed: true }],
};

/// The columns of a scheme's beacons.
pub const fn table(scheme: Scheme) -> &'static Table {
    match scheme {
        Scheme::EddystoneEid => &EDDYSTONE,
        Scheme::Gaen => &GAEN,
        Scheme::BleRpa => &BLE_RPA,
    }
}

/// The beacon in a row.
pub fn registration(
    cells: &Cells<'_>,
    scheme: Scheme,
    now_unix_s: u64,
) -> Result<Registration, BadRow> {
    let device = DeviceId(cells.number("id")?);
    let key = HintKey::from_bytes(*cells.key("key")?);
    let rule = match scheme {
        Scheme::EddystoneEid => Rule::EddystoneEid {
            k: exponent(cells)?,
            clock_offset_s: cells.number("clock_offset_s")?,
            measured_unix_s: given(cells, "measured_s")?.unwrap_or(now_unix_s),
            is_randomized: match given::<u8>(cells, "randomized")? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(BadRow::Other("randomized is out of range; it is 0 or 1")),
            },
        },
        Scheme::Gaen => Rule::Gaen {
            start_interval: cells.number("start_interval")?,
            rolling_period: match given(cells, "rolling_period")? {
                None => RollingPeriod::DAY,
                Some(intervals) => RollingPeriod::new(intervals)
                    .ok_or(BadRow::Other("rolling_period is out of range; it is 1 to 144"))?,
            },
        },
        Scheme::BleRpa => Rule::BleRpa,
    };
    Ok(Registration { device, key, rule })
}

/// The number in a column that may be left out, or empty.
fn given<N: FromStr>(cells: &Cells<'_>, name: &'static str) -> Result<Option<N>, BadRow> {
    match cells.get(name) {
        None | Some("") => Ok(None),
        Some(_) => cells.number(name).map(Some),
    }
}

fn exponent(cells: &Cells<'_>) -> Result<RotationExponent, BadRow> {
    let text = cells.need("k")?;
    let k = text.parse().ok().and_then(RotationExponent::new);
    k.ok_or_else(|| BadRow::Range { name: "k", given: shown(text), allowed: "0 to 15" })
}
