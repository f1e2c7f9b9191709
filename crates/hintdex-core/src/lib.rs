//! The live index: from a hint to the slots that may have made it, kept exact
//! packet by packet and through restarts, in RocksDB.
//!
//! For each device the hints of its next nonces are in a *window*, a column
//! family of packed buckets that costs about 4 bytes a hint. What is accepted
//! moves the device's state and its hints on, in one write batch; when too much
//! of a window is stale, [`LiveIndex::roll`] builds the next one in bulk and
//! drops the old family whole. The index is a pure function of keys and states,
//! so nothing in it can be lost that they do not bring back.
//!
//! The index only names candidates. Whoever embeds it confirms them with the
//! device's key, verifies the packet's tag, and only then admits the nonce:
//!
//! ```
//! use std::sync::Arc;
//! use hintdex_core::{Admission, Arrival, DeviceRange, LiveIndex, Options, Params};
//! use hintdex_wire::{DeviceId, HintCipher, HintScheme, KeySource, MasterKey};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("index");
//! let keys = Arc::new(MasterKey::new(&[7; 32]));
//! let params = Params::counters(HintScheme::Aes128, 16);
//! let index = LiveIndex::create(&path, keys.clone(), params, &Options::default())?;
//! index.provision(&[DeviceRange::new(DeviceId(1000), 500)], None)?;
//!
//! // A packet of device 1234 arrives; its hint is all there is to see.
//! let slot = index.slots(DeviceId(1234))[0];
//! let hint_key = keys.hint_key(index.key(slot).unwrap()).unwrap();
//! let hint = HintCipher::new(HintScheme::Aes128, &hint_key).hint(3).unwrap();
//!
//! assert!(index.candidates(&hint)?.contains(&slot));
//! let arrival = Arrival { slot, nonce: 3, hint_key: &hint_key, received_unix_s: 0 };
//! assert_eq!(index.admit(&arrival)?, Admission::Accepted);
//! assert_eq!(index.admit(&arrival)?, Admission::Replay);
//! # Ok::<(), hintdex_core::Error>(())
//! ```
#![forbid(unsafe_code)]

mod admit;
mod bits;
mod bucket;
mod bulk;
mod error;
mod estimate;
mod fleet;
mod geometry;
mod held;
mod index;
mod live;
mod load;
mod lookup;
mod params;
mod progress;
mod provision;
mod records;
mod roll;
mod rows;
mod spans;
mod states;
mod stats;
mod store;
mod threads;
mod time;
mod verify;
mod window;

pub use admit::{Admission, Arrival, ClockMove, Reach, Request};
pub use error::Error;
pub use estimate::WindowEstimate;
pub use fleet::{DeviceRange, KeyOrigin};
pub use held::{Held, SnapshotId};
pub use index::{Durability, LiveIndex, Options};
pub use lookup::Candidates;
pub use params::{MAX_LOOKAHEAD, Params};
pub use progress::Report;
pub use stats::{Section, Stats};
pub use threads::on_plain_thread;
pub use time::{Span, Timing, TimingOptions};
pub use verify::Verified;

use progress::Progress;

/// The constants that `docs/format/live-index.md` is held against.
#[doc(hidden)]
pub mod format;
