//! Files with one bit flipped.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use hintdex_snapshot::{OpenError, Snapshot};
use rayon::prelude::*;
use tempfile::NamedTempFile;

use super::answers::manifest_len;
use super::key;
use super::repair::{repair, repair_block, seal};

/// Where the data of a file begins, and the length of a check block.
const DATA_AT: usize = 4096;
const BLOCK_LEN_BYTES: usize = 8192;

/// The part of the header that is in use.
const HEADER: Range<usize> = 0..256;

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

/// Writes the bytes at `place` of `bytes` to the same place of `file`.
fn write(file: &File, bytes: &[u8], place: Range<usize>) {
    file.write_all_at(&bytes[place.clone()], place.start as u64).expect("written");
}

/// Flips each of `bits` of a file with these bytes, one at a time, and calls `check` with the
/// bit and the opening of the file. Each thread has a file of its own.
pub fn each_flip(
    bytes: &[u8],
    bits: impl IndexedParallelIterator<Item = usize>,
    check: impl Fn(usize, Result<Snapshot, OpenError>) + Sync + Send,
) {
    bits.for_each_init(
        || file_of(bytes),
        |file, bit| {
            let (at, byte) = (bit / 8, bytes[bit / 8]);
            let flipped = [byte ^ 1 << (bit % 8)];
            file.as_file().write_all_at(&flipped, at as u64).expect("written");
            check(bit, Snapshot::open(file.path(), &key()));
            write(file.as_file(), bytes, at..at + 1);
        },
    );
}

/// As [`each_flip`], with every check repaired after the flip: the code behind the checks reads
/// the flipped bit.
pub fn each_repaired_flip(
    bytes: &[u8],
    bits: impl IndexedParallelIterator<Item = usize>,
    check: impl Fn(usize, Result<Snapshot, OpenError>) + Sync + Send,
) {
    let data = DATA_AT..bytes.len() - manifest_len(bytes);
    bits.for_each_init(
        || (bytes.to_vec(), file_of(bytes)),
        |(changed, file), bit| {
            let at = bit / 8;
            changed[at] ^= 1 << (bit % 8);
            let places = if data.contains(&at) {
                let crc = repair_block(changed, (at - DATA_AT) / BLOCK_LEN_BYTES);
                seal(changed);
                [at..at + 1, crc, HEADER]
            } else {
                // A flip of the header may change all CRCs.
                repair(changed);
                [0..bytes.len(), 0..0, 0..0]
            };
            places.iter().for_each(|place| write(file.as_file(), changed, place.clone()));
            check(bit, Snapshot::open(file.path(), &key()));
            for place in places {
                write(file.as_file(), bytes, place.clone());
                changed[place.clone()].copy_from_slice(&bytes[place]);
            }
        },
    );
}
