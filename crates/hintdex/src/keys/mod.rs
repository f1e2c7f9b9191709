//! The keys of a fleet: derived from its master key, or imported with its devices and stored
//! sealed beside the index.

mod chains;
mod distinct;
mod distinct_chains;
mod fleet_chains;
mod fleet_keys;
mod hint_keys;
mod import;
mod imported;
mod key_part;
mod key_ranges;
mod master;
mod sealed;
mod siv;
mod station_key;
mod wrap;

#[doc(hidden)]
pub use chains::format as chain_format;
pub(crate) use fleet_chains::chain_of_bytes;
pub(crate) use fleet_keys::FleetKeys;
pub(crate) use hint_keys::HintKeys;
pub use import::KeyImport;
pub use key_part::KeyPart;
pub use master::format as master_key_format;
#[doc(hidden)]
pub(crate) use master::read_key;
pub use master::{KeptKey, KeyAccess, PassphraseCost, Protection};
pub(crate) use master::{MasterFiles, Secret};
/// The bytes of the sealed keys, for the test that compares the document with them.
#[doc(hidden)]
pub use sealed::format;
pub(crate) use siv::{Sealer, SealingCipher};
pub use station_key::StationKey;
/// The bytes of a station key, for the test that compares the document with them.
#[doc(hidden)]
pub use station_key::format as station_key_format;
pub use wrap::{WrapKey, WrappedKeys};
