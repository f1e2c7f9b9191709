//! The golden files: small files, and digests of files of several shards.

use std::ops::Range;
use std::path::PathBuf;

use hintdex_snapshot::{Dial, Encoding, SnapshotParams};
use sha2::{Digest, Sha256};

use super::{Fleet, Listed, build_bytes, params};

/// A fleet and the parameters of its snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Golden {
    /// The part of the file name behind the encoding.
    pub name: &'static str,
    pub encoding: Encoding,
    pub tries: u32,
    /// The slots of the file; every `stride`th slot has hints.
    pub slots: (u32, u32),
    pub stride: u32,
    pub per_slot: u32,
    pub hint_len_bytes: u32,
    /// SHA-256 in hex of a file that is too large to be kept.
    pub sha256: Option<&'static str>,
}

impl Golden {
    const fn new(name: &'static str, encoding: Encoding) -> Self {
        Self {
            name,
            encoding,
            tries: 4,
            slots: (1_000, 1_300),
            stride: 1,
            per_slot: 5,
            hint_len_bytes: 3,
            sha256: None,
        }
    }

    /// Hints of four bytes.
    const fn short(encoding: Encoding) -> Self {
        Self { slots: (0, 2_600), tries: 32, hint_len_bytes: 4, ..Self::new("-4-byte", encoding) }
    }

    /// Hints of two bytes, so that some belong to several slots.
    const fn shared(encoding: Encoding) -> Self {
        Self { hint_len_bytes: 2, ..Self::new("-shared", encoding) }
    }

    /// Slots up to the greatest slot; few of them have hints.
    const fn wide(encoding: Encoding) -> Self {
        Self {
            slots: (7, u32::MAX - 1),
            stride: 2_863_311,
            tries: 1,
            per_slot: 2,
            hint_len_bytes: 16,
            ..Self::new("-wide", encoding)
        }
    }

    /// Two shards: the least number of hints for two, and few groups, so that the file is small.
    const fn large(encoding: Encoding, tries: u32, sha256: &'static str) -> Self {
        Self {
            slots: (5, 15),
            tries,
            per_slot: 105_000,
            hint_len_bytes: 16,
            sha256: Some(sha256),
            ..Self::new("-two-shards", encoding)
        }
    }

    pub fn path(&self) -> PathBuf {
        let name = format!("tests/golden/v1-{}{}.hdx", self.encoding, self.name);
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    pub fn slots(&self) -> Range<u32> {
        self.slots.0..self.slots.1
    }

    /// The head and the slot of every hint.
    pub fn hints(&self) -> Vec<(u64, u32)> {
        let Self { per_slot, hint_len_bytes, .. } = *self;
        let fleet = Fleet { slots: self.slots(), per_slot, hint_len_bytes, seed: 1 };
        let slots = self.slots().step_by(self.stride as usize);
        slots
            .flat_map(|slot| (0..per_slot).map(move |at| (slot, at)))
            .map(|(slot, at)| (fleet.head(slot, at), slot))
            .collect()
    }

    pub fn params(&self) -> SnapshotParams {
        params(self.encoding, Dial::Tries(self.tries), self.slots())
    }

    /// The bytes of the file, built by this call.
    pub fn bytes(&self) -> Vec<u8> {
        build_bytes(&Listed::new(self.slots(), self.hints()), self.params())
    }
}

/// The files that are kept.
pub fn kept() -> Vec<Golden> {
    let of = |&encoding| {
        [
            Golden::new("", encoding),
            Golden::short(encoding),
            Golden::shared(encoding),
            Golden::wide(encoding),
        ]
    };
    super::STORED.iter().flat_map(of).collect()
}

/// The files whose digests are kept.
pub fn large() -> [Golden; 3] {
    [
        Golden::large(
            Encoding::Ribbon,
            5,
            "6cc58016dfed19fccc0dab8f833b5defa1746c06f5cb68f04fa7b9e870108fd7",
        ),
        Golden::large(
            Encoding::Dense,
            1,
            "7921e8ba720f4f2190ed145391f56bfa33a6cd6bab134489213936fa5de7c939",
        ),
        Golden::large(
            Encoding::Sorted,
            5,
            "ed6b8e80de565c41f1ed7de47507b7a6b9bf963bfd933204c811261226ac1596",
        ),
    ]
}

/// SHA-256 of a file, in hex.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
