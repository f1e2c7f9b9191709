//! The machine a fleet lives on: the clock, and the files.
#![forbid(unsafe_code)]

mod clock;

pub use clock::{Clock, FIRST_SET_UNIX_S, ManualClock, SystemClock};
