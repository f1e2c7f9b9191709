//! Fleets whose keys move on with the nonces: against a plain model, and what is left of former
//! keys in files and in memory.

mod secrets;
mod world;

use std::time::Instant;

use hintdex::wire::{HintScheme, RatchetBits, Sealer};
use hintdex::{Station, StationOptions, Unknown, Verdict};
use hintdex_tests::Random;

use world::{Kind, Traffic, World};

const TRAFFIC: Traffic = Traffic { lost: 10, repeated: 5, leaps_per_mille: 2, leap_epochs: 200 };

/// Loss, repeats, late packets over the ends of epochs, and leaps, while the station rolls and is
/// opened again.
#[test]
fn verdicts_are_those_of_a_plain_model() {
    let mut random = Random::new(21);
    for round in 0..6 {
        let kind = Kind {
            scheme: [HintScheme::Aes128, HintScheme::Speck64][random.place(2)],
            bits: [1, 2, 4, 6, 10][random.place(5)],
            lookahead: [1, 16, 64][random.place(3)],
            is_given: round % 2 == 0,
            devices: 120,
            salt: 1,
        };
        let mut world = World::new(kind);
        for _ in 0..4 {
            world.run(900, 300, &TRAFFIC, &mut random);
            match random.place(4) {
                0 => world.reopen(),
                1 => world.restore(),
                2 => world.station().roll(None).expect("it rolls"),
                _ => {}
            }
        }
        world.station().verify(None).expect("it is sound");
        assert!(
            world.counts.get("accepted").is_some_and(|count| *count > 2000),
            "{:?}",
            world.counts
        );
        assert!(world.counts.contains_key("replay"), "{:?}", world.counts);
    }
}

/// A device that does not move its chain on seals nonces of one epoch under the keys of another.
#[test]
fn a_hint_of_another_epoch_than_its_key_is_no_hint() {
    for scheme in [HintScheme::Aes128, HintScheme::Speck64] {
        let kind = Kind { scheme, bits: 4, lookahead: 40, is_given: false, devices: 20, salt: 4 };
        let mut world = World::new(kind);
        let chain_in = |epoch| {
            let mut chain = world::first_chain(&kind, 7);
            chain.advance_to(epoch);
            chain
        };
        for (epoch, nonce) in [(0, 16), (0, 31), (1, 15), (2, 31), (2, 48), (1, 0)] {
            let chain = chain_in(epoch);
            let mut sealer = Sealer::new(scheme, &chain.hint_key(), chain.packet_key(), nonce);
            let mut packet = vec![0; sealer.packet_len_bytes(1)];
            sealer.seal(b"x", &mut packet).expect("it fits");
            let verdict = world.station().decode(&packet).expect("it decodes");
            assert_eq!(verdict, Verdict::Unknown(Unknown::NoDevice), "#{nonce} of epoch {epoch}");
        }
        let mut random = Random::new(1);
        let first = world.packet(7, &Traffic { lost: 0, repeated: 0, ..TRAFFIC }, &mut random);
        world.decode(&[first.expect("it is not lost")]);
    }
}

/// At the first nonce of an epoch, a scan reaches the 255 epochs after it. A batch is searched with
/// the nonces to which its packets move the device, and admission holds each packet to the reach at
/// its own turn.
#[test]
fn a_packet_past_the_last_epoch_in_reach_is_unknown_whatever_comes_behind_it() {
    let scheme = HintScheme::Aes128;
    let kind = Kind { scheme, bits: 4, lookahead: 16, is_given: false, devices: 20, salt: 5 };
    let sealed = |nonce: u64| {
        let bits = RatchetBits::new(kind.bits).expect("1 to 24");
        let chain = world::first_chain(&kind, 7);
        let mut sealer = Sealer::ratcheted(scheme, bits, chain, nonce).expect("counters");
        let mut packet = vec![0; sealer.packet_len_bytes(1)];
        sealer.seal(b"x", &mut packet).expect("it fits");
        packet
    };
    let names = |nonces: [u64; 2]| {
        let world = World::new(kind);
        let verdicts = world.station().decode_batch(&nonces.map(sealed)).expect("it decodes");
        verdicts.iter().map(|verdict| verdict.name()).collect::<Vec<_>>()
    };
    let (near, last, past) = (5, (255 << 4) + 15, 256 << 4);
    assert_eq!(names([near, past]), ["accepted", "accepted"]);
    assert_eq!(names([past, near]), ["unknown", "accepted"]);
    assert_eq!(names([last, past]), ["accepted", "accepted"]);
}

