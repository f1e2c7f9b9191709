//! The outbox: accepted payloads, stored until their readers have acknowledged them.
//!
//! A packet is accepted once, so a payload that is lost after its admission is lost for ever. With
//! an outbox, the row of an accepted payload is part of the write batch of the device's new state:
//! whoever finds the state finds the payload. Rows are a log. Each has a number, and the number of
//! a later batch is greater. A *reader* is a name with a *place*: it has acknowledged every payload
//! whose number is below. Compactions delete the rows before the place of every reader, so no row
//! is deleted one by one.
//!
//! A batch reserves one number for each of its arrivals, whatever becomes of them, so numbers are in
//! the order of the input and have holes.

mod handle;
mod log;

pub use handle::{Outbox, OutboxRow};
pub(crate) use log::{OutboxLog, Reserved};
