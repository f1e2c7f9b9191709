//! Beacons as rows of a file of keys.

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::HintKey;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{Registration, Rule, Scheme};

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
    ],
};

const GAEN: Table = Table {
    name: "gaen",
    columns: &[Column::needed("id"), Column::needed("key"), Column::needed("start_interval")],
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
            measured_unix_s: match cells.get("measured_s") {
                Some(_) => cells.number("measured_s")?,
                None => now_unix_s,
            },
        },
        Scheme::Gaen => Rule::Gaen { start_interval: cells.number("start_interval")? },
        Scheme::BleRpa => Rule::BleRpa,
    };
    Ok(Registration { device, key, rule })
}

fn exponent(cells: &Cells<'_>) -> Result<RotationExponent, BadRow> {
    let text = cells.need("k")?;
    let k = text.parse().ok().and_then(RotationExponent::new);
    k.ok_or_else(|| BadRow::Range { name: "k", given: shown(text), allowed: "0 to 15" })
}
