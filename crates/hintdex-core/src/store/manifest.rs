//! A look at RocksDB's manifest before RocksDB reads it.
//!
//! One turned bit makes the type of a manifest's record that of a recycled log's
//! record, and then RocksDB 11's reader goes round for ever instead of reporting
//! the damage. So the types are checked here first, and nothing else: what is in
//! the records, and their checksums, RocksDB checks itself.

use std::fs;
use std::path::Path;

use crate::Error;

/// Records do not cross the ends of blocks.
const BLOCK_LEN_BYTES: usize = 32 << 10;
/// Checksum (4), length (2, little-endian), type (1).
const HEADER_LEN_BYTES: usize = 7;
/// Whole, first, middle and last parts of a record; 0 is room that was not used.
const LAST_TYPE: u8 = 4;

/// Refuses a manifest with a record of a type that no manifest has.
pub(crate) fn check(folder: &Path) -> Result<(), Error> {
    let current = folder.join("CURRENT");
    let name = fs::read_to_string(&current).map_err(Error::io("reading a file", &current))?;
    // A name that is none is RocksDB's to refuse.
    let Ok(bytes) = fs::read(folder.join(name.trim_end())) else { return Ok(()) };
    match foreign_record(&bytes) {
        None => Ok(()),
        Some(at) => Err(Error::corrupted(
            "the store's manifest",
            format!("{}: the record at byte {at} is of no type", name.trim_end()),
        )),
    }
}

/// Where the first record of another type begins, as far as lengths can be followed.
fn foreign_record(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some([_, _, _, _, low, high, kind]) =
        bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER_LEN_BYTES>)
    {
        if *kind > LAST_TYPE {
            return Some(at);
        }
        at += HEADER_LEN_BYTES + usize::from(u16::from_le_bytes([*low, *high]));
        let left_in_block = BLOCK_LEN_BYTES - at % BLOCK_LEN_BYTES;
        if left_in_block < HEADER_LEN_BYTES {
            at += left_in_block;
        }
    }
    None
}
