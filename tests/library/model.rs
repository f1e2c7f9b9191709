//! A station against a plain model of it, over random fleets and random traffic:
//! loss, repeats, damage, leaps, late packets, devices that come and go, rolls
//! and reopenings.

use hintdex::wire::HintScheme;
use hintdex::{DeviceRange, Source, Unknown, Verdict};
use hintdex_core::Error as Index;
use hintdex_tests::devices::{damaged, payload};
use hintdex_tests::{Devices, Random};

use crate::fleet::{Fleet, Judge, LAST_NONCE, Model, SECRET};

/// What is to be said of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Accepted { device: u32, nonce: u64, payload: Vec<u8> },
    Replay { device: u32, nonce: u64 },
    Stale { device: u32, nonce: u64 },
    Forged,
    Unknown,
    Malformed,
}

/// A packet on its way and what is to be said of it.
struct Sent {
    bytes: Vec<u8>,
    expected: Expected,
    /// Whether its hint was live before its batch: then the index must know it.
    live: bool,
}

/// The model, the station it is held against, and the air between.
struct World {
    model: Model,
    fleet: Fleet,
    devices: Devices,
    random: Random,
    steps: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let lookahead = [1, 2, 3, 10, 64][random.place(5)];
        // The two schemes whose hints tell their nonce: of them a scan finds all.
        let scheme = [HintScheme::Aes128, HintScheme::Speck64][random.place(2)];
        let mut world = Self {
            model: Model::new(lookahead),
            fleet: Fleet::create(scheme, lookahead, &mut random),
            devices: Devices::new(&SECRET).hinting(scheme),
            random,
            steps: 0,
        };
        // The first ranges may overlap one another and be refused.
        while world.model.slots() == 0 {
            world.provision(40);
        }
        world
    }

    /// Random ranges, which may overlap what is there or one another.
    fn provision(&mut self, most: u32) {
        let zones = [0, 1000, 0x7fff_fff0, u32::MAX - 3000];
        let ranges: Vec<DeviceRange> = (0..1 + self.random.below(3))
            .map(|_| {
                let first = zones[self.random.place(4)] + self.random.below_u32(3000);
                let count = 1 + self.random.below_u32(most);
                DeviceRange::new(hintdex::wire::DeviceId(first), count)
            })
            .collect();
        let before = self.fleet.station().stats().expect("it can be asked").slots;
        let added = self.model.add(&ranges);
        match self.fleet.station().provision(&ranges, None) {
            Ok(slots) => {
                assert!(added, "{ranges:?} overlap");
                assert_eq!(u64::from(slots.start.0), before);
                let count: u32 = ranges.iter().map(|range| range.count).sum();
                assert_eq!(slots.end.0 - slots.start.0, count);
            }
            Err(hintdex::Error::Index(
                Index::AlreadyProvisioned { .. } | Index::IdsPastTheLast { .. },
            )) => assert!(!added, "{ranges:?} are free"),
            Err(error) => panic!("{error}"),
        }
    }

    fn retire(&mut self) {
        let id = self.model.any_id(&mut self.random);
        self.fleet.station().retire(hintdex::wire::DeviceId(id)).expect("it is there");
        self.model.retire(id);
        let stranger = hintdex::wire::DeviceId(500_000);
        let refused = self.fleet.station().retire(stranger);
        assert!(
            matches!(refused, Err(hintdex::Error::Index(Index::UnknownDevice(id))) if id == stranger)
        );
    }

    /// A nonce that `device` may send next, or may have sent before.
    fn nonce(&mut self, device: u32) -> u64 {
        let next = self.model.next(device);
        let random = &mut self.random;
        let nonce = match random.below(1000) {
            0..600 => next + [0, 0, 0, 1, 2, 5][random.place(6)],
            600..760 => next.saturating_sub(1 + random.below(70)),
            760..800 => next.saturating_sub(60 + random.below(10)),
            800..850 => random.below(next + 1),
            850..900 => next + random.below(130),
            900..998 => next,
            998 => next + random.below(5000),
            _ => LAST_NONCE - random.below(100),
        };
        nonce.min(LAST_NONCE)
    }

    fn packet(&mut self) -> Sent {
        self.steps += 1;
        let device = match self.random.chance(3) {
            true => 500_000 + self.random.below_u32(50),
            false => self.model.any_id(&mut self.random),
        };
        let nonce = self.nonce(device);
        let bytes = self.devices.packet(device, nonce, &payload(device, nonce));
        let known = self.model.is_known(device);
        let random = &mut self.random;
        let (bytes, expected) = match random.below(100) {
            0..3 => {
                let bit = random.place(self.devices.behind_the_hint_bits());
                (damaged(bytes, bit), Expected::Unknown)
            }
            3..7 => {
                let hint_bits = self.devices.behind_the_hint_bits();
                let bit = hint_bits + random.place(bytes.len() * 8 - hint_bits);
                (damaged(bytes, bit), if known { Expected::Forged } else { Expected::Unknown })
            }
            7 => (random.bytes(30), Expected::Unknown),
            8 => {
                let short = random.place(self.devices.least_packet_len_bytes());
                (bytes[..short].to_vec(), Expected::Malformed)
            }
            _ if !known => (bytes, Expected::Unknown),
            _ => return self.authentic(device, nonce, bytes),
        };
        Sent { bytes, expected, live: false }
    }

    fn authentic(&mut self, device: u32, nonce: u64, bytes: Vec<u8>) -> Sent {
        let live = self.model.was_live(device, nonce);
        let expected = match self.model.judge_and_take(device, nonce) {
            Judge::Fresh => Expected::Accepted { device, nonce, payload: payload(device, nonce) },
            Judge::Replay => Expected::Replay { device, nonce },
            Judge::Stale => Expected::Stale { device, nonce },
        };
        Sent { bytes, expected, live }
    }

    fn traffic(&mut self) {
        self.model.begin_batch();
        let count = if self.random.chance(50) { 1 } else { 1 + self.random.place(300) };
        let sent: Vec<Sent> = (0..count).map(|_| self.packet()).collect();
        let packets: Vec<&[u8]> = sent.iter().map(|sent| sent.bytes.as_slice()).collect();
        let verdicts = match packets.as_slice() {
            [one] => vec![self.fleet.station().decode(one).expect("it decodes")],
            many => self.fleet.station().decode_batch(many).expect("it decodes"),
        };
        assert_eq!(verdicts.len(), sent.len());
        for (sent, verdict) in sent.iter().zip(verdicts) {
            let (said, source) = told(verdict);
            assert_eq!(said, sent.expected, "step {}", self.steps);
            let known = matches!(source, Some(Source::Index | Source::Snapshot));
            assert!(!sent.live || known, "step {}: {said:?}", self.steps);
        }
    }

    fn verify(&self) {
        let verified = self.fleet.station().verify(None).expect("the index is sound");
        assert_eq!(verified.slots, self.model.slots());
        let stats = self.fleet.station().stats().expect("it can be asked");
        assert_eq!(verified.hints, stats.hints);
        if stats.lean_snapshot.is_none() {
            assert_eq!(stats.hints, self.model.live_hints());
            assert!(verified.entries >= stats.hints);
        } else {
            assert!(stats.hints >= self.model.live_hints());
        }
        assert_eq!((stats.slots, stats.retired_slots), (self.model.slots(), self.model.retired()));
        assert!(stats.entries >= verified.entries.min(stats.hints));
    }

    fn step(&mut self) {
        match self.random.below(1000) {
            0..15 if self.model.slots() < 1500 => {
                let most = if self.random.chance(10) { 400 } else { 20 };
                self.provision(most);
            }
            15..25 if self.model.slots() > self.model.retired() + 20 => self.retire(),
            25..40 => self.fleet.station().roll(None).expect("it rolls"),
            40..55 => self.fleet.reopen(&mut self.random),
            55..65 => self.verify(),
            _ => self.traffic(),
        }
    }
}

