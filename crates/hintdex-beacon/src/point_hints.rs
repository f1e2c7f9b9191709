//! Windows as chains: which points a beacon has, and their hints.
//!
//! A *point* of a window is a beacon and a step, and the hint of a point is the head of the
//! identifier of that step. A chain stores the first nonce of each beacon in as many bits as the
//! nonces of 256 neighbours need. Steps of beacons with other exponents or offsets have nothing in
//! common. So the nonce of a point is the distance of its step to the step in which the
//! registration puts the beacon at the beginning of the window: a small number, unless the clock
//! has moved.

use std::ops::Range;

use hintdex_scan::PairCipher;
use hintdex_snapshot::PointHints;
use hintdex_wire::beacon::eddystone::{
    EID_LEN_BYTES, RotationExponent, identifier_block, temporary_key_block, wrapped_clock_s,
};
use hintdex_wire::beacon::gaen;
use hintdex_wire::{Hint, HintScheme, Nonce, Slot, TruncatedLen};

use crate::records::BeaconRecord;
use crate::registration::Scheme;
use crate::registry::Registry;

/// How many points are computed side by side: as many as a chain asks for at a time.
const POINTS_AT_ONCE: usize = 2 * PairCipher::PAIRS_PER_GROUP;

/// Added to the distance of a step, so that nonces are never negative: more than any step.
const NONCE_BIAS: u64 = 1 << 42;

/// The hints of windows: the first eight bytes of an identifier.
pub fn scheme() -> HintScheme {
    TruncatedLen::new(EID_LEN_BYTES).map_or(HintScheme::Aes128, HintScheme::Aes128Truncated)
}

/// The moment whose steps have the nonces next to [`NONCE_BIAS`]; 0 counts the steps from 0.
#[derive(Clone, Copy, Debug)]
pub struct StepOrigin {
    pub unix_s: u64,
}

impl StepOrigin {
    /// The step in which the registration puts the beacon at the moment.
    #[inline]
    fn step(self, row: &BeaconRecord) -> u64 {
        if row.scheme != Scheme::EddystoneEid.number() {
            return gaen::interval_of(self.unix_s).into();
        }
        let unix_s = i64::try_from(self.unix_s).unwrap_or(i64::MAX);
        let clock_s = unix_s.saturating_sub(row.start.get()).clamp(0, 1 << 41);
        clock_s.cast_unsigned() >> (row.k & 15)
    }

    /// The nonces of the points of a beacon in these steps.
    pub fn nonces(self, row: &BeaconRecord, steps: &Range<u64>) -> Range<Nonce> {
        let nonce = |step: u64| step.saturating_add(NONCE_BIAS).saturating_sub(self.step(row));
        nonce(steps.start)..nonce(steps.end)
    }

    /// The step of a point of a beacon.
    #[inline]
    pub fn step_of(self, row: &BeaconRecord, nonce: Nonce) -> u64 {
        nonce.wrapping_sub(NONCE_BIAS).wrapping_add(self.step(row))
    }
}

/// Computes the hints of the points of a window.
///
/// A hint of Eddystone-EID costs two key schedules and two blocks, of which neighbouring points
/// of one beacon share the first. A hint of exposure notification costs one of both.
#[derive(Clone, Copy)]
pub struct BeaconHints<'r> {
    registry: &'r Registry,
    origin: StepOrigin,
    cipher: PairCipher,
}

impl<'r> BeaconHints<'r> {
    pub fn new(registry: &'r Registry, origin: StepOrigin) -> Self {
        Self { registry, origin, cipher: PairCipher::new() }
    }
}

impl PointHints for BeaconHints<'_> {
    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.registry.get(slot.0).into_iter().for_each(|row| PairCipher::prefetch(&row.key));
    }

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        let mut room = Room::default();
        let groups = points.chunks(POINTS_AT_ONCE).zip(hints.chunks_mut(POINTS_AT_ONCE));
        for (points, hints) in groups {
            room.fill(self, points);
            room.encrypt(&self.cipher, points.len());
            for (hint, block) in hints.iter_mut().zip(&room.blocks) {
                *hint = Hint::of_block(scheme(), block);
            }
        }
        room.wipe();
    }
}

