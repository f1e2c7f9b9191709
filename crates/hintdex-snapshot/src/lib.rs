//! Static hint indexes at the information bound.
//!
//! A hint is already random and the keys already decide who made it, so nothing
//! of a hint need be stored: a *snapshot* only says which few slots of the fleet
//! to try. It holds the next hints of every slot, hundreds of nonces ahead, in
//! one file that is built whole, published by rename, and mapped by any number
//! of readers. For a million slots that is 2.51 bytes a hint to name the slot
//! and 1.88 to name a group of 31, where the bound is 2.49 and 1.87.
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
//! slots to try, and no structure can leave fewer. [`Encoding`] says how they
//! are stored; the default takes 0.2 to 0.5 % more than the bound for its bits.
//!
//! **Trust.** The index is only a hint: nothing is accepted because a snapshot
//! says so. Still the file is authenticated by a key of the fleet
//! ([`ManifestKey`]), and every 8 KiB of it checked before they are used, so that
//! damage is told instead of costing time quietly. `docs/format/snapshot-v1.md`
//! has the bytes.
//!
//! **Unsafe.** There are two places: the mapping of the file, and the module of
//! intrinsics behind [`Kernel`]. No other module may have any.
#![deny(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("snapshots are mapped whole, and longer than 4 GiB: this needs 64-bit addresses");

mod builder;
mod candidates;
mod encoding;
mod error;
mod estimate;
mod format;
mod kernel;
mod key;
mod params;
mod section;
mod snapshot;
mod storage;

pub use builder::{BuildReport, Builder, HintSource, Progress};
pub use candidates::{CandidateBatch, Candidates};
pub use error::{BuildError, Damage, OpenError, VerifyError};
pub use estimate::{SampleShard, SnapshotEstimate};
pub use kernel::Kernel;
pub use key::ManifestKey;
pub use params::{Dial, Encoding, MAX_CHECK_BITS, SnapshotParams};
pub use section::Section;
pub use snapshot::{Snapshot, SnapshotStats};
