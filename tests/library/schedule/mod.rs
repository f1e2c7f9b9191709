//! Fleets whose packets only their time names: simulated devices whose clocks drift, whose packets
//! are lost, repeated and damaged, among noise.

mod simulation;

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use hintdex::wire::{DeviceId, HintScheme, KeyId, Schedule, Sealer};
use hintdex::{
    DeviceRange, ManualClock, Params, Received, Station, StationGroup, StationOptions, Unknown,
    Verdict,
};
use hintdex_host::SplitMix64;

use simulation::{
    Fleet, JITTER_MS, LOST, START_MS, Simulation, TOLERANCE, accepted, options, received,
    received_at,
};

/// Tags tried on average for a packet whose device is due: one, and one for each device that is
/// nearer to its expected time. `error_ms` is the mean distance of a packet from its expected time.
fn expected_tags(devices: u32, mean_delay_ms: f64, error_ms: f64) -> f64 {
    let loss = LOST as f64 / 1000.0;
    1.0 + f64::from(devices) / mean_delay_ms * (1.0 + loss) * error_ms
}

/// A fleet whose devices are switched on in steps.
struct Rollout {
    devices: u32,
    steps: u32,
    step_ms: u64,
    min_ms: u32,
    max_ms: u32,
}

/// Switches devices on, lets them send, and compares the tags tried with the formula.
fn run(rollout: &Rollout, rounds: u64, seed: u64) {
    let Rollout { devices, steps, step_ms, min_ms, max_ms } = *rollout;
    let schedule = Schedule::new(min_ms, max_ms).expect("a schedule");
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::create(&folder.path().join("fleet"), schedule);
    let mut simulation = Simulation::new(schedule, fleet.station.key_source(), seed);
    let (mut now_ms, each) = (START_MS, devices / steps);
    for step in 0..steps {
        fleet.provision(step * each, each);
        simulation.switch_on(each, now_ms, step_ms);
        now_ms += step_ms;
        fleet.accept(&simulation.receive(now_ms));
    }
    compare(&fleet, simulation, (now_ms, u64::from(min_ms / 2 + max_ms / 2)), (3, rounds));
}

/// Lets devices settle that were all heard once, then compares the tags tried with the formula.
fn compare(
    fleet: &Fleet,
    mut simulation: Simulation,
    (mut now_ms, mean_ms): (u64, u64),
    (settling, rounds): (u64, u64),
) {
    let advance = |simulation: &mut Simulation, now_ms: &mut u64, rounds: u64| {
        for _ in 0..rounds * 8 {
            *now_ms += mean_ms / 8;
            fleet.accept(&simulation.receive(*now_ms));
        }
    };
    // The first packets of the last devices may have been lost, and rates are learned.
    advance(&mut simulation, &mut now_ms, settling);
    let before = fleet.stats();
    let started = std::time::Instant::now();
    advance(&mut simulation, &mut now_ms, rounds);
    let after = fleet.stats();
    let packets = after.found_due - before.found_due;
    let tags = (after.tags_found_due - before.tags_found_due) as f64 / packets as f64;
    // Learned rates leave the jitter of two receptions: a third of its span on average.
    let devices = u32::try_from(simulation.devices.len()).expect("few devices");
    let formula = expected_tags(devices, mean_ms as f64, JITTER_MS as f64 / 3.0);
    eprintln!(
        "{packets} packets, {tags:.2} tags a packet, formula {formula:.2}, {:.1} µs a packet, \
         {after:?}",
        started.elapsed().as_secs_f64() * 1e6 / packets as f64
    );
    assert!((tags / formula - 1.0).abs() < 0.1, "{tags} tags, {formula} by the formula");
    assert!(tags <= 64.0);
}

#[test]
fn every_packet_is_found_and_costs_the_tags_of_the_formula() {
    // As dense as 10^6 devices with an hour.
    let (devices, steps, step_ms) = (20_000, 20, 10_000);
    run(&Rollout { devices, steps, step_ms, min_ms: 30_000, max_ms: 114_000 }, 4, 1);
}