/// The keys and blocks of some points.
#[derive(Default)]
struct Room {
    /// The key of each point: before [`encrypt`](Self::encrypt), of exposure notification only.
    keys: [[u8; 16]; POINTS_AT_ONCE],
    blocks: [[u8; 16]; POINTS_AT_ONCE],
    /// The identity keys of the beacons, each for one temporary key, and the blocks that become
    /// the temporary keys.
    identities: [[u8; 16]; POINTS_AT_ONCE],
    temporaries: [[u8; 16]; POINTS_AT_ONCE],
    temporary_count: usize,
    /// The place of the temporary key of each point; none of exposure notification.
    temporary_of: [Option<u8>; POINTS_AT_ONCE],
}

impl Room {
    fn fill(&mut self, hints: &BeaconHints<'_>, points: &[(Slot, Nonce)]) {
        self.temporary_count = 0;
        let mut newest = None;
        let places = self.keys.iter_mut().zip(&mut self.blocks).zip(&mut self.temporary_of);
        for (((key, block), temporary_of), (slot, nonce)) in places.zip(points) {
            let Some(row) = hints.registry.get(slot.0) else { continue };
            let step = hints.origin.step_of(row, *nonce);
            if row.scheme != Scheme::EddystoneEid.number() {
                *key = row.key;
                *block = gaen::identifier_block(u32::try_from(step).unwrap_or(u32::MAX));
                *temporary_of = None;
                continue;
            }
            let k = RotationExponent::new(row.k).unwrap_or(RotationExponent::MAX);
            *block = identifier_block(k, step);
            let plain = temporary_key_block(wrapped_clock_s(k, step));
            if newest != Some((*slot, plain)) {
                newest = Some((*slot, plain));
                let places = self.identities.iter_mut().zip(&mut self.temporaries);
                for (identity, temporary) in places.skip(self.temporary_count).take(1) {
                    (*identity, *temporary) = (row.key, plain);
                }
                self.temporary_count += 1;
            }
            *temporary_of = u8::try_from(self.temporary_count - 1).ok();
        }
    }

    /// Turns the blocks of `len` points into identifiers.
    fn encrypt(&mut self, cipher: &PairCipher, len: usize) {
        let group_len = |len: usize| len.next_multiple_of(PairCipher::PAIRS_PER_GROUP);
        let count = group_len(self.temporary_count);
        cipher.encrypt(
            self.identities.get(..count).unwrap_or_default(),
            self.temporaries.get_mut(..count).unwrap_or_default(),
        );
        for (key, temporary_of) in self.keys.iter_mut().zip(&self.temporary_of).take(len) {
            let temporary = temporary_of.and_then(|at| self.temporaries.get(usize::from(at)));
            temporary.into_iter().for_each(|temporary| *key = *temporary);
        }
        let count = group_len(len);
        cipher.encrypt(
            self.keys.get(..count).unwrap_or_default(),
            self.blocks.get_mut(..count).unwrap_or_default(),
        );
    }

