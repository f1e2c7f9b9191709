//! Many threads at one station: exactly one of them is told that a packet is new,
//! and rolling and provisioning beside them takes nothing away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hintdex::wire::DeviceId;
use hintdex::wire::HintScheme;
use hintdex::{DeviceRange, Source, StationOptions, Unknown, Verdict};
use hintdex_tests::devices::payload;
use hintdex_tests::{Devices, EndOnDrop, Random};

use crate::fleet::{Fleet, SECRET};

const DEVICES: u32 = 60;

fn range(first: u32, count: u32) -> DeviceRange {
    DeviceRange::new(DeviceId(first), count)
}

/// Packets of all devices, each nonce once, slightly out of order.
fn packets(nonces: u64, random: &mut Random) -> Vec<Vec<u8>> {
    let devices = Devices::new(&SECRET);
    let mut packets: Vec<_> = (0..nonces)
        .flat_map(|nonce| (0..DEVICES).map(move |device| (device, nonce)))
        .map(|(device, nonce)| devices.packet(device, nonce, &payload(device, nonce)))
        .collect();
    packets.chunks_mut(DEVICES as usize * 8).for_each(|chunk| random.shuffle(chunk));
    packets
}

/// Decodes all packets in batches of one to `most`; the verdicts in their order.
fn decode_all(fleet: &Fleet, packets: &[Vec<u8>], most: usize, seed: u64) -> Vec<Verdict> {
    let mut random = Random::new(seed);
    let mut verdicts = Vec::new();
    while verdicts.len() < packets.len() {
        let rest = &packets[verdicts.len()..];
        let count = rest.len().min(1 + random.place(most));
        verdicts.extend(fleet.station().decode_batch(&rest[..count]).expect("it decodes"));
    }
    verdicts
}

fn one_of_many_is_told(seed: u64, nonces: u64, most: usize) {
    let mut random = Random::new(seed);
    let fleet = Fleet::create(HintScheme::Aes128, 3, &mut random);
    fleet.station().provision(&[range(0, DEVICES)], None).expect("ids are free");
    let packets = packets(nonces, &mut random);
    let (fleet, packets) = (&fleet, &packets);
    let by_thread: Vec<Vec<Verdict>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || decode_all(fleet, packets, most, seed * 10 + number)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    for place in 0..packets.len() {
        let told: Vec<_> = by_thread.iter().map(|verdicts| &verdicts[place]).collect();
        let accepted = told.iter().filter(|said| said.name() == "accepted").count();
        assert_eq!(accepted, 1, "seed {seed}, packet {place}: {told:?}");
        let rest = told.iter().filter(|said| matches!(said.name(), "replay" | "stale")).count();
        assert_eq!(rest, 3, "seed {seed}, packet {place}: {told:?}");
    }
    fleet.station().verify(None).expect("the index is sound");
}

#[test]
fn of_four_threads_with_the_same_packets_exactly_one_is_told_that_each_is_new() {
    one_of_many_is_told(1, 80, 40);
    one_of_many_is_told(2, 80, 4000);
    one_of_many_is_told(3, 20, 1);
}

#[test]
fn devices_are_found_by_the_index_while_it_rolls_and_grows() {
    found_while_rolling(&StationOptions::default());
}

/// Of a lean index, a lookup that misses the snapshot has nothing but the scan.
#[test]
fn devices_are_found_without_a_scan_while_the_snapshot_a_lean_index_needs_is_replaced() {
    found_while_rolling(&StationOptions { lean: true, ..StationOptions::default() });
}

