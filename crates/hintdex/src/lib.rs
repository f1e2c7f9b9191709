//! Packet in, verdict out: what a base station embeds.
//!
//! A [`Station`] is a fleet's live index, its keys, and the last resort: it finds
//! the device behind a packet's hint, verifies the packet's tag, judges its nonce
//! and makes the acceptance durable before it hands the payload out.
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
//! // What device 42 sends (its keys were burnt in at the factory).
//! let keys = station.key_source();
//! let id = KeyId::first(DeviceId(42));
//! let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
//! let mut packet = [0; 64];
//! let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 7)
//!     .seal(b"21.5 C", &mut packet)
//!     .unwrap();
//!
//! // Every day: packets in, verdicts out, from as many threads as there are.
//! match station.decode(&packet[..len])? {
//!     Verdict::Accepted { device, nonce, payload, source } => {
//!         assert_eq!((device, nonce), (DeviceId(42), 7));
//!         assert_eq!(payload, b"21.5 C");
//!         assert_eq!(source, Source::Index);
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), hintdex::Error>(())
//! ```
#![forbid(unsafe_code)]

mod attempt;
mod budget;
mod decode;
mod error;
mod folder;
mod hunt;
mod keys;
mod layers;
mod options;
mod resolve;
mod scanned;
mod scans;
mod snapshots;
mod station;
mod time;
mod upkeep;
mod verdict;
mod verify;
mod waiting;

pub use decode::Received;
pub use error::Error;
/// What the index says; [`Error::Index`] has one.
pub use hintdex_core::Error as IndexError;
pub use hintdex_core::{
    ClockMove, DeviceRange, Durability, KeyOrigin, Params, Report, Section, Span, Stats, Timing,
    TimingOptions, Verified,
};
pub use hintdex_host::{Clock, Exposed, FIRST_SET_UNIX_S, ManualClock, SystemClock};
#[doc(hidden)]
pub use keys::format as device_keys_format;
pub use keys::{KeyImport, KeyPart};
pub use options::StationOptions;
pub use resolve::{Found, Resolved};
pub use scans::ScanStats;
pub use snapshots::RebuildOptions;
pub use station::Station;
pub use verdict::{Malformed, Source, Unknown, Verdict};
pub use waiting::Ticket;

/// Static files of hints: their encodings, dials and readers.
pub use hintdex_snapshot as snapshot;
/// The bytes on the air: ids, keys, packets.
pub use hintdex_wire as wire;

/// The example in the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The examples of the guide's page on embedding, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/embed.md")]
pub struct EmbedGuide;
