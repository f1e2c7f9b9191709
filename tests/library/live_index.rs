//! The lookup layer alone against a plain model: the candidates of every live hint
//! have its slot, other hints have almost none, and admission says what SCHEME says.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hintdex::wire::{
    DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, NonceKind, Slot,
    StepLen,
};
use hintdex_core::{
    Admission, Arrival, Candidates, DeviceRange, Durability, Error, LiveIndex, Options, Params,
};
use hintdex_host::ManualClock;
use hintdex_tests::{EndOnDrop, Random};

use crate::fleet::{Judge, LAST_NONCE, Model, SECRET};

const LOOKAHEAD: u32 = 5;

/// An index, and the keys and model of its slots.
struct World {
    index: LiveIndex,
    keys: Arc<MasterKey>,
    model: Model,
    hint_keys: Vec<HintKey>,
}

fn options(random: &mut Random) -> Options {
    Options {
        // From less than the rows take to far more: rows are in the store, or in memory.
        memory_bytes: 1 << (12 + random.place(12)),
        durability: Durability::ProcessCrash,
        ..Options::default()
    }
}

impl World {
    fn create(path: &Path, random: &mut Random) -> Self {
        let keys = Arc::new(MasterKey::new(&SECRET));
        let params = Params::counters(HintScheme::Aes128, LOOKAHEAD);
        let index = LiveIndex::create(path, keys.clone(), params, &options(random));
        let index = index.expect("it can be made");
        Self { index, keys, model: Model::new(LOOKAHEAD), hint_keys: Vec::new() }
    }

    fn reopen(self, path: &Path, random: &mut Random) -> Self {
        let Self { index, keys, model, hint_keys } = self;
        drop(index);
        let index = LiveIndex::open(path, keys.clone(), &options(random)).expect("it opens");
        Self { index, keys, model, hint_keys }
    }

    /// Adds devices; their slots are their ids, which come in ascending order.
    fn add(&mut self, count: u32) {
        let first = self.index.slot_count();
        let range = DeviceRange::new(DeviceId(first), count);
        let slots = self.index.provision(&[range], None).expect("ids are free");
        assert_eq!((slots.start.0, slots.end.0), (first, first + count));
        assert!(self.model.add(&[range]));
        let keys: Vec<_> = (first..first + count).map(|device| self.hint_key(device)).collect();
        self.hint_keys.extend(keys);
    }

    fn hint_key(&self, device: u32) -> HintKey {
        self.keys.hint_key(KeyId::first(DeviceId(device))).expect("every device has one")
    }

    fn hint(&self, slot: u32, nonce: u64) -> Hint {
        let cipher = HintCipher::new(HintScheme::Aes128, &self.hint_keys[slot as usize]);
        cipher.hint(nonce).expect("a nonce that has one")
    }

    /// Every live hint of every device, looked up together and one by one.
    fn check_candidates(&self, random: &mut Random) {
        let slots = 0..self.index.slot_count();
        let live: Vec<(u32, u64)> = slots
            .filter(|slot| self.model.is_known(*slot))
            .flat_map(|slot| {
                let next = self.model.next(slot);
                (next..next + u64::from(LOOKAHEAD)).map(move |nonce| (slot, nonce))
            })
            .filter(|(_, nonce)| *nonce <= LAST_NONCE)
            .filter(|(slot, nonce)| self.model.was_live(*slot, *nonce))
            .collect();
        let hints: Vec<Hint> = live.iter().map(|(slot, nonce)| self.hint(*slot, *nonce)).collect();
        let together = self.index.candidates_batch(&hints).expect("it can be asked");
        for (((slot, nonce), hint), candidates) in live.iter().zip(&hints).zip(&together) {
            assert!(candidates.contains(&Slot(*slot)), "nonce {nonce} of slot {slot}");
            if random.chance(5) {
                // The same slots; in which order, nobody promises.
                let sorted = |mut slots: Candidates| {
                    slots.sort();
                    slots
                };
                let alone = self.index.candidates(hint).expect("it can be asked");
                assert_eq!(sorted(alone), sorted(candidates.clone()));
            }
        }
        let foreign: Vec<Hint> = (0..2000).map(|_| foreign_hint(random)).collect();
        let named = self.index.candidates_batch(&foreign).expect("it can be asked");
        let named: usize = named.iter().map(|candidates| candidates.len()).sum();
        // Each entry passes for one of 2^(prefix + suffix bits) hints.
        let stats = self.index.stats().expect("it can be asked");
        let one_in = 1u64 << (stats.prefix_bits + stats.suffix_bits);
        let expected = 2000 * stats.entries / one_in;
        assert!(named as u64 <= 2 * expected + 10, "{named} candidates, {expected} expected");
    }

