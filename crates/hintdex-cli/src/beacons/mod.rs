//! Beacons: registering them, and resolving their identifiers.

mod answers;
pub mod forget_clock;
pub mod identify;
pub mod import;
mod registrations;
mod sightings;
