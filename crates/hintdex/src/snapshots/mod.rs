//! Snapshots beside the live index: built from it, and asked before it.
//!
//! A snapshot holds a long horizon at few bytes a hint; the live index holds the exact
//! present. A snapshot only names candidates: the device's key confirms each of them, and a
//! hint that no candidate confirms goes on to the live index. So attaching or replacing a
//! snapshot swaps a pointer, and no lookup waits for it.

mod attached;
mod coming_hints;
mod confirm;
mod own;
mod rebuild;
mod registry;
mod table_hints;

pub(crate) use attached::Attached;
pub(crate) use coming_hints::ComingHints;
pub use confirm::{MIN_GROUP_LEN_SLOTS, confirm_candidates};
pub(crate) use own::OwnSnapshot;
pub use rebuild::RebuildOptions;
pub(crate) use rebuild::rebuild;
pub(crate) use registry::{NO_CHAINS, Snapshots, open_for_lookups};
pub use table_hints::TableHints;
