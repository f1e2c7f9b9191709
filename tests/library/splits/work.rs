//! What may cost a scan: one a distinct hint, whatever comes how often; and what waits for
//! one is not pushed out by copies of garbage.

use std::thread;
use std::time::{Duration, Instant};

use hintdex::wire::{DeviceId, HintScheme};
use hintdex::{DeviceRange, StationOptions, Unknown, Verdict};
use hintdex_tests::devices::damaged;
use hintdex_tests::{Devices, Random};

use crate::fleet::{Fleet, SECRET};

const DEVICES: u32 = 2000;
const LOOKAHEAD: u32 = 4;
/// A nonce that no index looks ahead to.
const LEAPT: u64 = 1000;
/// Devices that leapt while somebody jammed.
const JAMMED: u32 = 50;

fn fleet(devices: u32, scan_core_share: f64) -> Fleet {
    let options = StationOptions { scan_core_share, ..StationOptions::default() };
    let fleet = Fleet::create_with(HintScheme::Aes128, LOOKAHEAD, &options);
    let all = DeviceRange::new(DeviceId(0), devices);
    fleet.station().provision(&[all], None).expect("ids are free");
    fleet
}

fn unbounded() -> Fleet {
    fleet(DEVICES, f64::INFINITY)
}

/// Hints that were scanned for until now.
fn scanned(fleet: &Fleet) -> u64 {
    fleet.station().scan_stats().hints
}

/// The devices that were accepted among packets that waited.
fn found(told: impl IntoIterator<Item = Verdict>) -> Vec<u32> {
    let accepted = told.into_iter().filter_map(|said| match said {
        Verdict::Accepted { device, nonce: LEAPT, .. } => Some(device.0),
        _ => None,
    });
    accepted.collect()
}

/// What is said at last of packets that waited, as far as the budget allows.
fn waited(fleet: &Fleet) -> Vec<Verdict> {
    let told = fleet.station().scan_waiting().expect("it can be asked");
    told.into_iter().map(|(_, verdict)| verdict).collect()
}

/// The same of all of them.
fn all_waited(fleet: &Fleet) -> Vec<Verdict> {
    let told = fleet.station().scan_all_waiting().expect("it can be asked");
    told.into_iter().map(|(_, verdict)| verdict).collect()
}

#[test]
fn copies_of_one_unknown_hint_cost_one_scan() {
    for len in [40, 41] {
        let fleet = unbounded();
        // The hint alone is a copy, or the whole packet.
        let hint = Random::new(7).bytes(16);
        let mut random = Random::new(8);
        let copy =
            |_| [hint.clone(), if len == 40 { vec![1; 24] } else { random.bytes(25) }].concat();
        let copies: Vec<Vec<u8>> = (0..8192).map(copy).collect();
        let verdicts = fleet.station().decode_batch(&copies).expect("it decodes");
        assert!(verdicts.iter().all(|said| *said == Verdict::Unknown(Unknown::NoDevice)));
        assert_eq!(scanned(&fleet), 1);
        fleet.station().decode_batch(&copies).expect("it decodes");
        assert_eq!(scanned(&fleet), 1);
    }
}

#[test]
fn copies_of_a_leapt_devices_packet_cost_one_scan() {
    let fleet = unbounded();
    let packet = Devices::new(&SECRET).packet(7, LEAPT, b"far");
    let mut copies: Vec<Vec<u8>> =
        (0..500).map(|bit| damaged(packet.clone(), 16 * 8 + bit % 88)).collect();
    copies.push(packet.clone());
    copies.extend(std::iter::repeat_n(packet, 500));
    let verdicts = fleet.station().decode_batch(&copies).expect("it decodes");
    assert!(verdicts[..500].iter().all(|said| *said == Verdict::Forged));
    assert_eq!(found(verdicts[500..].to_vec()), [7]);
    assert!(verdicts[501..].iter().all(|said| said.name() == "replay"));
    assert_eq!(scanned(&fleet), 1);
}

