//! The live index: from a hint to the slots that may have computed it, stored in RocksDB and
//! exact after every packet and every restart.
//!
//! The hints of each device's next nonces are in a *window*: a column family of packed
//! buckets, at about 4 bytes a hint. An accepted packet advances the device's state and adds
//! its new hints in one write batch. When more than half of a window is stale,
//! [`LiveIndex::roll`] builds the next one in bulk and drops the old family whole. The index
//! is a pure function of keys and states, so it can always be rebuilt from them.
//!
//! The index only names candidates. The caller confirms a candidate with the device's hint
//! key, verifies the packet's tag, and only then admits the nonce:
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
//! // A packet of device 1234 arrives. Only its hint is readable.
//! let slot = index.slots(DeviceId(1234))[0];
//! let key = index.key(slot).unwrap();
//! let hint_key = keys.hint_key(key).unwrap();
//! let hint = HintCipher::new(HintScheme::Aes128, &hint_key).hint(3).unwrap();
//!
//! assert!(index.candidates(&hint)?.contains(&slot));
//! let arrival = Arrival { slot, key, nonce: 3, hint_key: Some(&hint_key), received_unix_s: 0 };
//! assert_eq!(index.admit(&arrival)?, Admission::Accepted);
//! assert_eq!(index.admit(&arrival)?, Admission::Replay);
//! # Ok::<(), hintdex_core::Error>(())
//! ```
#![forbid(unsafe_code)]

mod admit;
mod bits;
mod bucket;
mod bulk;
mod checkpoint;
mod coverage;
mod device_range;
mod error;
mod estimate;
mod fleet;
mod fleet_states;
mod fleet_view;
mod geometry;
mod index;
mod late_rows;
mod late_window;
mod live_nonces;
mod load;
mod lookup;
mod naming;
mod options;
mod outbox;
mod params;
mod points;
mod points_clock;
mod progress;
mod provision;
mod records;
mod retire;
mod roll;
mod row_cache;
mod schedule_states;
mod set_devices;
mod settings;
mod slot_hints;
mod slot_info;
mod spans;
mod states;
mod stats;
mod store;
mod successors;
mod threads;
mod time;
mod transfer;
mod verify;
mod window;

pub use admit::{Admission, Arrival, Reach, Request};
pub use coverage::{SnapshotCoverage, SnapshotId};
pub use device_range::{DeviceRange, KeyOrigin};
pub use error::Error;
pub use estimate::WindowEstimate;
pub use fleet_view::FleetView;
pub use index::LiveIndex;
pub use lookup::Candidates;
pub use naming::Naming;
pub use options::{Durability, Options};
pub use outbox::{Outbox, OutboxRow};
pub use params::{MAX_LATE_NONCES, MAX_LOOKAHEAD, Params};
pub use progress::Report;
pub use records::PointHead;
pub use retire::Retirement;
pub use schedule_states::ScheduleState;
pub use settings::{DeviceSettings, MaxGap, Rate};
pub use slot_hints::SlotEpochs;
pub use slot_info::{KeyStatus, SlotInfo};
pub use stats::{Section, Stats};
pub use threads::on_plain_thread;
pub use time::{
    ClockMove, ScheduleClock, ScheduleTolerance, ScheduledArrival, Sighting, Span, Timing,
    TimingOptions,
};
pub use transfer::{ClockTransfer, KeyTransfer, LateTransfer};
pub use verify::Verified;

/// The constants that a test compares with `docs/format/live-index.md`.
#[doc(hidden)]
pub mod format;
