//! Repairs the checks of a changed snapshot: computes CRCs, digest and HMAC again.
//!
//! With it, tests and fuzzers get past the checks and reach the code behind them. Written from
//! the page of the format, not from the crate.

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

/// Repairs every check of `file`; a truncated file is repaired as far as possible.
pub fn repair(file: &mut [u8]) {
    if file.len() < 256 {
        return;
    }
    let file_id: [u8; 16] =
        file[16..32].try_into().unwrap_or_else(|_| unreachable!("sixteen bytes"));
    file[160..176].copy_from_slice(&hmac(&[b"key", &file_id])[..16]);
    let manifest_at = number(file, 112).saturating_add(DATA_AT);
    if (DATA_AT..=file.len()).contains(&manifest_at) {
        let (head, manifest) = file.split_at_mut(manifest_at);
        let blocks: Vec<&[u8]> = head[DATA_AT..].chunks(BLOCK).collect();
        let crcs_at = manifest.len().saturating_sub(4 * blocks.len());
        for (number, (crc, block)) in manifest[crcs_at..].chunks_mut(4).zip(&blocks).enumerate() {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&file_id);
            hasher.update(&(number as u64).to_le_bytes());
            hasher.update(block);
            crc.copy_from_slice(&hasher.finalize().to_le_bytes()[..crc.len()]);
        }
    }
    seal(file);
}

/// Repairs the digest of the manifest and the checks of the header, and not the CRCs of the
/// blocks.
pub fn seal(file: &mut [u8]) {
    let manifest_at = number(file, 112).saturating_add(DATA_AT);
    if let Some(manifest) = file.get(manifest_at..).filter(|_| manifest_at >= DATA_AT) {
        let digest = Sha256::digest(manifest);
        file[128..160].copy_from_slice(&digest);
    }
    let crc = crc32fast::hash(&file[..220]);
    file[220..224].copy_from_slice(&crc.to_le_bytes());
    let mac = hmac(&[&file[..224]]);
    file[224..256].copy_from_slice(&mac);
}