#[test]
fn an_old_packet_that_is_sent_again_and_again_costs_one_scan() {
    let (fleet, devices) = (unbounded(), Devices::new(&SECRET));
    let old = devices.packet(7, 0, b"old");
    for nonce in 0..200 {
        let packet = if nonce == 0 { old.clone() } else { devices.packet(7, nonce, b"new") };
        let verdict = fleet.station().decode(&packet).expect("it decodes");
        assert_eq!(verdict.name(), "accepted");
    }
    // So that it is not in the window either.
    fleet.station().roll(None).expect("it rolls");
    fleet.station().roll(None).expect("it rolls");
    let before = scanned(&fleet);
    for _ in 0..100 {
        let verdict = fleet.station().decode(&old).expect("it decodes");
        assert_eq!(verdict.name(), "stale");
    }
    assert!(scanned(&fleet) - before <= 1, "{} scans", scanned(&fleet) - before);
    // A packet whose tag does not verify is no other hint.
    for bit in 0..60 {
        let verdict =
            fleet.station().decode(&damaged(old.clone(), 16 * 8 + bit)).expect("it decodes");
        assert_eq!(verdict, Verdict::Forged);
    }
    assert!(scanned(&fleet) - before <= 1, "{} scans", scanned(&fleet) - before);
}

/// Packets of the jammed devices, each behind one of the same hint that somebody changed.
fn jammed() -> Vec<Vec<u8>> {
    let devices = Devices::new(&SECRET);
    let packets = (0..JAMMED).flat_map(|device| {
        let packet = devices.packet(device, LEAPT, b"jammed");
        [damaged(packet.clone(), 16 * 8 + 3), packet]
    });
    packets.collect()
}

/// Garbage of a few hints, more of it than may wait.
fn garbage() -> Vec<Vec<u8>> {
    let mut random = Random::new(9);
    let hints: Vec<Vec<u8>> = (0..4).map(|_| random.bytes(16)).collect();
    (0..8192).map(|at: usize| [hints[at % 4].clone(), random.bytes(24)].concat()).collect()
}

#[test]
fn copies_of_garbage_push_nobody_out_who_waits_for_a_scan() {
    // Nothing is scanned for until all of it is.
    let fleet = fleet(DEVICES, 0.0);
    let refused = fleet.station().decode_batch(&jammed()).expect("it decodes");
    assert!(refused.iter().all(waits));
    fleet.station().decode_batch(&garbage()).expect("it decodes");
    let mut devices = found(all_waited(&fleet));
    devices.sort_unstable();
    let all: Vec<u32> = (0..JAMMED).collect();
    assert_eq!(devices, all, "{} of {JAMMED} jammed devices are found", devices.len());
}

#[test]
fn jammed_devices_are_found_beside_copies_of_garbage_once_the_budget_allows_it() {
    let fleet = fleet(20_000, 0.01);
    let mut random = Random::new(5);
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let noise: Vec<_> = (0..64).map(|_| random.bytes(40)).collect();
        let verdicts = fleet.station().decode_batch(&noise).expect("it decodes");
        if verdicts.iter().any(waits) {
            break;
        }
        assert!(Instant::now() < limit, "the budget is never spent");
    }
    let mut devices = found(fleet.station().decode_batch(&jammed()).expect("it decodes"));
    let garbage = garbage();
    for copies in garbage.chunks(1024) {
        fleet.station().decode_batch(copies).expect("it decodes");
        devices.extend(found(waited(&fleet)));
    }
    while devices.len() < JAMMED as usize && fleet.station().scan_stats().waiting > 0 {
        devices.extend(found(waited(&fleet)));
        assert!(Instant::now() < limit, "{} of {JAMMED} jammed devices are found", devices.len());
        thread::sleep(Duration::from_millis(2));
    }
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices.len(), JAMMED as usize, "so many jammed devices are found");
}

fn waits(said: &Verdict) -> bool {
    matches!(said, Verdict::Unknown(Unknown::ScanBudget { .. }))
}
