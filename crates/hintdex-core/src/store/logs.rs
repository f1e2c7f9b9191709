//! A check of RocksDB's logs, including the manifest, before RocksDB reads them.
//!
//! RocksDB checks the payloads of a log's records by checksums. Two kinds of damage to a
//! record's header pass that check, because they look like the end of a log that a crash cut
//! off:
//!
//! - The type of a recycled log's record. This store recycles no logs. Even so, RocksDB 11
//!   takes such a record for an old one that ends the log, or its reader never returns.
//! - A length that reaches past the end of the file. RocksDB ignores everything behind that
//!   header: acknowledged states, or files of the store.
//!
//! This module rejects both. It accepts a log that was really cut off: there, no prefix of the
//! last payload has the record's checksum.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::Error;

/// The length of a block. No record crosses the end of one.
const BLOCK_LEN_BYTES: usize = 32 << 10;
/// The length of a header: checksum (4), length (2, little-endian), type (1).
const HEADER_LEN_BYTES: usize = 7;
/// The highest type of a record: whole, first, middle and last part are 1 to 4. Type 0 is
/// unused room.
const LAST_TYPE: u8 = 4;

/// Rejects a store whose manifest or write-ahead logs have a damaged header that RocksDB would
/// not report.
pub(super) fn check(folder: &Path) -> Result<(), Error> {
    check_all(folder, false)
}

/// Finds the log that RocksDB rejected without naming it: the first log with a record whose
/// checksum is wrong. Reads all logs byte by byte, 5 ns each.
///
/// # Errors
/// The damage, with file and offset.
pub(super) fn locate_damage(folder: &Path) -> Result<(), Error> {
    check_all(folder, true)
}

fn check_all(folder: &Path, with_checksums: bool) -> Result<(), Error> {
    let current = folder.join("CURRENT");
    let name = fs::read(&current).map_err(Error::io("reading a file", &current))?;
    let manifest = folder.join(String::from_utf8_lossy(&name).trim_end());
    // RocksDB reports a name that is not a manifest's.
    if manifest.is_file() {
        check_log(&manifest, with_checksums)?;
    }
    let listing = || Error::io("listing a folder", folder);
    for entry in fs::read_dir(folder).map_err(listing())? {
        let path = entry.map_err(listing())?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            check_log(&path, with_checksums)?;
        }
    }
    Ok(())
}

fn check_log(path: &Path, with_checksums: bool) -> Result<(), Error> {
    let reading = || Error::io("reading a log", path);
    let mut file = match File::open(path) {
        // Another process has the store open and removed the log; the store's lock reports that.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(reading())?,
    };
    let mut left_bytes = file.metadata().map_err(reading())?.len();
    let (mut block, mut offset_bytes) = (Vec::with_capacity(BLOCK_LEN_BYTES), 0);
    while left_bytes > 0 {
        block.clear();
        let of_block = file.by_ref().take(BLOCK_LEN_BYTES as u64).read_to_end(&mut block);
        let len_bytes = of_block.map_err(reading())?;
        if len_bytes == 0 {
            break;
        }
        left_bytes = left_bytes.saturating_sub(len_bytes as u64);
        if let Some((at, why)) = damage(&block, left_bytes == 0, with_checksums) {
            let at = offset_bytes + at as u64;
            let why = format!("{}: the record at byte {at} {why}", path.display());
            return Err(Error::corrupted("a log of the store", why));
        }
        offset_bytes += len_bytes as u64;
    }
    Ok(())
}

/// The offset and the kind of a block's first damaged header, as far as lengths can be
/// followed; with checksums also of a damaged record.
fn damage(block: &[u8], is_last: bool, with_checksums: bool) -> Option<(usize, &'static str)> {
    let mut at = 0;
    while let Some([a, b, c, d, low, high, kind]) =
        block.get(at..).and_then(<[u8]>::first_chunk::<HEADER_LEN_BYTES>)
    {
        if *kind > LAST_TYPE {
            return Some((at, "has an unknown type"));
        }
        if (*kind, *low, *high) == (0, 0, 0) {
            // Unused room: RocksDB, too, skips the rest of the block.
            return None;
        }
        let payload = at + HEADER_LEN_BYTES;
        let end = payload + usize::from(u16::from_le_bytes([*low, *high]));
        if end > block.len() {
            // RocksDB reports such a length unless it passes the end of the file.
            let there = block.get(payload..).unwrap_or_default();
            let is_whole =
                is_last && has_prefix(there, *kind, u32::from_le_bytes([*a, *b, *c, *d]));
            return is_whole.then_some((at, "has a damaged length, past the end of the file"));
        }
        let masked = u32::from_le_bytes([*a, *b, *c, *d]);
        let there = block.get(payload..end).unwrap_or_default();
        if with_checksums && !has_checksum(there, *kind, masked) {
            return Some((at, "has a wrong checksum"));
        }
        at = end;
    }
    None
}

