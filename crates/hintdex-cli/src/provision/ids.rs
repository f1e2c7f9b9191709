//! The ids of the devices to add.

use std::ops::Range;

use hintdex::wire::{DeviceId, Slot};
use hintdex::{DeviceRange, Station};

use crate::args::{IdRange, ProvisionArgs};
use crate::failure::Failure;

/// The ranges of the command line; empty where a file names the devices.
pub fn ranges_of(args: &ProvisionArgs) -> Result<Vec<DeviceRange>, Failure> {
    match args.devices {
        Some(devices) => Ok(vec![run_of(devices, args.first_device)?]),
        None => several(&args.ids),
    }
}

fn run_of(devices: u64, first: u64) -> Result<DeviceRange, Failure> {
    if devices == 0 {
        return Err(Failure::usage("--devices 0: give at least one device"));
    }
    let last = first.saturating_add(devices - 1);
    match (u32::try_from(first), u32::try_from(devices), u32::try_from(last)) {
        (Ok(first), Ok(count), Ok(_)) => Ok(DeviceRange::new(DeviceId(first), count)),
        _ => Err(Failure::usage(format!(
            "{devices} devices from id {first} on exceed the last id {} or the number of slots; choose fewer devices or lower ids",
            u32::MAX
        ))),
    }
}

/// Ranges in the order of their ids, without overlap.
fn several(ids: &[IdRange]) -> Result<Vec<DeviceRange>, Failure> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        if let [IdRange { last, .. }, IdRange { first, .. }] = pair
            && first <= last
        {
            return Err(Failure::usage(format!("--ids: id {first} occurs twice; give it once")));
        }
    }
    let range = |IdRange { first, last }: &IdRange| {
        let count = (last - first).checked_add(1);
        let count = count.ok_or_else(|| {
            Failure::usage(
                "--ids: the range of every id exceeds the number of slots; leave an id out",
            )
        });
        Ok(DeviceRange::new(DeviceId(*first), count?))
    };
    ids.iter().map(range).collect()
}

/// Describes the devices in `slots`: `5 to 9`, with their number if ids between are missing.
pub fn describe(station: &Station, slots: Range<Slot>) -> String {
    let count = slots.end.0 - slots.start.0;
    let ends = station.device(slots.start).zip(station.device(Slot(slots.end.0.saturating_sub(1))));
    let Some((first, last)) = ends else { return count.to_string() };
    if last.0 - first.0 < count {
        format!("{first} to {last}")
    } else {
        format!("{first} to {last}, {count} of these ids,")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_do_not_overlap() {
        let of = |texts: &[&str]| {
            let ids: Vec<IdRange> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            several(&ids).map(|ranges| {
                let pairs = ranges.iter().map(|range| (range.first.0, range.count));
                pairs.collect::<Vec<_>>()
            })
        };
        assert_eq!(of(&["9", "1-3"]).unwrap_or_default(), vec![(1, 3), (9, 1)]);
        assert!(of(&["1-3", "3-9"]).is_err() && of(&["5", "5"]).is_err());
        assert!(of(&["0-4294967295"]).is_err());
        assert_eq!(of(&["1-4294967295"]).unwrap_or_default(), vec![(1, u32::MAX)]);
    }
}
