//! The machine a fleet lives on: the clock, the files, and the sources of secrets.
//!
//! Everything that reads the time takes a [`Clock`], so that a test can choose the time.
//! Estimates, tests and workloads draw their numbers from [`SplitMix64`], so that every run draws
//! the same numbers.
//! A master key or a passphrase from outside of a fleet's folder comes from a [`SecretSource`].
//! Everything that writes a file of a fleet uses this crate, so that three promises have one
//! home:
//!
//! * **Private.** Files are made with mode 0600 and folders with mode 0700, whatever the
//!   umask is ([`Draft`], [`create_private_folders`]). [`Exposed`] finds looser ones.
//! * **Whole.** Readers see the old file or the new one: a [`Draft`] is written beside its
//!   target and renamed. A draft that fails is removed, and one whose process was killed is
//!   removed by the next.
//! * **Durable.** The draft is synced before the rename and the folder after it. If only the
//!   last sync fails, the error says that the new file is in place
//!   ([`FileError::is_published`]).
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("fleet.hdx");
//! use hintdex_host::{Draft, Exposed};
//!
//! let mut draft = Draft::beside(&path)?;
//! draft.write(b"a header")?;
//! draft.write(b", and the rest")?;
//! assert!(!path.exists());
//! draft.publish()?;
//! assert_eq!(std::fs::read(&path).unwrap(), b"a header, and the rest");
//! assert_eq!(Exposed::find(&path), None);
//! # Ok::<(), hintdex_host::FileError>(())
//! ```
#![forbid(unsafe_code)]

mod access;
mod clock;
mod core_dumps;
mod draft;
mod error;
mod folder;
mod secret;
mod shred;
mod split_mix;

pub use access::Exposed;
pub use clock::{Clock, FIRST_SET_UNIX_S, ManualClock, SystemClock};
pub use core_dumps::forbid_core_dumps;
pub use draft::{
    Draft, DraftFolder, check_target, is_draft, publish, remove_folder_at_once, replace,
    sweep_drafts,
};
pub use error::{FileError, LockError};
pub use folder::{FolderLock, create_private_folders, folder_of, remove_folder, sync_folder_of};
pub use secret::{MAX_SECRET_LEN_BYTES, SecretError, SecretSource, SecretText};
pub use shred::shred;
pub use split_mix::SplitMix64;