/// The figures of docs/results/suites.md. The devices come from another station, which has heard one
/// packet of each.
#[test]
#[ignore = "ten minutes: a million devices send ten packets each"]
fn a_million_devices_with_a_packet_an_hour_cost_the_tags_of_the_formula() {
    let (min_ms, max_ms, mean_ms) = (1_800_000, 5_400_000, 3_600_000);
    let schedule = Schedule::new(min_ms, max_ms).expect("a schedule");
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::create(&folder.path().join("fleet"), schedule);
    let mut simulation = Simulation::new(schedule, fleet.station.key_source(), 1);
    simulation.switch_on(1_000_000, START_MS - mean_ms, mean_ms);
    let devices = simulation.hear_first();
    fleet.station.import(&devices, None, None).expect("ids are free");
    // What was sent until now was not received.
    simulation.receive(START_MS);
    // Over an hour, a rate that was measured over few hours is off by more than the jitter.
    compare(&fleet, simulation, (START_MS, mean_ms), (9, 1));
}

/// A small fleet whose devices have all been heard, and the time.
fn settled(path: &Path, devices: u32, seed: u64) -> (Fleet, Simulation, u64) {
    let schedule = Schedule::new(600_000, 4_200_000).expect("a schedule");
    let fleet = Fleet::create(path, schedule);
    fleet.provision(0, devices);
    let mut simulation = Simulation::new(schedule, fleet.station.key_source(), seed);
    simulation.switch_on(devices, START_MS, 600_000);
    let now_ms = START_MS + 40_000_000;
    fleet.accept(&simulation.receive(now_ms));
    assert_eq!(fleet.stats().silent, 0);
    (fleet, simulation, now_ms)
}

#[test]
fn devices_are_found_after_a_day_without_a_station_and_by_a_station_that_was_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet");
    let (fleet, mut simulation, now_ms) = settled(&path, 500, 2);
    let day_ms = now_ms + 86_400_000;
    let missed = simulation.receive(day_ms);
    assert!(missed.len() > 10_000);
    let fleet = fleet.reopen(&path);
    fleet.accept(&simulation.receive(day_ms + 5_000_000));
    let stats = fleet.stats();
    assert_eq!((stats.moves, stats.searches), (1, 0), "{stats:?}");
    // Closed in the middle of packets, again and again.
    let (mut fleet, mut now_ms) = (fleet, day_ms + 5_000_000);
    for _ in 0..10 {
        now_ms += 300_000;
        fleet.accept(&simulation.receive(now_ms));
        fleet = fleet.reopen(&path);
    }
    assert_eq!(fleet.stats().searches, 0);
    fleet.station.verify(None).expect("it is sound");
}

/// A line that comes minutes late is found, and no device has to be placed again for the next ones.
#[test]
fn a_line_that_comes_late_leaves_the_queue_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 500, 6);
    let mut sent = simulation.receive(now_ms + 400_000);
    let late = sent.remove(5);
    let before = fleet.stats();
    fleet.accept(&sent);
    assert!(sent.last().expect("many").at_ms > late.at_ms + 120_000);
    fleet.accept(std::slice::from_ref(&late));
    fleet.accept(&simulation.receive(now_ms + 800_000));
    let after = fleet.stats();
    assert_eq!((after.moves - before.moves, after.passes - before.passes), (0, 1), "{after:?}");
    assert_eq!(after.searches, before.searches);
}

