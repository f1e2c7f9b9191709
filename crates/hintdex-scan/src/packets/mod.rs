//! Packets opened many at a time.
//!
//! A packet of the usual suite costs six compressions of SHA-256 (two for its key, four for its tag) and a key
//! schedule of AES. None of them depends on another packet, so sixteen packets go side by side
//! (docs/internals/sixteen-lanes.md).

mod group;
mod lanes;
mod message;
mod opener;
mod sealed;

pub use opener::PacketOpener;
pub use sealed::{OpeningKey, SealedPacket};
