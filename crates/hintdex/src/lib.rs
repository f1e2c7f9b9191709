//! Packet in, verdict out: what a base station embeds.
//!
//! A [`Station`] is the live index, the snapshots and the keys of a fleet. It resolves the
//! hint of a packet to a device, verifies the tag, judges the nonce, and makes the acceptance
//! durable before it returns the payload.
//!
//! ```
//! use hintdex::{DeviceRange, Params, Source, Station, StationOptions, Verdict};
//! use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let dir = folder.path().join("fleet");
//! // Once: a fleet of 1,000 devices, 16 hints each, under a new master key.
//! let params = Params::counters(HintScheme::Aes128, 16);
//! let station = Station::create(&dir, None, params, &StationOptions::default())?;
//! station.provision(&[DeviceRange::new(DeviceId(0), 1000)], None)?;
//!
//! // In the field: device 42 seals a packet under the keys that the factory gave it.
//! let keys = station.key_source();
//! let id = KeyId::first(DeviceId(42));
//! let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
//! let mut packet = [0; 64];
//! let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 7)
//!     .seal(b"21.5 C", &mut packet)
//!     .unwrap();
//!
//! // At the station: packets in, verdicts out, from any number of threads.
//! match station.decode(&packet[..len])? {
//!     Verdict::Accepted { device, nonce, payload, source, .. } => {
//!         assert_eq!((device, nonce), (DeviceId(42), 7));
//!         assert_eq!(payload, b"21.5 C");
//!         assert_eq!(source, Source::Snapshot);
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), hintdex::Error>(())
//! ```
#![forbid(unsafe_code)]

mod admission;
mod attempt;
mod backup;
mod batch;
mod chain_search;
mod decode;
mod devices;
mod ephemeral;
mod error;
mod finding;
mod first_candidates;
mod fleet_run;
mod folder;
mod hop;
mod keys;
mod layers;
mod lookup_stats;
mod maintenance;
mod open_packets;
mod opening;
mod options;
mod outbox;
mod received;
mod resolve;
mod resolved;
mod rewrap;
mod roll;
mod scan_cache;
mod scan_queue;
mod scans;
mod schedule;
mod slot_keys;
mod snapshots;
mod station;
mod station_group;
mod time;
mod token_bucket;
mod verdict;
mod verify;
mod waiting;

#[doc(hidden)]
pub use backup::Manifest;
pub use backup::{BackupOptions, BackupReport, Restored};
pub use devices::DeviceTransfer;
pub use error::Error;
/// The errors of the index, which [`Error::Index`] carries. See the example of [`KeyImport`].
pub use hintdex_core::Error as IndexError;
pub use hintdex_core::{ClockMove, KeyOrigin, KeyStatus, SlotInfo, Span, Timing, TimingOptions};
pub use hintdex_core::{ClockTransfer, KeyTransfer, LateTransfer, Retirement};
/// See the [example of the crate](crate).
pub use hintdex_core::{DeviceRange, Naming, Params};
pub use hintdex_core::{DeviceSettings, MAX_LATE_NONCES, MaxGap, Rate};
/// See the example of [`Station::stats`].
pub use hintdex_core::{Durability, Report, Section, Stats, Verified};
/// See the example of [`Station::schedule_stats`].
pub use hintdex_core::{ScheduleClock, ScheduleTolerance};
pub use hintdex_host::{Clock, Exposed, FIRST_SET_UNIX_S, ManualClock, SystemClock};
pub use hintdex_host::{SecretError, SecretSource};
pub use hop::{HopError, HopKey, HopPayload};
pub use keys::StationKey;
#[doc(hidden)]
pub use keys::chain_format as device_chains_format;
#[doc(hidden)]
pub use keys::format as device_keys_format;
#[doc(hidden)]
pub use keys::master_key_format;
#[doc(hidden)]
pub use keys::station_key_format;
pub use keys::{KeptKey, KeyAccess, PassphraseCost, Protection};
pub use keys::{KeyImport, KeyPart, WrapKey, WrappedKeys};
pub use lookup_stats::LookupStats;
pub use options::StationOptions;
#[doc(hidden)]
pub use outbox::format as outbox_format;
pub use outbox::{Outbox, OutboxPart, OutboxPayload};
pub use received::Received;
pub use resolved::{Resolved, ResolvedSlots};
pub use scan_queue::Ticket;
pub use scans::ScanStats;
pub use schedule::ScheduleStats;
pub use snapshots::RebuildOptions;
#[doc(hidden)]
pub use snapshots::{MIN_GROUP_LEN_SLOTS, TableHints, confirm_candidates};
pub use station::Station;
pub use station_group::{GroupError, GroupVerdict, StationGroup};
pub use verdict::{EarlyReason, Malformed, Source, Unknown, Verdict};

/// Snapshots: their encodings, parameters and readers.
pub use hintdex_snapshot as snapshot;
/// Ids, keys and packets: the bytes on the air.
pub use hintdex_wire as wire;

/// The example in the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The examples of the guide's page on embedding, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/embed.md")]
pub struct EmbedGuide;
