//! The outcome of a change of beacons, and what is reported of it.

use hintdex_beacon::{Changes, Event, Refusal};

use crate::failure::Failure;
use crate::input::BadRecord;

/// Makes the changes, reports the damage that was found, and returns the number of registered
/// beacons.
pub fn publish(mut changes: Changes) -> Result<u32, Failure> {
    let published = changes.publish_changes();
    report(changes.take_events());
    published?;
    Ok(changes.len())
}

/// Reports events on standard error.
pub fn report(events: Vec<Event>) {
    events.iter().for_each(|event| eprintln!("hintdex: {event}"));
}

/// `1 beacon`, or `2 beacons`.
pub fn counted(beacons: u64) -> String {
    if beacons == 1 { "1 beacon".to_owned() } else { format!("{beacons} beacons") }
}

/// The fault of a refused record.
pub fn refused(refusal: Refusal) -> BadRecord {
    BadRecord::Refused(refusal.to_string())
}
