//! Beacons: registering them, and resolving their identifiers.

mod answers;
pub mod forget_clock;
pub mod gaen_export;
pub mod identify;
pub mod import;
pub mod registrations;
pub mod sightings;
