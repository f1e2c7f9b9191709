//! Clocked nonces: spans of station time, and the clocks of the devices.
//!
//! A window of a clocked index covers a *span* of station time. It holds the nonces that each
//! device's clock will show during the span, so nothing in it is rewritten: it is built before
//! the span begins and dropped whole when the span has passed.
//!
//! For each device an *interval* bounds the difference between its clock and station time. The
//! interval grows with the time since the device was heard, by the largest drift of a crystal.
//! Every accepted packet cuts the interval to the offsets that its nonce allows. So the search
//! for a silent device widens until the device is heard.

mod clock_move;
mod device_clock;
mod schedule_clock;
mod scheduled_slot;
mod session;
mod timing;
mod units;

pub use clock_move::ClockMove;
pub(crate) use device_clock::{Anchor, DeviceClock};
pub use schedule_clock::{ScheduleClock, ScheduleTolerance, ScheduledArrival};
pub use scheduled_slot::Sighting;
pub(crate) use scheduled_slot::{ScheduledJudgement, ScheduledSlot};
pub(crate) use session::{
    ClockedJudgement, ClockedSlot, MAX_PAST_SESSIONS, MAX_PENDING, Pending, Session, late_unit,
};
pub use timing::{Span, Timing, TimingOptions};
pub(crate) use units::{in_step, may_be_in_step, nonces_of, units_in, units_of_window};

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod edge_tests;
