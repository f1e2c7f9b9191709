//! The keys of a fleet: derived from its master key, or imported with its devices and stored
//! sealed beside the index.

mod distinct;
mod fleet_keys;
mod hint_keys;
mod import;
mod imported;
mod key_part;
pub(crate) mod master_file;
mod sealed;
mod wrap;

pub(crate) use fleet_keys::FleetKeys;
pub(crate) use hint_keys::HintKeys;
pub use import::KeyImport;
pub use key_part::KeyPart;
/// The bytes of the sealed keys, for the test that compares the document with them.
#[doc(hidden)]
pub use sealed::format;
pub use wrap::{WrapKey, WrappedKeys};
