//! Static hint indexes at the information bound.
#![deny(unsafe_code)]

mod builder;
mod candidates;
mod encoding;
mod error;
mod format;
mod kernel;
mod key;
mod params;
mod snapshot;
mod storage;

pub use builder::{BuildReport, Builder, HintSource, Progress};
pub use candidates::{CandidateBatch, Candidates};
pub use encoding::Encoding;
pub use error::{BuildError, Damage, OpenError};
pub use kernel::Kernel;
pub use key::ManifestKey;
pub use params::{Dial, MAX_CHECK_BITS, SnapshotParams};
pub use snapshot::{Section, Snapshot, SnapshotStats};