#[test]
fn repeats_are_told_and_recordings_are_neither_accepted_nor_move_a_device() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 500, 3);
    let mut random = SplitMix64::new(4);
    let (mut end_ms, mut old) = (now_ms, Vec::new());
    let mut counts = [0; 3];
    for _ in 0..40 {
        end_ms += 200_000;
        let mut received = Vec::new();
        while let Some((sent, is_lost)) = simulation.next(end_ms) {
            // Jammed and recorded, or heard and recorded.
            old.push((sent.bytes.clone(), sent.at_ms));
            if !is_lost {
                received.push(sent);
            }
        }
        received.sort_by_key(|sent| sent.at_ms);
        for sent in &received {
            let verdict = fleet.decode(&[self::received(sent)]).remove(0);
            assert_eq!(accepted(&verdict), Some((sent.device, sent.nonce)), "{verdict:?}");
            counts[0] += 1;
            if random.below(5) == 0 {
                let again = received_at(&sent.bytes, sent.at_ms + random.below(JITTER_MS));
                let verdict = fleet.decode(&[again]).remove(0);
                let Verdict::Replay { device, nonce, .. } = verdict else { panic!("{verdict:?}") };
                assert_eq!((device.0, nonce), (sent.device, sent.nonce));
                counts[1] += 1;
            }
            if random.below(5) == 0 {
                let at = usize::try_from(random.below(old.len() as u64)).expect("an index");
                let (bytes, recorded_ms) = &old[at];
                if sent.at_ms > recorded_ms + 1_000 {
                    let verdict = fleet.decode(&[received_at(bytes, sent.at_ms)]).remove(0);
                    assert_eq!(accepted(&verdict), None, "{verdict:?}");
                    counts[2] += 1;
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
}

#[test]
fn a_device_whose_clock_was_set_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet");
    let (fleet, mut simulation, now_ms) = settled(&path, 200, 5);
    // Its crystal stops for some minutes.
    for device in &mut simulation.devices[..20] {
        device.sends_us += 400_000_000;
    }
    let coming = std::mem::take(&mut simulation.coming);
    for Reverse((_, id)) in coming {
        simulation.coming.push(Reverse((simulation.devices[id as usize].sends_us, id)));
    }
    let mut lost = vec![0; 200];
    let sent = simulation.receive(now_ms + 40 * 2_400_000);
    for sent in &sent {
        let verdict = fleet.decode(&[received(sent)]).remove(0);
        match accepted(&verdict) {
            Some(accepted) => assert_eq!(accepted, (sent.device, sent.nonce)),
            None => lost[sent.device as usize] += 1,
        }
    }
    // Four packets are missed until it is searched for, and a fifth one waits for a sixth.
    assert!(lost[..20].iter().all(|lost| (1..=12).contains(lost)), "{lost:?}");
    assert!(lost[20..].iter().all(|lost| *lost == 0), "{lost:?}");
    assert_eq!(fleet.stats().silent, 0);
}

#[test]
fn several_packets_of_a_device_in_a_batch_and_the_same_packet_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 50, 6);
    let sent = simulation.receive(now_ms + 86_400_000);
    let twice: Vec<Received<'_>> = sent.iter().flat_map(|sent| [received(sent); 2]).collect();
    let verdicts = fleet.decode(&twice);
    for (sent, verdicts) in sent.iter().zip(verdicts.chunks(2)) {
        assert_eq!(accepted(&verdicts[0]), Some((sent.device, sent.nonce)), "{:?}", verdicts[0]);
        assert!(matches!(verdicts[1], Verdict::Replay { .. }), "{:?}", verdicts[1]);
    }
}

#[test]
fn times_that_are_wrong_do_not_take_devices_out_of_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 100, 7);
    let sent = simulation.receive(now_ms + 10_000_000);
    let mut wrong =
        [now_ms / 2, now_ms + (1 << 40), u64::MAX / 2, 0, now_ms - 3_000_000].into_iter().cycle();
    for sent in &sent {
        fleet.clock.set(sent.at_ms / 1000);
        let packet = [received_at(&sent.bytes, wrong.next().expect("endless")), received(sent)];
        let verdicts = fleet.station.decode_received(&packet).expect("it decodes");
        assert_eq!(accepted(&verdicts[0]), None);
        assert_eq!(accepted(&verdicts[1]), Some((sent.device, sent.nonce)), "{verdicts:?}");
    }
}

#[test]
fn packets_wait_while_searches_are_over_their_budget() {
    let schedule = Schedule::new(600_000, 4_200_000).expect("a schedule");
    let folder = tempfile::tempdir().expect("a folder");
    let params = Params::scheduled(schedule, None, TOLERANCE);
    let options = StationOptions { scan_core_share: 0.0, ..StationOptions::default() };
    let clock = Arc::new(ManualClock::new(START_MS / 1000 + 9_000));
    let path = folder.path().join("fleet");
    let station = Station::create_with(&path, None, params, &options, clock).expect("a fleet");
    station.provision(&[DeviceRange::new(DeviceId(0), 100)], None).expect("ids are free");
    let mut simulation = Simulation::new(schedule, station.key_source(), 8);
    simulation.switch_on(100, START_MS, 600_000);
    let sent = simulation.receive(START_MS + 600_000);
    let packets: Vec<Received<'_>> = sent.iter().map(received).collect();
    let verdicts = station.decode_received(&packets).expect("it decodes");
    let waits = |verdict: &Verdict| matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. }));
    assert!(verdicts.iter().all(waits));
    let told = station.scan_all_waiting().expect("it searches");
    let told: Vec<_> = told.iter().map(|(_, verdict)| accepted(verdict)).collect();
    let expected: Vec<_> = sent.iter().map(|sent| Some((sent.device, sent.nonce))).collect();
    assert_eq!(told, expected);
}

