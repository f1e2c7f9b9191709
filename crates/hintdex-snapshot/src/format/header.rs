//! The header: the parameters of the file, and the digests that authenticate the rest.

use core::cmp::Ordering;
use core::mem::{offset_of, size_of};
use core::ops::Range;

use hintdex_wire::HintScheme;
use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES, FORMAT_VERSION, HEADER_LEN_BYTES,
    MAGIC, MAX_SHARD_BITS, SHARD_RECORD_LEN_BYTES,
};
use crate::{Dial, Encoding, ManifestKey, OpenError, SnapshotParams};

/// The header, as the first bytes of the file.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    pub format_version: U16,
    pub encoding: u8,
    pub hint_scheme: u8,
    pub nonce_kind: u8,
    pub value_bits: u8,
    pub check_bits: u8,
    pub shard_bits: u8,
    pub file_id: [u8; 16],
    pub fleet_id: [u8; 16],
    pub built_at_unix_s: U64,
    pub origin: [u8; 16],
    pub first_slot: U32,
    pub tries: U32,
    pub slot_count: U64,
    pub hint_count: U64,
    pub horizon_nonces: U64,
    pub seed: U64,
    pub data_len_bytes: U64,
    pub manifest_len_bytes: U64,
    pub manifest_sha256: [u8; 32],
    pub key_check: [u8; 16],
    pub from_unix_s: U64,
    pub to_unix_s: U64,
    pub reserved: [u8; 28],
    pub header_crc32: U32,
    pub header_hmac: [u8; 32],
}

const _: () = assert!(size_of::<Header>() == HEADER_LEN_BYTES, "no padding, no drift");

/// The CRC and the HMAC each cover the bytes of the header before them.
const CRC_AT: usize = offset_of!(Header, header_crc32);
const HMAC_AT: usize = offset_of!(Header, header_hmac);

/// The places of the manifest's parts in the file.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// A record for each shard.
    pub directory: Range<usize>,
    /// A CRC for each block.
    pub crcs: Range<usize>,
}

impl Manifest {
    /// The manifest of a file whose data end at the offset `start`.
    const fn new(start: usize, record_count: usize) -> Self {
        let directory_end = start + SHARD_RECORD_LEN_BYTES * record_count;
        let block_count = (start - DATA_OFFSET_BYTES).div_ceil(BLOCK_LEN_BYTES);
        let crcs = directory_end..directory_end + block_count * BLOCK_CRC_LEN_BYTES;
        Self { directory: start..directory_end, crcs }
    }
}