    fn admit(&mut self, random: &mut Random) {
        self.model.begin_batch();
        let chosen: Vec<(u32, u64)> = (0..1 + random.place(400))
            .map(|_| {
                let slot = random.below_u32(self.index.slot_count());
                let next = self.model.next(slot);
                let nonce = match random.below(100) {
                    0..80 => next + random.below(3),
                    80..95 => next.saturating_sub(random.below(80)),
                    95..99 => next + random.below(1000),
                    _ => LAST_NONCE - random.below(20),
                };
                (slot, nonce.min(LAST_NONCE))
            })
            .collect();
        let arrivals: Vec<_> = chosen
            .iter()
            .map(|(slot, nonce)| Arrival {
                slot: Slot(*slot),
                key: self.index.key(Slot(*slot)).expect("it is not free"),
                nonce: *nonce,
                // Of every second slot, the index asks its key source.
                hint_key: self.hint_keys.get(*slot as usize).filter(|_| slot % 2 == 0),
                received_unix_s: 0,
            })
            .collect();
        let admissions = self.index.admit_batch(&arrivals).expect("it can be written");
        for ((slot, nonce), admission) in chosen.into_iter().zip(admissions) {
            let expected = if !self.model.is_known(slot) {
                Admission::Retired
            } else {
                match self.model.judge_and_take(slot, nonce) {
                    Judge::Fresh => Admission::Accepted,
                    Judge::Replay => Admission::Replay,
                    Judge::Stale => Admission::Stale,
                }
            };
            assert_eq!(admission, expected, "nonce {nonce} of slot {slot}");
        }
        self.model.begin_batch();
    }
}

fn foreign_hint(random: &mut Random) -> Hint {
    Hint::read(HintScheme::Aes128, &random.bytes(16)).expect("16 bytes")
}

fn run(seed: u64, rounds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let mut random = Random::new(seed);
    let mut world = World::create(&path, &mut random);
    world.add(200);
    for _ in 0..rounds {
        match random.below(100) {
            0..4 if world.model.slots() < 3000 => {
                let most = if random.chance(20) { 800 } else { 10 };
                world.add(1 + random.below_u32(most));
            }
            4..7 => {
                let id = random.below_u32(world.index.slot_count());
                world.index.retire(DeviceId(id)).expect("it is there");
                world.model.retire(id);
            }
            7..11 => world.index.roll(None).expect("it rolls"),
            11..14 => world = world.reopen(&path, &mut random),
            14..24 => world.check_candidates(&mut random),
            _ => world.admit(&mut random),
        }
        if world.index.needs_roll() && random.chance(50) {
            world.index.roll(None).expect("it rolls");
        }
    }
    world.check_candidates(&mut random);
    let verified = world.index.verify(None).expect("it is sound");
    assert_eq!(verified.hints, world.model.live_hints());
}

#[test]
fn every_live_hint_has_its_slot_among_its_candidates() {
    (1..=4).for_each(|seed| run(seed, 150));
}

#[test]
#[ignore = "minutes"]
fn every_live_hint_has_its_slot_among_its_candidates_for_long() {
    for seed in 10..30 {
        run(seed, 500);
        eprintln!("seed {seed}: as the model says");
    }
}

