//! Notices on standard error: clocks and devices out of service. A notice of one fleet among
//! several begins with its folder, `of`.

use hintdex::wire::{DeviceId, NonceKind};
use hintdex::{ClockMove, Station};

use crate::unix_time::time_text;

/// How far the system clock may be behind the creation of the fleet before one of the two
/// clocks must have been wrong, in seconds. A clock may be set back by less.
const MAX_BEFORE_CREATION_S: u64 = 86_400;

/// The most devices out of service that are named one by one.
const MAX_NAMED: usize = 5;

/// A clock that shows less than ten years since 1970 was not set since it has power.
const EPOCH_UNIX_S: u64 = 10 * 365 * 86_400;

/// Reports the devices that are out of service.
pub fn report_out_of_service(of: &str, station: &Station) {
    let devices = station.out_of_service();
    for (device, why) in devices.iter().take(MAX_NAMED) {
        eprintln!("hintdex: {of}device {device} is out of service: {why}");
    }
    if let Some(more @ 1..) = devices.len().checked_sub(MAX_NAMED) {
        eprintln!("hintdex: {of}{more} more devices are out of service");
    }
}

/// Reports that the fleet was restored from a backup.
pub fn report_restored(of: &str, station: &Station) {
    if let Some(restored) = station.restored() {
        let made = time_text(restored.made_unix_s);
        eprintln!(
            "hintdex: {of}the fleet was restored from a backup of {made}: a packet that was accepted \
             later is accepted once more if it is sent again"
        );
    }
}

/// Reports that the system clock, or the clock at the creation of the fleet, must be wrong.
pub fn report_clock(of: &str, system_s: Option<u64>, created_s: u64) {
    let times = "packets are judged by their times of reception, where lines carry them";
    let created = time_text(created_s);
    match system_s {
        None => eprintln!(
            "hintdex: {of}the system clock was never set; it counts as {created}, when the fleet was created, until packets show the time; {times}"
        ),
        Some(system_s) if system_s.saturating_add(MAX_BEFORE_CREATION_S) < created_s => eprintln!(
            "hintdex: {of}the system clock shows {}, and the fleet was created at {created}: one of the two clocks was wrong; check the system clock; {times}",
            time_text(system_s)
        ),
        Some(_) => {}
    }
}

/// Reports that a device's clock jumped and the station followed it.
pub fn report_clock_move(of: &str, device: DeviceId, moved: &ClockMove, nonces: NonceKind) {
    let device_s = nonces.device_time_s(moved.nonce).map_or(0, |made| made.start);
    let reason = if device_s < EPOCH_UNIX_S {
        "its clock is back at its epoch, as after a new battery"
    } else {
        "two packets agree on it"
    };
    eprintln!(
        "hintdex: {of}device {device}: moved to {} by its own clock, {} s from the station's at {} ({} s before): {reason}",
        time_text(device_s),
        moved.to_s,
        time_text(moved.received_unix_s),
        moved.from_s,
    );
}

/// Reports that packets have moved the station clock far from the system clock.
pub fn report_distance(distance_s: u64, is_ahead: bool) {
    let way = if is_ahead { "ahead of" } else { "behind" };
    eprintln!(
        "hintdex: authentic packets are {} days {way} the system clock: windows go by the packets",
        distance_s / 86_400
    );
}
