//! The master key of a fleet: its text, where the fleet's folder keeps it, and how it is
//! protected there.

mod access;
mod kept;
mod place;
mod rewrap;
mod text;
mod wrapped;

pub use access::{KeyAccess, Protection};
pub use kept::KeptKey;
pub(crate) use kept::MasterFiles;
pub(in crate::keys) use text::random;
pub(crate) use text::read_key;
pub use wrapped::PassphraseCost;
/// The bytes of a wrapped master key, for the test that compares the document with them.
#[doc(hidden)]
pub use wrapped::format;

use zeroize::Zeroizing;

/// A master secret, zeroized on drop. It lies on the heap, so moving it leaves no copy.
pub(crate) type Secret = Box<Zeroizing<[u8; 32]>>;
