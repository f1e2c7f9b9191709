//! Records of the index, written by public calls and read back: random sequences of calls
//! at the ends of every range leave an index that opens, is sound, forgets no acceptance
//! and locks nobody out.

mod cases;
mod said;
mod world;

use hintdex::wire::{DeviceId, HintScheme, NonceKind, StepLen, TruncatedLen};
use hintdex::{DeviceRange, Params};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use world::World;

/// A public call, of a station or of its live index; which of the two has the folder open
/// follows from the calls.
#[derive(Clone, Debug)]
pub enum Step {
    /// Authentic packets, in one batch.
    Hear(Vec<Heard>),
    Retire(u8),
    Provision(DeviceRange),
    Roll,
    KeepSpans,
    DropPassed,
    /// A span from a moment on, of so many seconds, or of fewer than none.
    OpenSpan(Moment, i64),
    CloseSpan(Moment, i64),
    RollBeside(HeldAs),
    Rebuild {
        span: (Moment, i64),
        horizon_nonces: u16,
    },
    /// The station's clock is set, until it is opened again.
    Clock(Moment),
    /// The station is closed and opened at the right time, and everything is checked.
    Reopen {
        lean: bool,
    },
}

/// A packet of a device that does odd things.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    who: u8,
    nonce: NonceAt,
    when: Moment,
    /// Whether the next nonce follows at its time: two that agree.
    pair: bool,
}

/// A nonce, by what makes it worth trying.
#[derive(Clone, Copy, Debug)]
pub enum NonceAt {
    /// So many behind or ahead of the one after the last accepted one.
    Next(i16),
    /// One that was accepted.
    Again(u8),
    At(Unit, Counter),
}

/// The unit of time of a nonce, where nonces tell time.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Now(i8),
    First(u8),
    BeforeTheLast(u8),
}

/// The counter of a nonce, where nonces have one.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    At(u8),
    Lookaheads(u8, i8),
    BeforeTheLast(u8),
    LookaheadBeforeTheLast(i8),
}

/// A moment, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    Now(i32),
    Created(i8),
    Epoch(u32),
    Years(u8),
    LastSigned,
    Last(u8),
    /// Of a nonce that tells time, when its device made it by its own clock.
    OfTheNonce(i16),
}

/// What a snapshot is said to hold.
#[derive(Clone, Copy, Debug)]
pub struct HeldAs {
    horizon: Number,
    runs: Runs,
}

/// A number of nonces, beside the lookahead.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Zero,
    One,
    Less,
    Same,
    More,
    Most,
}

/// Where the runs of a snapshot begin.
#[derive(Clone, Copy, Debug)]
pub enum Runs {
    Right,
    TooMany(u8),
    TooFew(u8),
    None,
    Last,
    PastTheLast,
}

fn moments() -> impl Strategy<Value = Moment> {
    prop_oneof![
        8 => (-5..=5i32).prop_map(Moment::Now),
        2 => prop_oneof![Just(-86_400), Just(86_400), Just(-3600), Just(3600), Just(8 * 86_400)]
            .prop_map(Moment::Now),
        4 => (-90..=90i16).prop_map(Moment::OfTheNonce),
        1 => (-1..=1i8).prop_map(Moment::Created),
        1 => prop_oneof![Just(0), Just(1), Just(86_400), Just(u32::MAX)].prop_map(Moment::Epoch),
        1 => (1..=200u8).prop_map(Moment::Years),
        1 => Just(Moment::LastSigned),
        1 => (0..=2u8).prop_map(Moment::Last),
    ]
}

fn nonces() -> impl Strategy<Value = NonceAt> {
    let counters = prop_oneof![
        2 => prop_oneof![Just(0), Just(1), 62..=65u8].prop_map(Counter::At),
        2 => (prop_oneof![Just(1), Just(2), Just(15), Just(16), Just(17)], -1..=1i8)
            .prop_map(|(count, more)| Counter::Lookaheads(count, more)),
        2 => prop_oneof![0..=2u8, 62..=66u8].prop_map(Counter::BeforeTheLast),
        2 => (-2..=2i8).prop_map(Counter::LookaheadBeforeTheLast),
    ];
    let units = prop_oneof![
        4 => (-3..=3i8).prop_map(Unit::Now),
        1 => (0..=2u8).prop_map(Unit::First),
        2 => (0..=2u8).prop_map(Unit::BeforeTheLast),
    ];
    let ends = (
        0..=1u8,
        prop_oneof![
            (0..=3u8).prop_map(Counter::BeforeTheLast),
            (-2..=2i8).prop_map(Counter::LookaheadBeforeTheLast),
        ],
    );
    prop_oneof![
        2 => ends.prop_map(|(unit, counter)| NonceAt::At(Unit::BeforeTheLast(unit), counter)),
        2 => prop_oneof![-70..=70i16, Just(0), Just(1)].prop_map(NonceAt::Next),
        1 => any::<u8>().prop_map(NonceAt::Again),
        4 => (units, counters).prop_map(|(unit, counter)| NonceAt::At(unit, counter)),
    ]
}

