//! A month in the life of a resolver: clocks that drift, beacons that are not heard,
//! new batteries, power cuts of the station.

use std::collections::HashMap;

use hintdex_beacon::{Answer, Event, Identifier, Resolver, Sighting, Source};

use crate::support::{Beacon, NOW, Random, Station};

const HOURS: u64 = 30 * 24;
const HOUR_S: u64 = 3600;
const BEACONS: u32 = 3000;

/// What the month was, for the checks at its end.
#[derive(Default)]
struct Tally {
    sightings: u32,
    foreign: u32,
    moved: u32,
    batteries: u32,
    outages: u32,
    most_windows: usize,
}

/// What became of a beacon with a new battery.
struct Since {
    changed_hour: u64,
    /// The rotations in which it was heard, up to the second.
    rotations: Vec<u64>,
}

type Reborn = HashMap<usize, Since>;

/// A clock that begins anew before it has come two of the longest rotations far may
/// look as if it had not; so no battery is changed twice in two days.
const LEAST_LIFE_HOURS: u64 = 48;

fn beacons(random: &mut Random) -> Vec<Beacon> {
    let now = i64::try_from(NOW).expect("a time");
    (0..BEACONS)
        .map(|at| {
            // A few beacons of the shortest rotations, which cost the most.
            let k = if at < 20 { at % 5 } else { 5 + at % 11 };
            let zero = now - i64::try_from(200_000 + random.below(100_000_000)).expect("a time");
            let mut beacon = Beacon::new(at * 3 + 1, u8::try_from(k).expect("small"), zero, random);
            beacon.drift_ppm = i64::try_from(random.below(301)).expect("small") - 150;
            // Registered by what its clock shows now, whatever it was through.
            let shown = i64::from(beacon.clock_s(NOW));
            beacon.zero_unix_s = now - shown;
            beacon
        })
        .collect()
}

/// A sighting of a beacon, and in which of its rotations.
struct Heard {
    at: usize,
    sighting: Sighting,
    rotation: u64,
}

/// A beacon's clock from its zero on runs with its drift; what it showed at `NOW` is
/// where it is registered.
fn heard(beacon: &Beacon, zero: i64, at: u64) -> (Sighting, u64) {
    let since = i64::try_from(at).expect("a time") - zero;
    let drifted = since * beacon.drift_ppm / 1_000_000;
    let still = Beacon { drift_ppm: 0, ..beacon.clone() };
    let as_if = i64::try_from(at).expect("a time") + drifted;
    let as_if = u64::try_from(as_if).expect("a time");
    let rotation = u64::from(still.clock_s(as_if) >> beacon.k.get());
    (Sighting { time_unix_s: at, ..still.sighting(as_if) }, rotation)
}

#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimisation")]
fn a_month_of_drift_loss_outages_and_new_batteries() {
    let mut random = Random::new(41);
    let mut beacons = beacons(&mut random);
    let station = Station::new(NOW);
    station.register(NOW, beacons.iter().map(|beacon| beacon.registration(NOW)));
    // From when on each clock drifts: it was right when it was registered.
    let mut since = vec![i64::try_from(NOW).expect("a time"); beacons.len()];
    let mut reborn = Reborn::new();
    let mut tally = Tally::default();
    let mut resolver = Some(station.open());
    let mut hour = 0;
    while hour < HOURS {
        let now = NOW + hour * HOUR_S;
        station.clock.set(now);
        let open = resolver.get_or_insert_with(|| station.open());
        open.advance().expect("windows");
        // What is heard in this hour, in order; some beacons for days not at all.
        let mut batch: Vec<Heard> = Vec::new();
        for at in 0..beacons.len() {
            let rare = at % 5 == 0;
            let fresh = reborn.get(&at).is_some_and(|since| since.rotations.len() < 2);
            if fresh || random.below(if rare { 100 } else { 4 }) == 0 {
                let second = now + 1200 + random.below(600);
                let (sighting, rotation) = heard(&beacons[at], since[at], second);
                batch.push(Heard { at, sighting, rotation });
            }
        }
        batch.sort_by_key(|heard| heard.sighting.time_unix_s);
        // A quarter is foreign.
        for _ in 0..batch.len() / 3 {
            let identifier = Identifier::Eid(random.next().to_be_bytes());
            let sighting = Sighting { identifier, time_unix_s: now + 1800 };
            batch.push(Heard { at: usize::MAX, sighting, rotation: 0 });
        }
        check(open, &batch, &beacons, &mut reborn, &mut tally);
        tally.most_windows = tally.most_windows.max(station.windows().len());
        // New batteries between two hours; each is heard in the hour that follows.
        for _ in 0..random.below(3) {
            let at = usize::try_from(random.below(u64::from(BEACONS))).expect("small");
            let zero = i64::try_from(now + HOUR_S - random.below(60)).expect("a time");
            if reborn.get(&at).is_some_and(|since| since.changed_hour + LEAST_LIFE_HOURS > hour) {
                continue;
            }
            (beacons[at].zero_unix_s, since[at]) = (zero, zero);
            reborn.insert(at, Since { changed_hour: hour, rotations: Vec::new() });
            tally.batteries += 1;
        }
        hour += 1;
        // A suspicion outlives a run: once is enough to be heard before an outage.
        let all_heard = reborn.values().all(|since| !since.rotations.is_empty());
        if all_heard && random.below(10) == 0 {
            resolver.take().expect("open").close().expect("saved");
            hour += random.below(40);
            tally.outages += 1;
        }
    }
    assert!(tally.sightings > 250_000 && tally.foreign > 80_000, "{}", tally.sightings);
    assert!(tally.batteries > 300 && tally.outages >= 5, "{} {}", tally.batteries, tally.outages);
    // Each but the last is back, and none was moved twice.
    let waiting = reborn.values().filter(|since| since.rotations.len() < 2).count();
    assert!(waiting <= 12, "{waiting}");
    let waiting = u32::try_from(waiting).expect("small");
    assert_eq!(tally.moved + waiting, tally.batteries);
    assert!(tally.most_windows <= 3, "{}", tally.most_windows);
}

fn check(
    resolver: &mut Resolver,
    batch: &[Heard],
    beacons: &[Beacon],
    reborn: &mut Reborn,
    tally: &mut Tally,
) {
    let sightings: Vec<_> = batch.iter().map(|heard| heard.sighting).collect();
    let answers = resolver.resolve_batch(&sightings).expect("answers");
    for (Heard { at, sighting, rotation }, answer) in batch.iter().zip(&answers) {
        let Some(beacon) = beacons.get(*at) else {
            assert_eq!(*answer, Answer::Unknown, "a foreign identifier was given a beacon");
            tally.foreign += 1;
            continue;
        };
        tally.sightings += 1;
        let found = answer.identification();
        let found = found.unwrap_or_else(|| panic!("{} at {sighting:?}", beacon.device));
        assert_eq!(found.device, beacon.device, "a wrong beacon");
        let since = reborn.get_mut(at).filter(|since| since.rotations.len() < 2);
        let source = if since.is_some() { Source::Epoch } else { Source::Snapshot };
        assert_eq!(found.source, source, "{} {sighting:?}", beacon.device);
        if let Some(since) = since
            && !since.rotations.contains(rotation)
        {
            since.rotations.push(*rotation);
        }
    }
    for event in resolver.take_events() {
        assert!(matches!(event, Event::ClockMoved { .. }), "{event}");
        tally.moved += 1;
    }
}