fn found_while_rolling(options: &StationOptions) {
    let mut random = Random::new(7);
    let mut fleet = Fleet::create_with(HintScheme::Aes128, 16, options);
    fleet.station().provision(&[range(0, DEVICES)], None).expect("ids are free");
    let devices = Devices::new(&SECRET);
    let done = AtomicBool::new(false);
    let (fleet_now, devices, done) = (&fleet, &devices, &done);
    thread::scope(|scope| {
        let end = EndOnDrop(done);
        let rolling = scope.spawn(move || {
            let mut rolls = 0;
            while !done.load(Ordering::Relaxed) {
                fleet_now.station().roll(None).expect("it rolls");
                rolls += 1;
            }
            rolls
        });
        let growing = scope.spawn(move || {
            for first in (1000..).step_by(50).take_while(|_| !done.load(Ordering::Relaxed)) {
                fleet_now.station().provision(&[range(first, 50)], None).expect("ids are free");
                let packet = devices.packet(first + 49, 15, b"new");
                let verdict = fleet_now.station().decode(&packet).expect("it decodes");
                assert!(
                    matches!(
                        verdict,
                        Verdict::Accepted { source: Source::Index | Source::Snapshot, .. }
                    ),
                    "{verdict:?}"
                );
            }
        });
        for nonce in 0..600 {
            let sent: Vec<_> = (0..DEVICES)
                .map(|device| devices.packet(device, nonce, &payload(device, nonce)))
                .collect();
            let verdicts = fleet_now.station().decode_batch(&sent).expect("it decodes");
            for (device, verdict) in (0..).zip(verdicts) {
                let payload = payload(device, nonce);
                let expected = |source| {
                    let (device, payload) = (DeviceId(device), payload.clone());
                    Verdict::Accepted { device, generation: 0, nonce, payload, source }
                };
                let known = [Source::Index, Source::Snapshot].map(expected);
                assert!(known.contains(&verdict), "{verdict:?}");
            }
        }
        drop(end);
        let rolls = rolling.join().expect("it does not panic");
        growing.join().expect("it does not panic");
        assert!(rolls > 3, "{rolls} rolls only");
    });
    fleet.station().verify(None).expect("the index is sound");
    let before = fleet.station().stats().expect("it can be asked");
    fleet.reopen(&mut random);
    let after = fleet.station().stats().expect("it can be asked");
    assert_eq!(before.slots, after.slots);
    // Beside a snapshot, rows may say less of how far their hints reach; never more.
    assert!(after.hints <= before.hints);
    assert!(before.lean_snapshot.is_some() || after.hints == before.hints);
    fleet.station().verify(None).expect("the index is sound");
}

#[test]
fn devices_retired_while_their_packets_come_are_accepted_before_and_strangers_after() {
    let mut random = Random::new(11);
    let fleet = Fleet::create(HintScheme::Aes128, 4, &mut random);
    fleet.station().provision(&[range(0, DEVICES)], None).expect("ids are free");
    let packets = packets(60, &mut random);
    let (fleet, packets) = (&fleet, &packets);
    let verdicts = thread::scope(|scope| {
        let retiring = scope.spawn(move || {
            for device in (0..DEVICES).step_by(2) {
                fleet.station().retire(DeviceId(device)).expect("it is there");
            }
        });
        let verdicts = decode_all(fleet, packets, 30, 11);
        retiring.join().expect("it does not panic");
        verdicts
    });
    let mut by_device: HashMap<u32, u32> = HashMap::new();
    for verdict in &verdicts {
        match verdict {
            Verdict::Accepted { device, .. } => *by_device.entry(device.0).or_default() += 1,
            other => assert_eq!(other, &Verdict::Unknown(Unknown::NoDevice)),
        }
    }
    assert!((1..DEVICES).step_by(2).all(|device| by_device.get(&device) == Some(&60)));
    for verdict in fleet.station().decode_batch(packets).expect("it decodes") {
        match verdict {
            Verdict::Replay { device, .. } | Verdict::Stale { device, .. } => {
                assert_eq!(device.0 % 2, 1, "a retired device is known");
            }
            other => assert_eq!(other, Verdict::Unknown(Unknown::NoDevice)),
        }
    }
    fleet.station().verify(None).expect("the index is sound");
}
