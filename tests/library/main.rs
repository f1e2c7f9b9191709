//! What is shown through the libraries: the model, threads, damaged files, and
//! the document of the format.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod chains;
mod clocked;
mod creation;
mod damage;
mod ephemeral;
mod fleet;
mod flips;
mod forks;
mod format;
mod keys;
mod later_keys;
mod life;
mod live_index;
mod master_key;
mod model;
mod newer;
mod outbox;
mod policies;
mod ratchet;
mod records;
mod scans;
mod schedule;
mod settings;
mod splits;
mod suites;
mod threads;
mod time;
