//! Repairs the checks of a changed snapshot: computes CRCs, digest and HMAC again.
//!
//! With it, tests and fuzzers get past the checks and reach the code behind them. Written from
//! the page of the format, not from the crate.

use core::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const DATA_AT: usize = 4096;
const BLOCK: usize = 8192;

/// The key of the tests, equal to [`super::key`].
const KEY: [u8; 32] = [7; 32];

fn hmac(parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&KEY).unwrap_or_else(|_| unreachable!("any length"));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn number(bytes: &[u8], at: usize) -> usize {
    let word: [u8; 8] =
        bytes[at..at + 8].try_into().unwrap_or_else(|_| unreachable!("eight bytes"));
    u64::from_le_bytes(word).try_into().unwrap_or(usize::MAX)
}

/// Where the manifest of `file` begins, by its header.
fn manifest_at(file: &[u8]) -> usize {
    number(file, 112).saturating_add(DATA_AT)
}

/// Repairs every check of `file`; a truncated file is repaired as far as possible.
pub fn repair(file: &mut [u8]) {
    if file.len() < 256 {
        return;
    }
    let file_id: [u8; 16] =
        file[16..32].try_into().unwrap_or_else(|_| unreachable!("sixteen bytes"));
    file[160..176].copy_from_slice(&hmac(&[b"key", &file_id])[..16]);
    let manifest_at = manifest_at(file);
    if (DATA_AT..=file.len()).contains(&manifest_at) {
        (0..(manifest_at - DATA_AT).div_ceil(BLOCK)).for_each(|block| {
            repair_block(file, block);
        });
    }
    seal(file);
}

/// Repairs the CRC of a block of the data of `file`. Returns the place of the CRC.
pub fn repair_block(file: &mut [u8], block: usize) -> Range<usize> {
    let manifest_at = manifest_at(file);
    let (head, manifest) = file.split_at_mut(manifest_at);
    let block_count = (manifest_at - DATA_AT).div_ceil(BLOCK);
    let first = manifest.len().saturating_sub(4 * block_count) + 4 * block;
    let place = first.min(manifest.len())..(first + 4).min(manifest.len());
    let data_at = DATA_AT + block * BLOCK;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[16..32]);
    hasher.update(&(block as u64).to_le_bytes());
    hasher.update(&head[data_at..manifest_at.min(data_at + BLOCK)]);
    let crc = hasher.finalize().to_le_bytes();
    manifest[place.clone()].copy_from_slice(&crc[..place.len()]);
    manifest_at + place.start..manifest_at + place.end
}

/// Repairs the digest of the manifest and the checks of the header, and not the CRCs of the
/// blocks.
pub fn seal(file: &mut [u8]) {
    let manifest_at = manifest_at(file);
    if let Some(manifest) = file.get(manifest_at..).filter(|_| manifest_at >= DATA_AT) {
        let digest = Sha256::digest(manifest);
        file[128..160].copy_from_slice(&digest);
    }
    let crc = crc32fast::hash(&file[..220]);
    file[220..224].copy_from_slice(&crc.to_le_bytes());
    let mac = hmac(&[&file[..224]]);
    file[224..256].copy_from_slice(&mac);
}
