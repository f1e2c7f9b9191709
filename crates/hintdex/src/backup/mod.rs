//! Backups of a fleet: written while its station runs, checked when they are restored.
//!
//! A backup is a folder, or an archive of it, with the files of the fleet and a manifest of their hashes
//! (docs/format/backup.md). The order of the copies makes them consistent: chains first, since they
//! must not be ahead of a state; then a checkpoint of the index; then everything else, since keys are
//! stored before the devices that use them. No device and no window changes in between.

mod archive;
mod files;
mod manifest;
mod restore;
mod restored;
mod write;

#[doc(hidden)]
pub use manifest::Manifest;
pub use restored::Restored;
pub use write::{BackupOptions, BackupReport};
