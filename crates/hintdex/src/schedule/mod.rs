//! Packets that only their time names: the queue of coming arrivals, and decoding by it.

mod placing;
mod queue;