impl Header {
    /// A header for `params`, without lengths and digests.
    pub fn new(
        params: &SnapshotParams,
        hint_count: u64,
        shard_bits: u8,
        key: &ManifestKey,
    ) -> Self {
        let mut header = Self {
            magic: MAGIC,
            format_version: U16::new(FORMAT_VERSION),
            encoding: params.encoding.number(),
            hint_scheme: params.hint_scheme.number(),
            nonce_kind: params.nonce_kind,
            value_bits: params.value_bits(),
            check_bits: params.check_bits,
            shard_bits,
            file_id: [0; 16],
            fleet_id: params.fleet_id,
            built_at_unix_s: U64::new(params.built_at_unix_s),
            origin: params.origin,
            first_slot: U32::new(params.slots.start),
            tries: U32::new(params.evaluations().unwrap_or_else(|| params.tries())),
            slot_count: U64::new(u64::from(params.slot_count())),
            hint_count: U64::new(hint_count),
            horizon_nonces: U64::new(params.horizon_nonces),
            seed: U64::ZERO,
            data_len_bytes: U64::ZERO,
            manifest_len_bytes: U64::ZERO,
            manifest_sha256: [0; 32],
            key_check: [0; 16],
            from_unix_s: U64::new(params.time_unix_s.start),
            to_unix_s: U64::new(params.time_unix_s.end),
            reserved: [0; 28],
            header_crc32: U32::ZERO,
            header_hmac: [0; 32],
        };
        // The id and the seed are computed from the parameters, not drawn: the same input
        // yields the same file. The seed is secret without the key, so an attacker cannot
        // choose hints that fall into one place of a shard.
        header.file_id = derived(key, b"file", header.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = derived(key, b"seed", &header.file_id);
        header.seed = U64::from_bytes([a, b, c, d, e, f, g, h]);
        header.key_check = derived(key, b"key", &header.file_id);
        header
    }

    /// Sets lengths and digests once the data and the manifest are written.
    pub fn seal(&mut self, data_len_bytes: u64, manifest: &[u8], key: &ManifestKey) {
        self.data_len_bytes = U64::new(data_len_bytes);
        self.manifest_len_bytes = U64::new(manifest.len() as u64);
        self.manifest_sha256 = Sha256::digest(manifest).into();
        let (covered, _) = self.as_bytes().split_at(CRC_AT);
        self.header_crc32 = U32::new(crc32fast::hash(covered));
        let (covered, _) = self.as_bytes().split_at(HMAC_AT);
        self.header_hmac = key.mac(&[covered]);
    }

    /// Reads the header of `file`. Checks the magic, the version and the CRC, and no field.
    pub fn read(file: &[u8]) -> Result<Self, OpenError> {
        let magic_len = MAGIC.len().min(file.len());
        if file.is_empty() || file.get(..magic_len) != MAGIC.get(..magic_len) {
            return Err(OpenError::NotASnapshot);
        }
        let too_short = OpenError::TooShort {
            got_bytes: file.len() as u64,
            expected_bytes: DATA_OFFSET_BYTES as u64,
        };
        let Ok((header, _)) = Self::read_from_prefix(file) else { return Err(too_short) };
        // Before the CRC: a newer version may have its CRC at another place.
        if header.format_version.get() > FORMAT_VERSION {
            return Err(OpenError::NewerVersion {
                got: header.format_version.get(),
                newest: FORMAT_VERSION,
            });
        }
        let damaged = |what, at: usize| OpenError::Damaged { what, offset_bytes: at as u64 };
        let (covered, _) = header.as_bytes().split_at(CRC_AT);
        if crc32fast::hash(covered) != header.header_crc32.get() {
            return Err(damaged("header", 0));
        }
        let Some(gap) = file.get(HEADER_LEN_BYTES..DATA_OFFSET_BYTES) else {
            return Err(too_short);
        };
        if gap.iter().any(|&byte| byte != 0) {
            return Err(damaged("gap of zeros after the header", HEADER_LEN_BYTES));
        }
        Ok(header)
    }

    /// Checks that the header was written under `key`.
    ///
    /// # Errors
    /// [`OpenError::WrongKey`] for the key of another fleet, [`OpenError::Damaged`] for a wrong
    /// HMAC under the right key.
    pub fn authenticate(&self, key: &ManifestKey) -> Result<(), OpenError> {
        if self.key_check != derived(key, b"key", &self.file_id) {
            return Err(OpenError::WrongKey);
        }
        let (covered, _) = self.as_bytes().split_at(HMAC_AT);
        if key.verifies(&[covered], &self.header_hmac) {
            Ok(())
        } else {
            Err(OpenError::Damaged { what: "header (HMAC)", offset_bytes: HMAC_AT as u64 })
        }
    }

    /// The parameters, each checked against its range.
    pub fn params(&self) -> Result<SnapshotParams, OpenError> {
        let wrong = |field, got: u64| OpenError::Field { field, got };
        let encoding = Encoding::from_number(self.encoding)
            .ok_or_else(|| wrong("encoding", self.encoding.into()))?;
        let hint_scheme = HintScheme::from_number(self.hint_scheme)
            .ok_or_else(|| wrong("hint_scheme", self.hint_scheme.into()))?;
        let first_slot = self.first_slot.get();
        let end = u64::from(first_slot).checked_add(self.slot_count.get());
        let end = end.and_then(|end| u32::try_from(end).ok()).filter(|&end| end > first_slot);
        let end = end.ok_or_else(|| wrong("slot_count", self.slot_count.get()))?;
        if self.shard_bits > MAX_SHARD_BITS {
            return Err(wrong("shard_bits", self.shard_bits.into()));
        }
        if self.format_version.get() == 0 {
            return Err(wrong("format_version", 0));
        }
        if self.reserved != [0; 28] {
            return Err(wrong("reserved", 1));
        }
        let time_unix_s = self.from_unix_s.get()..self.to_unix_s.get();
        if time_unix_s.start > time_unix_s.end {
            return Err(wrong("to_unix_s", time_unix_s.end));
        }
        let params = SnapshotParams {
            encoding,
            dial: match encoding {
                Encoding::Chain => Dial::Evaluations(self.tries.get()),
                _ => Dial::Tries(self.tries.get()),
            },
            check_bits: self.check_bits,
            hint_scheme,
            nonce_kind: self.nonce_kind,
            horizon_nonces: self.horizon_nonces.get(),
            slots: first_slot..end,
            fleet_id: self.fleet_id,
            origin: self.origin,
            built_at_unix_s: self.built_at_unix_s.get(),
            time_unix_s,
        };
        params.check().map_err(|_| wrong("tries or check_bits", self.tries.get().into()))?;
        if params.value_bits() != self.value_bits {
            return Err(wrong("value_bits", self.value_bits.into()));
        }
        Ok(params)
    }

    /// The records of the shard directory: one for each shard, and one for the chains.
    fn record_count(&self) -> usize {
        (1 << self.shard_bits) + usize::from(self.encoding == Encoding::Chain.number())
    }

    /// The offset of the manifest in the file.
    fn manifest_offset_bytes(&self) -> u64 {
        (DATA_OFFSET_BYTES as u64).saturating_add(self.data_len_bytes.get())
    }

    /// Checks the length of the file against the lengths in the header.
    pub fn check_len(&self, got_bytes: u64) -> Result<(), OpenError> {
        let manifest_len = self.manifest_len_bytes.get();
        let expected_bytes = self.manifest_offset_bytes().saturating_add(manifest_len);
        match got_bytes.cmp(&expected_bytes) {
            Ordering::Less => Err(OpenError::TooShort { got_bytes, expected_bytes }),
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(OpenError::TooLong { got_bytes, expected_bytes }),
        }
    }

    /// The places of the manifest's parts in `file`.
    ///
    /// # Errors
    /// [`OpenError`] when the length of the file or the SHA-256 of the manifest is not the one
    /// in the header.
    pub fn manifest(&self, file: &[u8]) -> Result<Manifest, OpenError> {
        self.check_len(file.len() as u64)?;
        let manifest_len = self.manifest_len_bytes.get();
        let offset_bytes = self.manifest_offset_bytes();
        let damaged = OpenError::Damaged { what: "manifest", offset_bytes };
        // At most the length of the file, which is a `usize`.
        let Ok(start) = usize::try_from(offset_bytes) else { return Err(damaged) };
        let manifest = Manifest::new(start, self.record_count());
        if manifest.crcs.end != file.len() {
            return Err(OpenError::Field { field: "manifest_len_bytes", got: manifest_len });
        }
        let bytes = file.get(start..).unwrap_or_default();
        if <[u8; 32]>::from(Sha256::digest(bytes)) != self.manifest_sha256 {
            return Err(damaged);
        }
        Ok(manifest)
    }
}

/// Sixteen bytes derived from `bytes` under `key`, for the purpose `name`.
fn derived(key: &ManifestKey, name: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(key.mac(&[name, bytes]).split_at(16).0);
    half
}

/// Every field of the header, for comparison with the table of the format.
#[cfg(test)]
pub(crate) const HEADER_FIELDS: &[(&str, usize)] = super::fields!(
    Header: magic, format_version, encoding, hint_scheme, nonce_kind, value_bits, check_bits,
    shard_bits, file_id, fleet_id, built_at_unix_s, origin, first_slot, tries, slot_count,
    hint_count, horizon_nonces, seed, data_len_bytes, manifest_len_bytes, manifest_sha256,
    key_check, from_unix_s, to_unix_s, reserved, header_crc32, header_hmac
);
