//! Fleets whose keys move on with the nonces: against a plain model, and what is left of former
//! keys in files and in memory.

mod secrets;
mod world;

use hintdex::wire::HintScheme;
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
            match random.place(3) {
                0 => world.reopen(),
                1 => world.station().roll(None).expect("it rolls"),
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
