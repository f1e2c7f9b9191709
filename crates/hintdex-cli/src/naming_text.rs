//! How packets name their devices, as text: the names that `provision` takes.

use hintdex::{Naming, Params};

/// The name by which `provision --hint` knows the hints of a fleet.
pub const fn hint_name(params: &Params) -> &'static str {
    if params.naming.has_index() { params.scheme.name() } else { "none" }
}

/// The name by which `provision --suite` knows the packets of a fleet.
pub fn suite_name(params: &Params) -> &'static str {
    match params.naming {
        Naming::Ephemeral { suite, .. } => suite.name(),
        _ => params.suite.name(),
    }
}

/// The length of a packet beyond its payload, in bytes.
pub const fn overhead_bytes(params: &Params) -> usize {
    match params.naming {
        Naming::Ephemeral { suite, .. } => suite.overhead_bytes(),
        _ => params.format().overhead_bytes(),
    }
}

/// The point of the station, in hex, where devices know one.
pub fn station_point(params: &Params) -> Option<String> {
    match params.naming {
        Naming::Ephemeral { station, .. } => Some(hex::encode(station.0)),
        _ => None,
    }
}
