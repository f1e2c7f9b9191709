//! The harness of the tests that cross crates: the program run and judged, the
//! capture, a fleet of devices to send packets, and the ledger of a crash test.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test stops at the first surprise"
)]

pub mod capture;
pub mod cases;
pub mod children;
pub mod devices;
pub mod documents;
pub mod files;
pub mod killing;
pub mod ledger;
pub mod mqtt;
pub mod program;
pub mod random;
pub mod serving;
pub mod small_disk;
pub mod tls;
pub mod trace;

use std::sync::atomic::{AtomicBool, Ordering};

pub use capture::Capture;
pub use devices::Devices;
pub use ledger::{Breach, Ledger};
pub use program::{Outcome, Running, Said, decode, provision, run};
pub use random::Random;

/// Tells other threads to end when it goes, also when the test fails.
#[derive(Debug)]
pub struct EndOnDrop<'a>(pub &'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
