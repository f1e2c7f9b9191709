//! Beacons: registering them, and resolving their identifiers.

mod answers;
pub mod forget_clock;
mod gaen_export;
pub mod identify;
pub mod import;
mod registrations;
mod sightings;
