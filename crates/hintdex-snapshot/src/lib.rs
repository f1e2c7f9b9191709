//! Static hint indexes at the information bound.
//!
//! A *snapshot* returns a few candidate slots for a hint, and the hint keys decide among
//! them. So it stores nothing of a hint but the bits that select the candidates. One file
//! holds the coming hints of every slot, hundreds of nonces ahead. It is built whole,
//! published by rename, and mapped by any number of readers. For a million slots, 2.51 bytes
//! a hint select one slot and 1.88 select a group of 31; the bounds are 2.49 and 1.87.
//!
//! ```
//! use std::ops::Range;
//!
//! use hintdex_snapshot::{
//!     Builder, Dial, Encoding, HintSource, ManifestKey, Snapshot, SnapshotParams,
//! };
//! use hintdex_wire::{DeviceId, Hint, HintCipher, HintScheme, KeyId, KeySource, MasterKey, Slot};
//!
//! /// The next ten hints of devices 0 to 999, whose slots are their ids.
//! struct Fleet(MasterKey);
//!
//! impl Fleet {
//!     fn hint(&self, slot: u32, nonce: u64) -> Hint {
//!         let key = self.0.hint_key(KeyId::first(DeviceId(slot))).unwrap();
//!         HintCipher::new(HintScheme::Aes128, &key).hint(nonce).unwrap()
//!     }
//! }
//!
//! impl HintSource for Fleet {
//!     fn hint_count(&self) -> u64 {
//!         10_000
//!     }
//!
//!     fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
//!         for slot in slots {
//!             (0..10).for_each(|nonce| each(self.hint(slot, nonce).head(), Slot(slot)));
//!         }
//!     }
//! }
//!
//! let fleet = Fleet(MasterKey::new(&[7; 32]));
//! let key = ManifestKey::of_fleet(&fleet.0);
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("fleet.hdx");
//! let params = SnapshotParams {
//!     encoding: Encoding::Ribbon,
//!     dial: Dial::Tries(32),
//!     check_bits: 0,
//!     hint_scheme: HintScheme::Aes128,
//!     nonce_kind: 0,
//!     horizon_nonces: 10,
//!     slots: 0..1000,
//!     fleet_id: *b"the fleet's name",
//!     origin: [0; 16],
//!     built_at_unix_s: 0,
//!     time_unix_s: 0..0,
//! };
//! Builder::new(params, &key).build(&fleet, &path)?;
//!
//! let snapshot = Snapshot::open(&path, &key)?;
//! let candidates: Vec<_> = snapshot.candidates(&fleet.hint(700, 3))?.collect();
//! assert_eq!(candidates, [672..704]); // 32 slots to try; 700 is one of them
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **The dial.** [`Dial`] trades bytes for tries: `r` bits a hint leave slots/2^r
//! slots to try, and no structure that stores opaque hints leaves fewer. [`Encoding`] selects
//! how the bits are stored; the default takes 0.2 to 0.5 % more than the bound.
//!
//! **Trust.** A candidate is never proof: the hint key confirms or rejects it. The file is
//! authenticated under a key of the fleet ([`ManifestKey`]), and each block of 8 KiB is
//! checked before its first use. So damage is reported instead of costing time unnoticed.
//! `docs/format/snapshot-v1.md` defines the bytes.
//!
//! **Layers.** `params` and `format` hold numbers and bytes, `kernel` the loops for each
//! processor. Above them, `encoding` builds and reads shards; it knows no file. `snapshot`
//! reads files and `builder` writes them, and `estimate` stands on both.
//!
//! **Unsafe.** Two modules have unsafe code: the mapping of the file, and the intrinsics
//! behind [`Kernel`].
#![deny(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("snapshots are mapped whole and may be longer than 4 GiB: use a 64-bit target");

mod bits;
mod builder;
mod candidates;
mod chain;
mod encoding;
mod error;
mod estimate;
mod format;
mod hash;
mod kernel;
mod key;
mod packed;
mod padding;
mod params;
mod perfect_hash;
mod section;
mod snapshot;
mod spread;
mod storage;

pub use builder::{BuildReport, Builder, HintSource, Progress};
pub use candidates::{CandidateBatch, Candidates};
pub use chain::PointHints;
pub use error::{BuildError, Damage, OpenError, VerifyError};
pub use estimate::{SampleShard, SnapshotEstimate};
pub use kernel::Kernel;
pub use key::ManifestKey;
pub use params::{Dial, Encoding, MAX_CHECK_BITS, MAX_EVALUATIONS, SnapshotParams};
pub use section::Section;
pub use snapshot::{Snapshot, SnapshotStats};