/// With a bound for scans, each further stage of a scan waits for the budget.
#[test]
fn the_stages_of_a_scan_wait_for_the_budget() {
    let scheme = HintScheme::Aes128;
    let kind = Kind { scheme, bits: 4, lookahead: 4, is_given: true, devices: 50, salt: 3 };
    let mut world = World::new(kind);
    world.close();
    let options = StationOptions { scan_core_share: 0.5, ..world::options() };
    let station = Station::open(&world.dir(), &options).expect("it opens");
    let mut calls = Vec::new();
    for epochs in [1, 20, 200, 300] {
        let packet = world.packet_after_leap(7, epochs);
        let mut verdict = station.decode(&packet).expect("it decodes");
        let mut waits = 0;
        while matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. })) {
            let mut late = station.scan_waiting().expect("it scans");
            // Without credit nothing is scanned; the bucket refills while this loops.
            if let Some((_, of_ticket)) = late.pop() {
                verdict = of_ticket;
            }
            waits += 1;
        }
        calls.push((verdict.name(), waits > 0));
    }
    let expected = [("accepted", false), ("accepted", true), ("accepted", true), ("unknown", true)];
    assert_eq!(calls, expected);
    assert_eq!(station.scan_stats().waiting, 0);
}

/// 100,000 devices, 10 % loss, leaps over up to 250 epochs, over the ends of epochs of 16 and of
/// 1,024 nonces. `--nocapture` prints the figures.
#[test]
#[ignore = "some minutes"]
fn a_hundred_thousand_devices_move_on() {
    for (bits, is_given) in [(4, true), (10, false)] {
        let scheme = HintScheme::Aes128;
        let kind = Kind { scheme, bits, lookahead: 16, is_given, devices: 100_000, salt: 9 };
        let mut random = Random::new(u64::from(bits));
        let started = Instant::now();
        // Most devices come to the end of an epoch.
        let mut world = World::starting_at(kind, |device| {
            (u64::from(5 + device % 20) << bits) - u64::from(device % 8)
        });
        let made = started.elapsed();
        let quiet = Traffic { lost: 10, repeated: 0, leaps_per_mille: 0, leap_epochs: 1 };
        let leaping = Traffic { leaps_per_mille: 1000, leap_epochs: 250, ..quiet };
        let repeating = Traffic { repeated: 50, ..quiet };
        let started = Instant::now();
        world.run(400_000, 20_000, &quiet, &mut random);
        let quiet_s = started.elapsed().as_secs_f64();
        let heard: u64 = world.counts.values().sum();
        let started = Instant::now();
        let mut batch = Vec::new();
        while batch.len() < 300 {
            batch.extend(world.packet(random.below_u32(kind.devices), &leaping, &mut random));
        }
        world.decode(&batch);
        eprintln!("{:?}", world.station().scan_stats());
        let leaping_s = started.elapsed().as_secs_f64();
        let started = Instant::now();
        world.close();
        let closing_s = started.elapsed().as_secs_f64();
        let started = Instant::now();
        world.reopen();
        let opening_s = started.elapsed().as_secs_f64();
        world.run(40_000, 20_000, &quiet, &mut random);
        world.run(500, 500, &repeating, &mut random);
        world.station().roll(None).expect("it rolls");
        let started = Instant::now();
        world.station().verify(None).expect("it is sound");
        let chains = std::fs::metadata(world.dir().join("device.chains")).expect("it is there");
        eprintln!(
            "epochs of 2^{bits}: created in {made:.1?}; {heard} packets in {quiet_s:.1} s, {:.2} us each with \
             sealing and model; 300 packets after leaps in {leaping_s:.1} s; closed in {closing_s:.2} s, opened in \
             {opening_s:.2} s; verified in {:.1?}; device.chains {} bytes; {:?}",
            quiet_s * 1e6 / heard as f64,
            started.elapsed(),
            chains.len(),
            world.counts,
        );
        assert!(world.counts["accepted"] > 400_000);
    }
}
