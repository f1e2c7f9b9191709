//! Scans of all devices: what they may cost, what waits for them, and what is
//! not worth a second one.

use std::thread;
use std::time::{Duration, Instant};

use hintdex::wire::{DeviceId, HintScheme};
use hintdex::{DeviceRange, Source, StationOptions, Unknown, Verdict};
use hintdex_tests::{Devices, Random};

use crate::fleet::{Fleet, SECRET};

const DEVICES: u32 = 20_000;
const LOOKAHEAD: u32 = 4;
/// A nonce that no index looks ahead to.
const LEAPT: u64 = 1000;

fn fleet(scan_core_share: f64) -> Fleet {
    let options = StationOptions { scan_core_share, ..StationOptions::default() };
    let fleet = Fleet::create_with(HintScheme::Aes128, LOOKAHEAD, &options);
    let all = DeviceRange::new(DeviceId(0), DEVICES);
    fleet.station().provision(&[all], None).expect("ids are free");
    fleet
}

fn found_by_scan(verdict: &Verdict, device: u32) -> bool {
    matches!(verdict, Verdict::Accepted { device: id, nonce: LEAPT, source: Source::Scan, .. }
        if id.0 == device)
}

fn waits(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. }))
}

#[test]
fn without_a_budget_nothing_is_scanned_for_and_the_indexed_go_on() {
    let (fleet, devices) = (fleet(0.0), Devices::new(&SECRET));
    let sent = [devices.packet(7, LEAPT, b"far"), devices.packet(8, 0, b"near")];
    let verdicts = fleet.station().decode_batch(&sent).expect("it decodes");
    assert!(waits(&verdicts[0]));
    assert!(verdicts[0].reason().contains("scan budget"));
    assert!(matches!(verdicts[1], Verdict::Accepted { .. }));
    assert_eq!(fleet.station().scan_waiting().expect("it can be asked"), []);
    let stats = fleet.station().scan_stats();
    assert_eq!((stats.passes, stats.refused, stats.waiting, stats.dropped), (0, 1, 1, 0));
    // A flood does not make the queue grow.
    let mut random = Random::new(3);
    let noise: Vec<_> = (0..10_000).map(|_| random.bytes(40)).collect();
    fleet.station().decode_batch(&noise).expect("it decodes");
    let stats = fleet.station().scan_stats();
    assert_eq!((stats.refused, stats.waiting), (10_001, 4096));
    assert_eq!(stats.dropped, 10_001 - 4096);
}

#[test]
fn what_waited_is_found_once_the_budget_allows_it() {
    let (fleet, devices) = (fleet(0.01), Devices::new(&SECRET));
    let mut random = Random::new(5);
    let spent = Instant::now();
    // The hints of a batch are scanned for in order. So the last packet waits once the budget
    // allows no further scan, however long the passes of this batch took.
    let (device, ticket) = (0..DEVICES)
        .find_map(|device| {
            let mut batch: Vec<_> = (0..64).map(|_| random.bytes(40)).collect();
            batch.push(devices.packet(device, LEAPT, b"far"));
            let verdicts = fleet.station().decode_batch(&batch).expect("it decodes");
            match verdicts.last().expect("a verdict a packet") {
                Verdict::Unknown(Unknown::ScanBudget { ticket }) => Some((device, *ticket)),
                verdict => {
                    assert!(found_by_scan(verdict, device), "{verdict:?}");
                    None
                }
            }
        })
        .expect("the budget is spent");
    assert!(fleet.station().is_waiting(ticket));
    let waited = Instant::now();
    let verdict = loop {
        let told = fleet.station().scan_waiting().expect("it can be asked");
        if let Some((_, verdict)) = told.into_iter().find(|(waiting, _)| *waiting == ticket) {
            break verdict;
        }
        assert!(waited.elapsed() < Duration::from_secs(60), "no scan for the packet");
        thread::sleep(Duration::from_millis(5));
    };
    assert!(found_by_scan(&verdict, device), "{verdict:?}");
    let stats = fleet.station().scan_stats();
    let (share, burst) = (0.01, Duration::from_secs(5));
    let allowed = (spent.elapsed() + burst).mul_f64(share) + Duration::from_millis(50);
    assert!(stats.core_time < allowed, "{:?} of {allowed:?}", stats.core_time);
}

#[test]
fn a_hint_that_was_scanned_for_in_vain_is_not_scanned_for_again_until_devices_are_added() {
    let (fleet, devices) = (fleet(f64::INFINITY), Devices::new(&SECRET));
    let stranger = devices.packet(DEVICES + 7, LEAPT, b"later");
    for _ in 0..100 {
        let verdict = fleet.station().decode(&stranger).expect("it decodes");
        assert_eq!(verdict, Verdict::Unknown(Unknown::NoDevice));
    }
    let stats = fleet.station().scan_stats();
    assert_eq!((stats.passes, stats.hints, stats.cache_hits), (1, 1, 99));
    assert_eq!(stats.tries, u64::from(DEVICES));
    let more = DeviceRange::new(DeviceId(DEVICES), 10);
    fleet.station().provision(&[more], None).expect("ids are free");
    let verdict = fleet.station().decode(&stranger).expect("it decodes");
    assert!(found_by_scan(&verdict, DEVICES + 7), "{verdict:?}");
}
