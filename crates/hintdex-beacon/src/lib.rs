//! Whose beacon is it? The resolver for identifiers that carry no payload.
//!
//! A beacon that wants not to be followed changes what it sends every few seconds
//! or minutes, to something that only it and its owner can compute from a key and a
//! clock. Its owner hears eight or sixteen bytes and asks whose they are. Trying
//! every key for every sighting is out; here the identifiers of all beacons for a
//! span of time, a *window*, are in one static file, at 0.7 bytes each.
//!
//! ```
//! use std::sync::Arc;
//! use hintdex_beacon::wire::beacon::eddystone::{EidCipher, RotationExponent};
//! use hintdex_beacon::wire::{DeviceId, HintKey};
//! use hintdex_beacon::{
//!     Answer, Changes, Identifier, ManualClock, Options, Registration, Resolver, Rule, Sighting,
//! };
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("beacons");
//! let now = 1_764_000_000;
//! let (key, k) = (HintKey::from_bytes([7; 16]), RotationExponent::new(10).unwrap());
//!
//! // Once: a beacon whose clock was started a million seconds ago.
//! let mut changes = Changes::open(&folder, now)?;
//! let clock_offset_s = now as i64 - 1_000_000;
//! let is_randomized = false;
//! let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s: now, is_randomized };
//! changes.add(&Registration { device: DeviceId(42), key: key.clone(), rule })?;
//! changes.publish()?;
//!
//! // In the field: what it sends a day later.
//! let eid = EidCipher::new(&key, k).eid(1_000_000 + 86_400);
//!
//! // At the station: whose is it?
//! let clock = Arc::new(ManualClock::new(now + 86_400));
//! let mut resolver = Resolver::open(&folder, Options::default(), Box::new(clock))?;
//! resolver.advance()?;
//! let sighting = Sighting { identifier: Identifier::Eid(eid), time_unix_s: now + 86_400 };
//! let answers = resolver.resolve_batch(&[sighting])?;
//! assert_eq!(answers[0].identification().unwrap().device, DeviceId(42));
//! resolver.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Windows.** [`Resolver::advance`] keeps the present window and, from a while
//! before it begins, the next; each is a snapshot of `hintdex-snapshot`, built once
//! and dropped whole. The snapshot is a chain: a lookup computes the identifiers of some
//! beacons, nine on average, and returns the beacon and the step of an identifier, or nobody.
//!
//! **Clocks.** A beacon's clock drifts by up to 150 ppm (or
//! [`max_drift_ppm`](Options::max_drift_ppm)) and nobody can set it. Every sighting bounds
//! it, and between sightings the bounds grow; windows are built around what is known. A
//! beacon that is heard elsewhere is suspected to be there: it had a new battery (what
//! every beacon sends in its first hour is in one more file), it stood still, or the
//! receiver's clock is wrong ([`Resolver::search`] looks for such clocks, outward from
//! where they were). Identifiers of two rotations that agree move the clock; where it was
//! before is served on until the new clock has held, and wins back if it is heard there
//! again. [`Resolver::forget_clock`] goes back to the registration.
//!
//! **Random addresses.** A resolvable private address of Bluetooth is made from a
//! random number, not from a clock: nothing can be computed ahead, so there is
//! nothing to index, and every key is tried for every address.
//!
//! **Trust.** Identifiers are not authenticated. Who records one can send it again, and
//! appear to be the beacon. One recording moves no clock, however often and whenever it is
//! sent: identifiers count as two only where they are of different rotations, as far apart
//! as they were heard. Who records two and sends them in step makes a clock look moved; the
//! beacon itself is then found by its former clock.
#![forbid(unsafe_code)]

mod answer;
mod bounds;
mod changes;
mod clock_store;
mod clock_updates;
mod distant;
mod error;
mod event;
mod folder;
pub mod format;
mod head_index;
mod hypotheses;
mod hypothesis;
mod identifier;
mod identities;
mod inventory;
mod life;
mod options;
mod owned_windows;
mod point_hints;
mod records;
mod registration;
mod registry;
mod resolver;
mod rings;
mod search;
mod stats;
mod steps;
mod transfer;
mod window;
mod windows;

pub use answer::{Answer, Identification, Source};
pub use changes::{Change, Changes};
pub use error::Error;
pub use event::Event;
pub use hintdex_host::{Clock, ManualClock, SystemClock};
pub use identifier::{Identifier, NotAnIdentifier, Sighting};
pub use inventory::{BeaconClock, BeaconInfo, Inventory};
pub use life::{Selection, Setting};
pub use options::Options;
pub use registration::{
    FUTURE_ALLOWANCE_S, MAX_MEASURED_AGE_S, Refusal, Registration, RollingPeriod, Rule, Scheme,
    Status,
};
pub use resolver::Resolver;
pub use search::SearchResult;
pub use stats::{Stats, WindowStats};
pub use transfer::{BeaconTransfer, ClockTransfer};

/// The bytes on the air: ids, keys, the schemes' byte rules.
pub use hintdex_wire as wire;
