//! Beacons: identifiers that carry no payload, registered and resolved.

pub mod args;
pub mod forget_clock;
pub mod identify;
pub mod import;
mod rows;