fn heard() -> impl Strategy<Value = Heard> {
    (any::<u8>(), nonces(), moments(), any::<bool>()).prop_map(|(who, nonce, when, pair)| Heard {
        who,
        nonce,
        when,
        pair,
    })
}

fn ranges() -> impl Strategy<Value = DeviceRange> {
    let firsts = prop_oneof![0..12u32, (u32::MAX - 12)..=u32::MAX, Just(1 << 31)];
    let generations = prop_oneof![6 => Just(0u16), 1 => Just(1), 1 => Just(u16::MAX)];
    (firsts, 0..4u32, generations).prop_map(|(first, count, generation)| DeviceRange {
        generation,
        ..DeviceRange::new(DeviceId(first), count)
    })
}

fn held() -> impl Strategy<Value = HeldAs> {
    let horizons = prop_oneof![
        Just(Number::Zero),
        Just(Number::One),
        Just(Number::Less),
        Just(Number::Same),
        Just(Number::More),
        Just(Number::Most),
    ];
    let runs = prop_oneof![
        2 => Just(Runs::Right),
        1 => (0..3u8).prop_map(Runs::TooMany),
        1 => any::<u8>().prop_map(Runs::TooFew),
        1 => Just(Runs::None),
        1 => Just(Runs::Last),
        1 => Just(Runs::PastTheLast),
    ];
    (horizons, runs).prop_map(|(horizon, runs)| HeldAs { horizon, runs })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lens_s =
        || prop_oneof![Just(0i64), Just(-1), Just(1), Just(3600), Just(86_400), Just(604_800)];
    let step = prop_oneof![
        10 => prop::collection::vec(heard(), 1..6).prop_map(Step::Hear),
        1 => any::<u8>().prop_map(Step::Retire),
        2 => ranges().prop_map(Step::Provision),
        2 => Just(Step::Roll),
        1 => Just(Step::KeepSpans),
        1 => Just(Step::DropPassed),
        1 => (moments(), lens_s()).prop_map(|(from, len_s)| Step::OpenSpan(from, len_s)),
        1 => (moments(), lens_s()).prop_map(|(from, len_s)| Step::CloseSpan(from, len_s)),
        2 => held().prop_map(Step::RollBeside),
        1 => (moments(), lens_s(), prop_oneof![Just(0u16), Just(1), Just(64)]).prop_map(
            |(from, len_s, horizon_nonces)| Step::Rebuild { span: (from, len_s), horizon_nonces },
        ),
        1 => moments().prop_map(Step::Clock),
        2 => any::<bool>().prop_map(|lean| Step::Reopen { lean }),
    ];
    prop::collection::vec(step, 1..10)
}

/// The schemes that have room for nonces of a kind.
fn schemes(nonces: NonceKind) -> Vec<HintScheme> {
    let truncated = |len| TruncatedLen::new(len).map(HintScheme::Aes128Truncated);
    let all = [Some(HintScheme::Aes128), Some(HintScheme::Speck64), truncated(4), truncated(12)];
    all.into_iter().flatten().filter_map(|scheme| scheme.for_nonces(nonces)).collect()
}

/// Random sequences for every scheme of a kind of nonces; the smallest one that is not
/// right is shown.
fn any_sequence_can_be_read_back(nonces: NonceKind, cases: u32, seed: u64) {
    for scheme in schemes(nonces) {
        for lookahead in [1, 16] {
            let params = Params { nonces, ..Params::counters(scheme, lookahead) };
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
            let config = Config {
                cases,
                failure_persistence: None,
                max_shrink_iters: 600,
                ..Config::default()
            };
            let mut runner = TestRunner::new_with_rng(config, rng);
            let ran = runner
                .run(&steps(), |steps| World::new(params).run(&steps).map_err(TestCaseError::fail));
            if let Err(error) = ran {
                panic!("{scheme}, {nonces}, lookahead {lookahead}, seed {seed}: {error}");
            }
        }
    }
}

fn step(seconds: u32) -> NonceKind {
    NonceKind::Step(StepLen::new(seconds).expect("1 to 86,400"))
}

const CASES: u32 = 8;

#[test]
fn any_sequence_on_counters_can_be_read_back() {
    any_sequence_can_be_read_back(NonceKind::Counter, CASES, 1);
}

#[test]
fn any_sequence_on_days_and_counters_can_be_read_back() {
    any_sequence_can_be_read_back(NonceKind::DayCounter, 4 * CASES, 2);
}

#[test]
fn any_sequence_on_steps_of_a_second_can_be_read_back() {
    any_sequence_can_be_read_back(step(1), CASES, 3);
}

#[test]
fn any_sequence_on_steps_of_a_minute_can_be_read_back() {
    any_sequence_can_be_read_back(step(60), CASES, 4);
}

#[test]
fn any_sequence_on_steps_of_a_day_can_be_read_back() {
    any_sequence_can_be_read_back(step(86_400), CASES, 5);
}

#[test]
#[ignore = "ten minutes: in make test-long"]
fn any_sequence_can_be_read_back_for_long() {
    let kinds = [NonceKind::Counter, NonceKind::DayCounter, step(1), step(60), step(86_400)];
    for (seed, kind) in (100..).zip(kinds) {
        any_sequence_can_be_read_back(kind, 300, seed);
    }
}
