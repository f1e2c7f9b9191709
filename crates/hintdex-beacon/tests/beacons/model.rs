//! Against a plain model: a map of everything each beacon may send now.

use std::collections::HashMap;

use hintdex_beacon::wire::beacon::eddystone::EidCipher;
use hintdex_beacon::{Answer, Identifier, Options, Sighting};
use proptest::prelude::*;

use crate::support::{Beacon, NOW, Random, Station};

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    beacons: u32,
    options: Options,
    /// How long before it was asked each beacon was measured.
    age_s: u64,
    /// When sightings are heard, from `NOW` on.
    times_s: Vec<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let options = (1_u64..5000, 0_u64..200, 0_u64..200, 0_u32..500, 1_u32..9).prop_map(
        |(span_s, before_s, after_s, max_drift_ppm, evaluations)| Options {
            span_s,
            before_s,
            after_s,
            max_drift_ppm,
            evaluations,
            probe_span_s: 0,
            ..Options::default()
        },
    );
    let times = prop::collection::vec(0_u64..10_000, 1..6);
    (any::<u64>(), 1_u32..20, options, 0_u64..3_000_000, times).prop_map(
        |(seed, beacons, options, age_s, times_s)| Case { seed, beacons, options, age_s, times_s },
    )
}

/// Everything a beacon sends while its clock is in [expected − less, expected + more].
fn sends(beacon: &Beacon, at: u64, less: u64, more: u64) -> Vec<[u8; 8]> {
    let cipher = EidCipher::new(&beacon.key, beacon.k);
    let clock = u64::from(beacon.clock_s(at));
    let mut all: Vec<_> = (clock - less..=clock + more)
        .map(|clock| cipher.eid(u32::try_from(clock).expect("32 bits")))
        .collect();
    all.dedup();
    all
}

/// Without optimisation a case takes seconds.
const CASES: u32 = if cfg!(debug_assertions) { 3 } else { 60 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    /// What lies within the allowance is found and is who the model says; what lies
    /// past it by more than the seconds that whole seconds cannot tell is nobody's.
    #[test]
    fn answers_are_those_of_a_map_of_everything(case in cases()) {
        let mut random = Random::new(case.seed);
        let beacons: Vec<_> = (0..case.beacons)
            .map(|at| {
                let k = u8::try_from(random.below(16)).expect("small");
                Beacon::new(at * 7, k, 1_700_000_000 + i64::from(at), &mut random)
            })
            .collect();
        let mut station = Station::new(NOW);
        station.options = case.options;
        let measured = NOW - case.age_s;
        station.register(NOW, beacons.iter().map(|beacon| beacon.registration(measured)));
        for second in &case.times_s {
            let at = NOW + second;
            let drift_s = (at - measured) * u64::from(case.options.max_drift_ppm) / 1_000_000;
            let (less, more) = (case.options.before_s + drift_s, case.options.after_s + drift_s);
            let (mut inside, mut outside) = (HashMap::new(), HashMap::new());
            for beacon in &beacons {
                inside.extend(sends(beacon, at, less, more).into_iter().map(|eid| (eid, beacon)));
                let period = u64::from(beacon.k.period_s());
                let wide = sends(beacon, at, less + 3 + 2 * period, more + 3 + 2 * period);
                let far = |eid: &[u8; 8]| !sends(beacon, at, less + 3, more + 3).contains(eid);
                // A sample of either end.
                let ends = wide.iter().take(3).chain(wide.iter().rev().take(3));
                outside.extend(ends.filter(|eid| far(eid)).map(|eid| (*eid, beacon)));
            }
            // A resolver of its own, so that no sighting tells it more than the model knows.
            station.clock.set(at);
            let mut resolver = station.open();
            let heard = |eid: &[u8; 8]| Sighting { identifier: Identifier::Eid(*eid), time_unix_s: at };
            let all: Vec<_> = inside.keys().chain(outside.keys()).map(heard).collect();
            let answers = resolver.resolve_batch(&all).expect("answers");
            for (sighting, answer) in all.iter().zip(&answers) {
                let Identifier::Eid(eid) = sighting.identifier else { continue };
                let found = answer.identification().map(|found| found.device);
                prop_assert_eq!(found, inside.get(&eid).map(|beacon| beacon.device));
            }
            let foreign: Vec<_> = (0..200).map(|_| heard(&random.next().to_be_bytes())).collect();
            let answers = resolver.resolve_batch(&foreign).expect("answers");
            prop_assert!(answers.iter().all(|answer| *answer == Answer::Unknown));
        }
    }
}
