//! Random lives of beacons, with an adversary: whoever is heard is found.

use std::time::Duration;

use hintdex_beacon::{Answer, Identifier, Options, Rule, Sighting, Source};
use proptest::prelude::*;

use crate::support::{
    Beacon, NOW, Random, Station, ask, ask_or_search, is_moved, sent_and_heard, who,
};

const DAY_S: u64 = 86_400;

/// What happens next in a random life.
#[derive(Clone, Debug)]
enum Happening {
    /// A beacon is heard after a while, in seconds, by a receiver that is right.
    Heard { beacon: usize, after_s: u64 },
    /// It sends, and nobody but the adversary hears it.
    Lost { beacon: usize, after_s: u64 },
    /// It is heard by a receiver that is wrong by so much.
    HeardWrong { beacon: usize, after_s: u64, wrong_s: i64 },
    /// Its battery is changed; its clock begins at so much.
    Battery { beacon: usize, begins_s: u64 },
    /// The adversary sends one of his recordings.
    Replay { recording: usize },
    /// The process ends and another begins.
    Restart,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let beacon = 0..4_usize;
    let after = prop_oneof![0..600_u64, 600..20_000_u64, 20_000..200_000_u64];
    let wrong = prop_oneof![600..50_000_i64, -50_000..-600_i64];
    let begins = prop_oneof![Just(0_u64), Just(65_280_u64), 0..300_000_u64];
    let one = prop_oneof![
        8 => (beacon.clone(), after.clone()).prop_map(|(beacon, after_s)| Happening::Heard { beacon, after_s }),
        2 => (beacon.clone(), after.clone()).prop_map(|(beacon, after_s)| Happening::Lost { beacon, after_s }),
        2 => (beacon.clone(), after, wrong)
            .prop_map(|(beacon, after_s, wrong_s)| Happening::HeardWrong { beacon, after_s, wrong_s }),
        1 => (beacon, begins).prop_map(|(beacon, begins_s)| Happening::Battery { beacon, begins_s }),
        4 => any::<prop::sample::Index>().prop_map(|at| Happening::Replay { recording: at.index(1 << 20) }),
        1 => Just(Happening::Restart),
    ];
    prop::collection::vec(one, 1..120)
}

/// A beacon in the random life.
struct Life {
    beacon: Beacon,
    is_randomized: bool,
    /// The rotations in which it was heard rightly since its battery was changed, and how
    /// many lies had been told of it by then. One about which a lie was told does not count.
    rotations: Vec<(u64, usize)>,
    /// The identifiers that were replayed, or stamped by a receiver that is wrong.
    lies: Vec<Identifier>,
}

impl Life {
    /// Whether it has to be found without a search: it was heard in two rotations, and there
    /// was one lie between them or since at most.
    fn is_known(&self) -> bool {
        let last_two: Option<&[(u64, usize); 2]> = self.rotations.last_chunk();
        last_two.is_some_and(|[(_, before), _]| self.lies.len() - before <= 1)
    }

    fn rotation(&self, at: u64) -> u64 {
        let (clock, period) =
            (u64::from(self.beacon.clock_s(at)), u64::from(self.beacon.k.period_s()));
        let rotation = clock / period;
        let seed = Random::new(rotation ^ u64::from(self.beacon.device.0) << 40);
        let begins = if self.is_randomized { { seed }.below(period) } else { 0 };
        if clock % period < begins { rotation.saturating_sub(1) } else { rotation }
    }

    fn sighting(&self, at: u64) -> Sighting {
        let period = u64::from(self.beacon.k.period_s());
        let behind = u64::from(self.beacon.clock_s(at)) / period - self.rotation(at);
        sent_and_heard(&self.beacon, at - behind * period, at)
    }
}

/// Without optimisation a case takes seconds.
const CASES: u32 = if cfg!(debug_assertions) { 2 } else { 40 };