/// Whether a record of this type and payload has this masked checksum.
fn has_checksum(payload: &[u8], kind: u8, masked: u32) -> bool {
    let crc = payload.iter().fold(step(u32::MAX, kind), |crc, byte| step(crc, *byte));
    !crc == unmasked(masked)
}

/// Whether some prefix of `bytes` has this masked checksum as the payload of a record of this
/// type.
fn has_prefix(bytes: &[u8], kind: u8, masked: u32) -> bool {
    let checksum = unmasked(masked);
    let mut crc = step(u32::MAX, kind);
    bytes.iter().any(|byte| {
        let is_here = !crc == checksum;
        crc = step(crc, *byte);
        is_here
    }) || !crc == checksum
}

/// The number that RocksDB adds to a rotated checksum, so that a checksum over checksums is
/// not degenerate.
const MASK_DELTA: u32 = 0xa282_ead8;

/// The checksum behind a masked one.
const fn unmasked(masked: u32) -> u32 {
    masked.wrapping_sub(MASK_DELTA).rotate_right(17)
}

/// One byte of a CRC-32C (Castagnoli), bit by bit: this module reads only kilobytes of a log.
const fn step(crc: u32, byte: u8) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = crc ^ byte as u32;
    let mut bit = 0;
    while bit < 8 {
        let mask = if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        crc = crc >> 1 ^ mask;
        bit += 1;
    }
    crc
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn crc32c(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| step(crc, *byte))
    }

    /// A record as RocksDB writes it.
    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let covered = [&[kind], payload].concat();
        let masked = crc32c(&covered).rotate_right(15).wrapping_add(MASK_DELTA);
        let len_bytes = u16::try_from(payload.len()).unwrap_or(0);
        [&masked.to_le_bytes()[..], &len_bytes.to_le_bytes(), &covered].concat()
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn every_header_flip_that_hides_records_is_detected() {
        let log = [record(1, &[7; 100]), record(1, &[8; 300]), record(1, b"the last")].concat();
        assert_eq!(damage(&log, true, false), None);
        let mut detected = 0;
        for start in [0, 107, 414] {
            for bit in 32..56 {
                let mut damaged = log.clone();
                damaged[start + bit / 8] ^= 1 << (bit % 8);
                let header = &damaged[start..start + HEADER_LEN_BYTES];
                let len_bytes = usize::from(u16::from_le_bytes([header[4], header[5]]));
                let hides =
                    header[6] > LAST_TYPE || start + HEADER_LEN_BYTES + len_bytes > log.len();
                // A flip to another length leads to bytes that are no header, or RocksDB
                // reports it.
                let is_detected = damage(&damaged, true, false).is_some();
                assert!(is_detected || !hides, "bit {bit} at {start}");
                detected += u32::from(hides);
            }
        }
        assert!(detected > 30, "{detected}");
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_located() {
        let log = [record(1, &[7; 40]), record(1, &[8; 20])].concat();
        for bit in 0..log.len() * 8 {
            let mut damaged = log.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(damage(&damaged, true, true).is_some(), "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_log_is_sound() {
        let log = [record(2, &[7; 100]), record(4, &[8; 300])].concat();
        for len_bytes in 0..log.len() {
            assert_eq!(damage(&log[..len_bytes], true, true), None, "{len_bytes}");
        }
        // So is a log that ends in unused room, or in a page that was never written.
        assert_eq!(damage(&[&log[..], &[0; 100]].concat(), true, true), None);
        assert_eq!(damage(&[&log[..], &[0; 100], &[0xee; 300]].concat(), true, true), None);
    }
}