    /// Zeroizes the keys, many bytes at a time: `Zeroize` for arrays writes byte by byte, which
    /// would take as long as the hints.
    fn wipe(&mut self) {
        for keys in [&mut self.keys, &mut self.identities, &mut self.temporaries] {
            keys.fill([0; 16]);
            zeroize::optimization_barrier(keys);
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::path::Path;

    use hintdex_wire::{DeviceId, HintKey};

    use super::*;
    use crate::Options;
    use crate::registration::{Registration, RollingPeriod, Rule};
    use crate::steps::{self, Span};

    const NOW: u64 = 1_764_000_000;

    /// A beacon of each exponent, a daily key, and an address, which has no steps.
    fn registry() -> Registry {
        let mut registry = Registry::create(Path::new(".")).expect("random bytes");
        let start_interval = gaen::interval_of(NOW);
        let eddystone = (0..=15).map(|k| Rule::EddystoneEid {
            k: RotationExponent::new(k).expect("0 to 15"),
            clock_offset_s: 1_700_000_000 + 77_777 * i64::from(k),
            measured_unix_s: NOW,
            is_randomized: k % 2 == 0,
        });
        let daily = Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY };
        for (device, rule) in (0_u8..).zip(eddystone.chain([daily, Rule::BleRpa])) {
            let (key, device) = (HintKey::from_bytes([device; 16]), DeviceId(device.into()));
            registry.push(BeaconRecord::new(&Registration { device, key, rule }));
        }
        registry
    }

    #[test]
    fn the_hint_of_a_point_is_the_head_of_the_identifier() {
        let registry = registry();
        for unix_s in [0, NOW, NOW + 1_000_000] {
            let origin = StepOrigin { unix_s };
            // Steps before and behind the origin, some of them in two temporary keys.
            let (mut points, mut expected) = (Vec::new(), Vec::new());
            for (slot, row) in (0..).zip(registry.rows()) {
                let middle = StepOrigin { unix_s: NOW + 500_000 }.step(row);
                let wrapping = (1 << 32 >> row.k) - 5..(1 << 32 >> row.k) + 5;
                for steps in [middle - 40..middle + 40, 0..3, wrapping] {
                    let nonces = origin.nonces(row, &steps);
                    assert_eq!(steps::count(&nonces), steps::count(&steps), "{slot}");
                    let before = expected.len();
                    steps::each_head(row, steps, |_, head| expected.push(head));
                    let made = expected.len() - before;
                    points.extend(nonces.map(|nonce| (Slot(slot), nonce)).take(made));
                }
            }
            assert!(points.len() > 1500);
            let hints = BeaconHints::new(&registry, origin);
            // In the order of slots, as builders ask, and mixed, as lookups do.
            for stride in [1, 211] {
                let order: Vec<_> =
                    (0..points.len()).map(|at| at * stride % points.len()).collect();
                let asked: Vec<_> =
                    order.iter().filter_map(|at| points.get(*at).copied()).collect();
                for len in [1, 7, 32, 33, asked.len()] {
                    for (asked, order) in asked.chunks(len).zip(order.chunks(len)) {
                        let mut made = vec![Hint::ZERO; asked.len()];
                        hints.hints(asked, &mut made);
                        for (made, at) in made.iter().zip(order) {
                            assert_eq!(
                                Some(&made.head()),
                                expected.get(*at),
                                "{:?}",
                                points.get(*at)
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn points_have_their_steps_back_and_small_nonces() {
        let registry = registry();
        let origin = StepOrigin { unix_s: NOW };
        for row in registry.rows() {
            for step in [0, 1, 1 << 20, 1 << 40] {
                let nonces = origin.nonces(row, &(step..step + 1));
                assert_eq!(origin.step_of(row, nonces.start), step);
            }
        }
        let allowed = Options::default().allowance();
        let first = |row: &BeaconRecord| {
            let span = Span { first_unix_s: NOW, last_unix_s: NOW + 3599 };
            let steps = steps::expected(row, &row.registered_clock(), span, allowed);
            origin.nonces(row, &steps).start
        };
        let eddystone = registry.rows().iter().take(16).map(first);
        let (least, most) = (eddystone.clone().min(), eddystone.max());
        assert!(most.expect("16 beacons") - least.expect("16 beacons") < 128);
    }

    #[test]
    fn slots_and_nonces_of_no_beacon_have_some_hint() {
        let registry = registry();
        let hints = BeaconHints::new(&registry, StepOrigin { unix_s: NOW });
        let points: Vec<_> = [0, 3, 16, 17, 18, u32::MAX]
            .into_iter()
            .flat_map(|slot| [0, 1, u64::MAX].map(|nonce| (Slot(slot), nonce)))
            .collect();
        let mut made = vec![Hint::ZERO; points.len()];
        hints.hints(&points, &mut made);
        points.iter().for_each(|(slot, _)| hints.prefetch(*slot));
    }
}
