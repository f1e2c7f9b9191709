//! Packets that only their time names: the queue of coming arrivals, and decoding by it.

mod decode;
mod devices;
mod placing;
mod queue;
mod search;
mod state;

pub use state::ScheduleStats;
pub(crate) use state::Scheduled;