fn lives(seed: u64, station: &Station) -> Vec<Life> {
    let mut random = Random::new(seed);
    let lives: Vec<_> = (0..4)
        .map(|at| {
            let k = u8::try_from(random.below(12) + 2).expect("small");
            let zero = 1_700_000_000 + i64::try_from(random.below(1_000_000)).expect("small");
            let mut beacon = Beacon::new(at, k, zero, &mut random);
            beacon.drift_ppm = i64::try_from(random.below(301)).expect("small") - 150;
            // It is registered by what its clock shows.
            beacon.zero_unix_s = i64::try_from(NOW).expect("a time");
            Life {
                beacon,
                is_randomized: random.below(2) == 0,
                rotations: Vec::new(),
                lies: Vec::new(),
            }
        })
        .collect();
    station.register(
        NOW,
        lives.iter().map(|life| {
            let mut registration = life.beacon.registration(NOW);
            if let Rule::EddystoneEid { is_randomized, .. } = &mut registration.rule {
                *is_randomized = life.is_randomized;
            }
            registration
        }),
    );
    lives
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    /// Whatever happens, a beacon that is heard by a receiver that is right is found: by a
    /// search at worst, and without one once it was heard in two rotations, even if there
    /// was a lie since.
    #[test]
    fn honest_beacons_are_found_within_two_rotations(seed in any::<u64>(), all in happenings()) {
        let mut station = Station::new(NOW);
        // A clock that began anew may not be heard for months.
        station.options = Options { search_reach_s: 366 * DAY_S, ..Options::default() };
        let mut lives = lives(seed, &station);
        let mut recordings: Vec<(usize, Sighting)> = Vec::new();
        let mut resolver = Some(station.open());
        let mut now = NOW + 1;
        for happening in all {
            station.clock.set(now);
            let open = resolver.get_or_insert_with(|| station.open());
            match happening {
                Happening::Heard { beacon, after_s } => {
                    now += after_s;
                    station.clock.set(now);
                    let life = &mut lives[beacon];
                    let sighting = life.sighting(now);
                    recordings.push((beacon, sighting));
                    let answer = ask(open, sighting);
                    let rotation = life.rotation(now);
                    let is_known = life.is_known();
                    let found = who(&answer).map(|(device, _)| device);
                    prop_assert!(found.is_some() || !is_known, "{beacon} is lost at {now}");
                    let found = match found {
                        None => who(&ask_or_search(open, sighting)).map(|(device, _)| device),
                        found => found,
                    };
                    prop_assert_eq!(found, Some(life.beacon.device.0));
                    let is_new = life.rotations.last().is_none_or(|(last, _)| *last != rotation);
                    if is_new && !life.lies.contains(&sighting.identifier) {
                        life.rotations.push((rotation, life.lies.len()));
                    }
                }
                Happening::Lost { beacon, after_s } => {
                    now += after_s;
                    recordings.push((beacon, lives[beacon].sighting(now)));
                }
                Happening::HeardWrong { beacon, after_s, wrong_s } => {
                    now += after_s;
                    station.clock.set(now);
                    let sighting = lives[beacon].sighting(now);
                    recordings.push((beacon, sighting));
                    let stamped = now.checked_add_signed(wrong_s).expect("a time");
                    ask_or_search(open, Sighting { time_unix_s: stamped, ..sighting });
                    lives[beacon].lies.push(sighting.identifier);
                }
                Happening::Battery { beacon, begins_s } => {
                    let life = &mut lives[beacon];
                    life.beacon.zero_unix_s = i64::try_from(now - begins_s).expect("a time");
                    life.rotations.clear();
                }
                Happening::Replay { recording } => {
                    if !recordings.is_empty() {
                        let (beacon, recorded) = recordings[recording % recordings.len()];
                        lives[beacon].lies.push(recorded.identifier);
                        ask_or_search(open, Sighting { time_unix_s: now, ..recorded });
                    }
                }
                Happening::Restart => resolver.take().expect("open").close().expect("saved"),
            }
        }
    }

    /// One recording, sent whenever and as often as one likes, between whatever the beacons
    /// send themselves: no clock moves, and none is lost.
    #[test]
    fn no_replay_of_one_recording_moves_a_clock(
        seed in any::<u64>(),
        silence_s in prop_oneof![Just(0), 0..400 * DAY_S],
        steps in prop::collection::vec((0..4_usize, 0..30_000_u64, 0..4_u32, any::<bool>()), 1..60),
    ) {
        let station = Station::new(NOW);
        let lives = lives(seed, &station);
        let mut now = NOW + 1 + silence_s;
        station.clock.set(now);
        let mut resolver = station.open();
        let recorded = lives[0].sighting(now);
        for (beacon, after_s, replays, is_one_batch) in steps {
            now += after_s;
            station.clock.set(now);
            let mut batch = vec![Sighting { time_unix_s: now, ..recorded }; replays as usize];
            let at = if is_one_batch { batch.len() } else { 0 };
            batch.insert(at, lives[beacon].sighting(now));
            let answers = resolver.resolve_batch(&batch).expect("answers");
            let found = who(&answers[at]);
            prop_assert_eq!(found, Some((lives[beacon].beacon.device.0, Source::Snapshot)));
            for (sighting, answer) in batch.iter().zip(&answers) {
                if *answer == Answer::Unknown {
                    resolver.search(&[*sighting], Duration::from_secs(60));
                }
            }
            prop_assert!(!is_moved(&resolver.take_events()));
        }
    }
}