#[test]
fn keys_are_renewed_and_devices_retired() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 60, 9);
    fleet.station.retire(DeviceId(0)).expect("it is there");
    fleet.station.rotate(&[DeviceId(1)], 0, None).expect("it is there");
    // Device 1 begins anew under its next key.
    let next = KeyId { device: DeviceId(1), generation: 1 };
    let old_key = fleet.station.key_source().packet_key(KeyId::first(DeviceId(1)));
    let device = &mut simulation.devices[1];
    device.key = fleet.station.key_source().packet_key(next).expect("derived");
    device.nonce = 0;
    let mut generations = [0; 2];
    for sent in &simulation.receive(now_ms + 20_000_000) {
        let verdict = fleet.decode(&[received(sent)]).remove(0);
        if sent.device == 0 {
            assert!(matches!(verdict, Verdict::Unknown(Unknown::NotDue)), "{verdict:?}");
            continue;
        }
        assert_eq!(accepted(&verdict), Some((sent.device, sent.nonce)), "{verdict:?}");
        if let Verdict::Accepted { device: DeviceId(1), generation, .. } = verdict {
            generations[usize::from(generation)] += 1;
        }
    }
    assert!(generations[0] == 0 && generations[1] > 2, "{generations:?}");
    // Nothing under its old key is accepted any longer, whatever the nonce.
    let mut bytes = vec![0; 14];
    let old_key = old_key.expect("derived");
    simulation.schedule.seal(&old_key, 200, b"21.5 C", &mut bytes).expect("it fits");
    let verdict = fleet.decode(&[received_at(&bytes, now_ms + 20_000_000)]).remove(0);
    assert!(matches!(verdict, Verdict::Unknown(Unknown::NotDue)), "{verdict:?}");
}

/// A packet with a hint is asked for in the index of its fleet before a schedule tries anything for
/// it, whatever the order of the fleets.
#[test]
fn a_fleet_of_a_schedule_tries_no_packet_that_an_index_resolves() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, mut simulation, now_ms) = settled(&folder.path().join("fleet"), 100, 10);
    let params = Params::counters(HintScheme::Aes128, 16);
    let path = folder.path().join("hinted");
    let hinted = Station::create(&path, None, params, &options()).expect("a fleet");
    hinted.provision(&[DeviceRange::new(DeviceId(0), 100)], None).expect("ids are free");
    let sealed = |device: u32| {
        let (keys, id) = (hinted.key_source(), KeyId::first(DeviceId(device)));
        let (hint_key, key) = keys.hint_key(id).zip(keys.packet_key(id)).expect("derived");
        let mut packet = vec![0; 30];
        let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, key, 0);
        sealer.seal(b"21.5 C", &mut packet).expect("it fits");
        packet
    };
    let with_hints: Vec<Vec<u8>> = (0..100).map(sealed).collect();
    let sent = simulation.receive(now_ms + 1_000_000);
    fleet.clock.set((now_ms + 1_000_000) / 1000);
    let before = fleet.stats().packets;
    let group = StationGroup::new(vec![fleet.station, hinted]).expect("two fleets");
    for (sent, packet) in sent.iter().zip(with_hints.iter().cycle()) {
        let heard = [received_at(packet, sent.at_ms), received(sent)];
        let verdicts = group.decode_received(&heard).expect("it decodes");
        assert_eq!([verdicts[0].station, verdicts[1].station], [Some(1), Some(0)]);
        assert_eq!(accepted(&verdicts[1].verdict), Some((sent.device, sent.nonce)));
    }
    let stats = group.stations()[0].schedule_stats().expect("packets follow a schedule");
    assert_eq!((stats.packets - before, stats.searches > 0), (sent.len() as u64, true));
}
