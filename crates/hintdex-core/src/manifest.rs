//! A look at RocksDB's manifest before RocksDB reads it.
//!
//! One turned bit makes the type of a manifest's record that of a recycled log's
//! record, and then RocksDB 11's reader goes round for ever instead of reporting
//! the damage. So the types are checked here first, and nothing else: what is in
//! the records, and their checksums, RocksDB checks itself.
//!
//! And a look at it after files could not be ingested. When the sync of the manifest
//! fails, the manifest may name the new files all the same, but RocksDB removes them as if
//! it did not, and then the database does not open any more. So they are put back.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::Error;

/// Records do not cross the ends of blocks.
const BLOCK_LEN_BYTES: usize = 32 << 10;
/// Checksum (4), length (2, little-endian), type (1).
const HEADER_LEN_BYTES: usize = 7;
/// Whole, first, middle and last parts of a record; 0 is room that was not used.
const LAST_TYPE: u8 = 4;

/// The tag of a table file that an edit adds.
const NEW_FILE_TAG: u64 = 103;
/// Tags with one number behind them: logs, next numbers, sequences, families.
const NUMBER_TAGS: [u64; 8] = [2, 3, 4, 9, 10, 200, 203, 300];
/// Tags with bytes behind their length: names.
const BYTES_TAGS: [u64; 2] = [1, 201];
/// Tags from here on have bytes behind their length, known or not.
const FIRST_SAFE_TAG: u64 = 1 << 13;
/// What ends the fields of a new file.
const LAST_FIELD: u64 = 1;

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

/// Puts back `files`, which could not be ingested into the database in `folder`, if its
/// manifest names them and they are gone: else the database would not open. Where the
/// manifest does not name them nothing is done, and a file too many is removed by RocksDB
/// at the next opening.
pub(crate) fn keep_ingested(folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    let name = fs::read_to_string(folder.join("CURRENT"))?;
    let bytes = fs::read(folder.join(name.trim_end()))?;
    let lengths = files.iter().map(|file| Ok(fs::metadata(file)?.len()));
    let lengths: Vec<u64> = lengths.collect::<io::Result<_>>()?;
    let table = |number: u64| folder.join(format!("{number:06}.sst"));
    let is_ours = |new: &Vec<NewFile>| {
        new.iter().map(|file| file.len_bytes).eq(lengths.iter().copied())
            && new.iter().all(|file| !table(file.number).exists())
    };
    let mut edits = records(&bytes).into_iter().map(|record| new_files(&record));
    if let Some(new) = edits.rfind(is_ours) {
        for (file, new) in files.iter().zip(new) {
            fs::hard_link(file, table(new.number))?;
        }
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A table file that an edit adds.
struct NewFile {
    number: u64,
    len_bytes: u64,
}

/// The records of a manifest, put together from their parts.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut records, mut record, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some([_, _, _, _, low, high, kind]) =
        bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER_LEN_BYTES>)
    {
        let from = at + HEADER_LEN_BYTES;
        at = from + usize::from(u16::from_le_bytes([*low, *high]));
        record.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        if matches!(kind, 1 | 4) {
            records.push(std::mem::take(&mut record));
        }
        let left_in_block = BLOCK_LEN_BYTES - at % BLOCK_LEN_BYTES;
        if left_in_block < HEADER_LEN_BYTES {
            at += left_in_block;
        }
    }
    records
}

/// The files that an edit adds, as far as it can be read.
fn new_files(mut edit: &[u8]) -> Vec<NewFile> {
    let mut files = Vec::new();
    while let Some(tag) = number(&mut edit) {
        let read = match tag {
            NEW_FILE_TAG => new_file(&mut edit).map(|file| files.push(file)),
            tag if NUMBER_TAGS.contains(&tag) => number(&mut edit).map(drop),
            tag if BYTES_TAGS.contains(&tag) || tag >= FIRST_SAFE_TAG => skip(&mut edit),
            _ => None,
        };
        if read.is_none() {
            break;
        }
    }
    files
}

fn new_file(edit: &mut &[u8]) -> Option<NewFile> {
    let _level = number(edit)?;
    let file = NewFile { number: number(edit)?, len_bytes: number(edit)? };
    // The smallest and the largest key, and their sequence numbers.
    skip(edit)?;
    skip(edit)?;
    number(edit)?;
    number(edit)?;
    while number(edit)? != LAST_FIELD {
        skip(edit)?;
    }
    Some(file)
}

/// A number in LEB128.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Goes past bytes that stand behind their length.
fn skip(bytes: &mut &[u8]) -> Option<()> {
    let len_bytes = usize::try_from(number(bytes)?).ok()?;
    *bytes = bytes.get(len_bytes..)?;
    Some(())
}