#[test]
fn a_live_hint_is_never_missed_while_the_index_rolls() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(5);
    let mut world = World::create(&folder.path().join("index"), &mut random);
    world.add(500);
    let (world, done, rolls) = (&world, &AtomicBool::new(false), &AtomicU64::new(0));
    std::thread::scope(|scope| {
        let end = EndOnDrop(done);
        let rolling = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                world.index.roll(None).expect("it rolls");
                rolls.fetch_add(1, Ordering::Relaxed);
            }
        });
        let is_enough = |nonce| nonce >= 400 && rolls.load(Ordering::Relaxed) > 3;
        for nonce in (0..LAST_NONCE).take_while(|nonce| !is_enough(*nonce)) {
            for slot in (0..500).step_by(7) {
                let hint = world.hint(slot, nonce);
                let candidates = world.index.candidates(&hint).expect("it can be asked");
                assert!(candidates.contains(&Slot(slot)), "nonce {nonce} of slot {slot}");
                let hint_key = Some(&world.hint_keys[slot as usize]).filter(|_| slot % 2 == 0);
                let key = world.index.key(Slot(slot)).expect("it is not free");
                let slot = Slot(slot);
                let arrival = Arrival { slot, key, nonce, hint_key, received_unix_s: 0 };
                let Slot(slot) = slot;
                let admission = world.index.admit(&arrival).expect("it can be written");
                assert_eq!(admission, Admission::Accepted);
                let ahead = world.hint(slot, nonce + u64::from(LOOKAHEAD));
                let candidates = world.index.candidates(&ahead).expect("it can be asked");
                assert!(
                    candidates.contains(&Slot(slot)),
                    "what nonce {nonce} of slot {slot} added"
                );
            }
        }
        drop(end);
        rolling.join().expect("it does not panic");
    });
    assert!(rolls.load(Ordering::Relaxed) > 3);
    world.index.verify(None).expect("it is sound");
}

#[test]
fn arrivals_nobody_could_have_sent_are_refused_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(6);
    let mut world = World::create(&folder.path().join("index"), &mut random);
    world.add(3);
    let hint_key = Some(&world.hint_keys[0]);
    let key = world.index.key(Slot(0)).expect("it is not free");
    let good = Arrival { slot: Slot(0), key, nonce: 0, hint_key, received_unix_s: 0 };
    let beyond = world.index.admit_batch(&[good, Arrival { slot: Slot(3), ..good }]);
    assert!(matches!(beyond, Err(Error::UnknownSlot(Slot(3)))), "{beyond:?}");
    let past = world.index.admit_batch(&[good, Arrival { nonce: LAST_NONCE + 1, ..good }]);
    assert!(matches!(past, Err(Error::NoncePastTheLast { .. })), "{past:?}");
    assert_eq!(world.index.admit(&good).expect("it can be written"), Admission::Accepted);
}

/// With the hint key of the arrival, or with that of the key source.
#[test]
fn a_device_whose_clock_jumps_has_its_coming_hints_in_the_index() {
    let (keys, now_s) = (Arc::new(MasterKey::new(&SECRET)), 1_764_000_000);
    let minutes = NonceKind::Step(StepLen::new(60).expect("a minute"));
    let params = Params::clocked(HintScheme::Aes128, minutes, 1).expect("they fit");
    let (id, tomorrow) = (KeyId::first(DeviceId(0)), (now_s + 86_400) / 60);
    let hint_key = keys.hint_key(id).expect("every device has one");
    for hint_key in [Some(&hint_key), None] {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, clock) = (folder.path().join("index"), Arc::new(ManualClock::new(now_s)));
        let options = Options::default();
        let index = LiveIndex::create_with(&path, keys.clone(), params, &options, clock);
        let index = index.expect("it can be made");
        index.provision(&[DeviceRange::new(DeviceId(0), 10)], None).expect("ids are free");
        let coming = |nonce| {
            let mut hint = None;
            params.each_hint(keys.as_ref(), id, nonce..nonce + 1, |made| hint = Some(made));
            let candidates = index.candidates(&hint.expect("it has one"));
            candidates.expect("it can be asked").contains(&Slot(0))
        };
        assert!(coming(now_s / 60 + 5) && !coming(tomorrow + 5), "the clock is in step");
        let arrival = |nonce, received_unix_s| Arrival {
            slot: Slot(0),
            key: id,
            nonce,
            hint_key,
            received_unix_s,
        };
        let admit = |arrival| index.admit(&arrival).expect("it can be written");
        assert_eq!(admit(arrival(tomorrow, now_s)), Admission::Early);
        assert_eq!(admit(arrival(tomorrow + 1, now_s + 60)), Admission::Accepted);
        assert!(coming(tomorrow + 5), "hint key given: {}", hint_key.is_some());
    }
}