/// A verdict in the model's words, and who knew.
fn told(verdict: Verdict) -> (Expected, Option<Source>) {
    match verdict {
        Verdict::Accepted { device, nonce, payload, source, .. } => {
            (Expected::Accepted { device: device.0, nonce, payload }, Some(source))
        }
        Verdict::Replay { device, nonce, source } => {
            (Expected::Replay { device: device.0, nonce }, Some(source))
        }
        Verdict::Stale { device, nonce, source } => {
            (Expected::Stale { device: device.0, nonce }, Some(source))
        }
        Verdict::Forged => (Expected::Forged, None),
        Verdict::Unknown(Unknown::NoDevice) => (Expected::Unknown, None),
        Verdict::Malformed(_) => (Expected::Malformed, None),
        other => panic!("a verdict the model does not know: {other:?}"),
    }
}

fn run(seed: u64, steps: u64) {
    let outcome = std::panic::catch_unwind(|| {
        let mut world = World::new(seed);
        while world.steps < steps {
            world.step();
        }
        world.verify();
        world.fleet.reopen(&mut world.random);
        world.verify();
    });
    assert!(outcome.is_ok(), "seed {seed}: the station and its model differ");
}

#[test]
fn a_station_does_what_its_model_does_for_200_000_packets() {
    (1..=8).for_each(|seed| run(seed, 25_000));
}

#[test]
#[ignore = "ten minutes"]
fn a_station_does_what_its_model_does_for_4_000_000_packets() {
    for seed in 100..140 {
        run(seed, 100_000);
        eprintln!("seed {seed}: as the model says");
    }
}
