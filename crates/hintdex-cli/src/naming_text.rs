//! How packets name their devices, as text: the names that `provision` takes.

use hintdex::wire::TAG_LEN_BYTES;
use hintdex::{Naming, Params};

/// The name by which `provision --hint` knows the hints of a fleet.
pub const fn hint_name(params: &Params) -> &'static str {
    match params.naming {
        Naming::Hint => params.scheme.name(),
        Naming::Schedule { head: Some(head), .. } => head.name(),
        _ => "none",
    }
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
    let of_packet = match params.naming {
        Naming::Ephemeral { suite, .. } => suite.overhead_bytes(),
        Naming::Schedule { head: None, .. } => TAG_LEN_BYTES,
        Naming::Schedule { head: Some(head), .. } => head.len_bytes() + TAG_LEN_BYTES,
        _ => params.format().overhead_bytes(),
    };
    if params.lead.is_some() { of_packet + 1 } else { of_packet }
}

/// The point of the station, in hex, where devices know one.
pub fn station_point(params: &Params) -> Option<String> {
    match params.naming {
        Naming::Ephemeral { station, .. } => Some(hex::encode(station.0)),
        _ => None,
    }
}

/// The shortest and the longest delay, as `provision --schedule` takes them, where packets follow a
/// schedule.
pub fn schedule_text(params: &Params) -> Option<String> {
    let Naming::Schedule { schedule, .. } = params.naming else { return None };
    Some(format!("{}:{}", schedule.min_ms(), schedule.max_ms()))
}
