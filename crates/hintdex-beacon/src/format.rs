//! Names, offsets and widths of every record, for the test that holds the document
//! against them.

use core::mem::offset_of;

use crate::records::{
    BeaconRecord, ClockRecord, ClocksHeader, KeysHeader, WindowRecord, WindowsHeader,
};

/// A field: its name, where it begins and how long it is, in bytes.
///
/// See the example of [`records`].
pub type Field = (&'static str, usize, usize);

/// What the keys begin with.
pub const KEYS_MAGIC: [u8; 8] = *b"\x89HDB\r\n\x1a\n";

/// What the clocks begin with.
pub const CLOCKS_MAGIC: [u8; 8] = *b"\x89HDC\r\n\x1a\n";

/// What the record of windows begins with.
pub const WINDOWS_MAGIC: [u8; 8] = *b"\x89HDW\r\n\x1a\n";

/// The version of the keys that this program writes. It reads version 1, too, in which every
/// beacon is active.
pub const KEYS_VERSION: u16 = 2;

/// The version of the clocks that this program reads and writes.
pub const CLOCKS_VERSION: u16 = 1;

/// The version of the record of windows that this program reads and writes.
pub const WINDOWS_VERSION: u16 = 1;

/// The fields of a record, each ending where the next one begins.
fn fields(offsets: &[(&'static str, usize)], len_bytes: usize) -> Vec<Field> {
    let ends = offsets.iter().skip(1).map(|(_, offset)| *offset).chain([len_bytes]);
    offsets.iter().zip(ends).map(|((name, offset), end)| (*name, *offset, end - offset)).collect()
}

macro_rules! layout {
    ($record:ty: $($field:ident),* $(,)?) => {
        fields(&[$((stringify!($field), offset_of!($record, $field))),*], size_of::<$record>())
    };
}

/// Every record and its fields.
///
/// ```
/// use hintdex_beacon::format::{Field, records};
///
/// for (record, fields) in records() {
///     let (last, offset_bytes, len_bytes): &Field = fields.last().unwrap();
///     println!("{record}: {} bytes, the last field is {last}", offset_bytes + len_bytes);
/// }
/// ```
pub fn records() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        (
            "keys header",
            layout!(KeysHeader: magic, version, reserved, beacons, folder_id, window_key),
        ),
        (
            "beacon record",
            layout!(BeaconRecord: device, scheme, k, rolling_period, flags, key, start, measured_unix_s),
        ),
        (
            "clocks header",
            layout!(ClocksHeader: magic, version, reserved, records, folder_id, moves, crc),
        ),
        (
            "clock record",
            layout!(ClockRecord: slot, kind, held, back, reserved, since_unix_s, least_us, most_us,
                heard_unix_s, newest_step, newest_least_us, newest_most_us, crc),
        ),
        ("windows header", layout!(WindowsHeader: magic, version, reserved, windows, folder_id)),
        ("window record", layout!(WindowRecord: start_unix_s)),
    ]
}
