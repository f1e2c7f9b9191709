//! A beacon's clock is a set of hypotheses, because identifiers are not authenticated.
//!
//! A recording that is played again looks like a beacon whose clock stood still, and a
//! receiver whose own clock is wrong makes a beacon look as if it had jumped. So no
//! sighting is believed at once, and none is disbelieved for good:
//!
//! * **known**: where the beacon is expected. It begins with the registration.
//! * **suspected**: where identifiers of one rotation put it. A rotation counts once,
//!   however often it is heard; those of another rotation that fit make it known.
//! * **former**: what was known before the last move. It is kept until the known clock
//!   has held for several rotations, and wins back in the same way as it was lost.

use crate::bounds::Allowance;
use crate::hypothesis::{Evidence, Hypothesis};

/// Rotations in which the known clock must have been heard since the former one was,
/// before the former may be given up.
const HELD_ROTATIONS: u8 = 3;

/// How long the former clock is kept at least, after the move and after it was heard last.
/// Receivers are wrong for days until somebody looks; a former clock costs its beacon's
/// identifiers once more in each window.
const FORMER_KEPT_S: u64 = 30 * 86_400;

/// Rotations that move a clock, there and back.
const MOVING_ROTATIONS: u8 = 2;

/// Suspected clocks of one beacon. One more takes the place of the one heard longest ago.
pub const MAX_SUSPECTED: usize = 8;

/// The clock before the last move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    pub clock: Hypothesis,
    /// When the clock that took its place was heard first.
    pub since_unix_s: u64,
    /// Rotations in which the known clock was heard since this one was.
    pub held: u8,
    /// Rotations in which this one was heard since the known clock was.
    pub back: u8,
}

/// What is thought of a beacon's clock beside what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alternatives {
    pub former: Option<Former>,
    /// At most [`MAX_SUSPECTED`], of one rotation each.
    pub suspected: Vec<Hypothesis>,
}

/// What came of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is of the past, or an echo of what was heard.
    Nothing,
    /// It is of a clock that was served already.
    Heard,
    /// It puts the clock where nobody expected it.
    Suspected,
    /// It is the second that does: the clock is known to be there.
    Moved,
    /// It is the second of the former clock, which is known again.
    Restored,
}

impl Alternatives {
    pub const fn is_empty(&self) -> bool {
        self.former.is_none() && self.suspected.is_empty()
    }

    /// Takes in a sighting of the beacon whose clock is `known`. What was heard after
    /// `present_unix_s` was heard by a receiver that is ahead.
    pub fn hear(
        &mut self,
        known: &mut Hypothesis,
        seen: &Evidence,
        present_unix_s: u64,
        allowed: Allowance,
    ) -> Outcome {
        self.limit_to_present(known, present_unix_s, allowed);
        if known.agrees(seen, allowed) {
            if known.hear(seen, allowed) {
                self.known_was_heard(seen, known.bounds().heard_unix_s, allowed);
            }
            return Outcome::Heard;
        }
        if let Some(former) = &mut self.former
            && former.clock.agrees(seen, allowed)
        {
            return former.hear(known, seen, allowed);
        }
        let latest_unix_s = seen.bounds.heard_unix_s.saturating_add(allowed.before_s);
        if latest_unix_s < known.bounds().heard_unix_s {
            // Older than what is known, it says where the clock was.
            return Outcome::Nothing;
        }
        let confirmed = self.suspected.iter().enumerate();
        let confirmed =
            confirmed.filter_map(|(at, clock)| Some((at, clock.confirmed_by(seen, allowed)?)));
        // Of two that fit the later one is the better witness.
        if let Some((at, clock)) = confirmed.max_by_key(|(_, clock)| clock.bounds().heard_unix_s) {
            let first_unix_s = self.suspected.remove(at).bounds().heard_unix_s;
            self.move_to(known, clock, first_unix_s.min(seen.bounds.heard_unix_s));
            return Outcome::Moved;
        }
        match self.suspected.iter_mut().find(|clock| clock.agrees(seen, allowed)) {
            Some(same_rotation) => {
                same_rotation.hear(seen, allowed);
                Outcome::Nothing
            }
            None => {
                self.suspect(Hypothesis::heard_once(seen));
                Outcome::Suspected
            }
        }
    }

    /// What was heard by a receiver that is ahead is as old as the present: otherwise all
    /// that is heard until then would be older.
    fn limit_to_present(
        &mut self,
        known: &mut Hypothesis,
        present_unix_s: u64,
        allowed: Allowance,
    ) {
        known.limit_to_present(present_unix_s, allowed);
        if let Some(former) = &mut self.former {
            former.clock.limit_to_present(present_unix_s, allowed);
            former.since_unix_s = former.since_unix_s.min(present_unix_s);
        }
        for clock in &mut self.suspected {
            clock.limit_to_present(present_unix_s, allowed);
        }
    }

    /// A beacon that was heard in another rotation where it is known to be is nowhere else,
    /// but where the same sighting may put it as well.
    fn known_was_heard(&mut self, seen: &Evidence, at_unix_s: u64, allowed: Allowance) {
        let is_later = |clock: &Hypothesis| clock.bounds().heard_unix_s > at_unix_s;
        self.suspected.retain(|clock| is_later(clock) || clock.agrees(seen, allowed));
        if let Some(former) = &mut self.former
            && !former.clock.agrees(seen, allowed)
        {
            former.held = former.held.saturating_add(1);
            former.back = 0;
            let last_unix_s = former.clock.bounds().heard_unix_s.max(former.since_unix_s);
            let is_old = at_unix_s.saturating_sub(last_unix_s) > FORMER_KEPT_S;
            self.former.take_if(|former| is_old && former.has_lost());
        }
    }

    /// What was known is former now. If it has not yet earned that place, what is there
    /// keeps it, and what was known is suspected again.
    fn move_to(&mut self, known: &mut Hypothesis, clock: Hypothesis, since_unix_s: u64) {
        let before = std::mem::replace(known, clock);
        let clock = match self.former.filter(|former| !former.has_lost()) {
            Some(former) => {
                self.suspect(before);
                former.clock
            }
            None => before,
        };
        self.former = Some(Former { clock, since_unix_s, held: 0, back: 0 });
    }

    fn suspect(&mut self, clock: Hypothesis) {
        if self.suspected.len() >= MAX_SUSPECTED {
            let heard = |(_, clock): &(usize, &Hypothesis)| clock.bounds().heard_unix_s;
            let oldest = self.suspected.iter().enumerate().min_by_key(heard);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.suspected.remove(at);
            }
        }
        self.suspected.push(clock);
    }
}

impl Former {
    /// Whether the known clock has held long enough to give this one up.
    const fn has_lost(&self) -> bool {
        self.held >= HELD_ROTATIONS
    }

    /// Takes in a sighting that agrees with this clock and not with the known one.
    fn hear(&mut self, known: &mut Hypothesis, seen: &Evidence, allowed: Allowance) -> Outcome {
        let is_evidence = self.clock.hear(seen, allowed);
        // What is older than the move is no news of it.
        if !is_evidence || seen.bounds.heard_unix_s < self.since_unix_s {
            return Outcome::Heard;
        }
        (self.held, self.back) = (0, self.back.saturating_add(1));
        if self.back < MOVING_ROTATIONS {
            return Outcome::Heard;
        }
        std::mem::swap(known, &mut self.clock);
        (self.since_unix_s, self.back) = (seen.bounds.heard_unix_s, 0);
        Outcome::Restored
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bounds::ClockBounds;

    const ALLOWED: Allowance = Allowance { before_s: 60, after_s: 60, max_drift_ppm: 150 };
    /// The length of a rotation.
    const PERIOD_S: u64 = 4096;
    const NOW: u64 = 1_764_000_000;

    /// What is heard of a clock that read 0 at `zero`, by a receiver that is right.
    fn heard(zero: u64, at_unix_s: u64) -> Evidence {
        heard_late(zero, at_unix_s, at_unix_s)
    }

    fn heard_late(zero: u64, sent_unix_s: u64, at_unix_s: u64) -> Evidence {
        let step = (sent_unix_s - zero) / PERIOD_S;
        let clocks_s = step * PERIOD_S..(step + 1) * PERIOD_S;
        Evidence { step, bounds: ClockBounds::from_sighting(clocks_s, at_unix_s, ALLOWED) }
    }

    fn contains(clock: &Hypothesis, zero: u64) -> bool {
        let us = i64::try_from(zero * 1_000_000).unwrap_or(0);
        clock.bounds().least_us <= us && us <= clock.bounds().most_us
    }

    /// Two receivers that are wrong by different hours agree by chance, since a rotation is
    /// long. The beacon's own sightings agree with the edge of where they put it: two of them
    /// say where it is, edge or not.
    #[test]
    fn sightings_at_the_edge_of_a_wrong_clock_put_it_right() {
        let zero = NOW - 1000;
        let mut known = Hypothesis::measured(ClockBounds::measured(1_600_000_000, NOW));
        let mut others = Alternatives::default();
        let mut hear =
            |known: &mut Hypothesis, seen: Evidence| others.hear(known, &seen, u64::MAX, ALLOWED);
        let at = |rotation: u64| zero + rotation * PERIOD_S + 100;
        let wrong = |rotation, late_s| heard_late(zero, at(rotation), at(rotation) + late_s);
        assert_eq!(hear(&mut known, wrong(40, 6556)), Outcome::Suspected);
        assert_eq!(hear(&mut known, heard(zero, at(81))), Outcome::Suspected);
        assert_eq!(hear(&mut known, wrong(83, 9500)), Outcome::Moved);
        assert!(!contains(&known, zero));
        // These agree with the wrong clock, and with where the beacon was suspected.
        for rotation in [120, 148] {
            assert_eq!(hear(&mut known, heard(zero, at(rotation) + 3800)), Outcome::Heard);
        }
        assert!(contains(&known, zero), "{known:?}");
        assert_eq!(hear(&mut known, heard(zero, at(188))), Outcome::Heard);
    }

    /// What the newest two rotations do not agree on cuts nothing, and one that is heard
    /// again at any time is one.
    #[test]
    fn bounds_are_cut_by_two_rotations_that_agree() {
        let wide =
            ClockBounds { least_us: 0, most_us: 3_600_000_000 * 1_000_000, heard_unix_s: NOW };
        let mut known = Hypothesis::measured(wide);
        let recorded = |at| heard_late(NOW - 50_000, NOW, at);
        for at in [NOW + 10, NOW + 20_000, NOW + 90_000] {
            known.hear(&recorded(at), ALLOWED);
            assert!(contains(&known, 1) && contains(&known, 3_500_000_000), "{at}");
        }
        let zero = NOW - 20_000;
        for (at, is_cut) in [(NOW + 100_000, false), (NOW + 110_000, true)] {
            known.hear(&heard(zero, at), ALLOWED);
            assert!(contains(&known, zero));
            assert_eq!(!contains(&known, 3_500_000_000), is_cut);
        }
    }

    /// What happens to a beacon and is heard of it, always found by a search at worst.
    #[derive(Clone, Debug)]
    enum Happening {
        Heard { after_s: u64 },
        HeardWrong { after_s: u64, wrong_s: i64 },
        Lost { after_s: u64 },
        Battery { begins_s: u64 },
        Replay { recording: usize },
    }

    fn happenings() -> impl Strategy<Value = Vec<Happening>> {
        let after = prop_oneof![0..600_u64, 600..20_000_u64, 20_000..200_000_u64];
        let wrong = prop_oneof![600..50_000_i64, -50_000..-600_i64];
        let one = prop_oneof![
            8 => after.clone().prop_map(|after_s| Happening::Heard { after_s }),
            2 => (after.clone(), wrong)
                .prop_map(|(after_s, wrong_s)| Happening::HeardWrong { after_s, wrong_s }),
            2 => after.prop_map(|after_s| Happening::Lost { after_s }),
            1 => (0..300_000_u64).prop_map(|begins_s| Happening::Battery { begins_s }),
            4 => any::<usize>().prop_map(|recording| Happening::Replay { recording }),
        ];
        prop::collection::vec(one, 1..60)
    }

    /// Without optimisation a thousand take a second; three million have passed.
    const CASES: u32 = if cfg!(debug_assertions) { 2000 } else { 50_000 };

    proptest! {
        #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

        /// Whatever was heard before, a beacon that was heard in two rotations by a receiver
        /// that is right is served where it is, and one lie between them or since does not
        /// change that. Rotations about which a lie was told do not count.
        #[test]
        fn a_beacon_that_was_heard_in_two_rotations_is_served(k in 2..14_u32, all in happenings()) {
            let (period_s, mut now, mut zero) = (1 << k, NOW, 1_700_000_000);
            let mut known = Hypothesis::measured(ClockBounds::measured(1_700_000_000, NOW));
            let mut others = Alternatives::default();
            let (mut lies, mut rotations, mut recordings) = (Vec::new(), Vec::new(), Vec::new());
            let seen = |step: u64, at_unix_s: u64| {
                let clocks_s = step * period_s..(step + 1) * period_s;
                Evidence { step, bounds: ClockBounds::from_sighting(clocks_s, at_unix_s, ALLOWED) }
            };
            for happening in all {
                match happening {
                    Happening::Heard { after_s } => {
                        now += after_s;
                        let step = (now - zero) / period_s;
                        let served = std::iter::once(&known)
                            .chain(others.former.iter().map(|former| &former.clock))
                            .chain(&others.suspected);
                        let is_served = served.into_iter().any(|clock| {
                            let clocks_s = clock.bounds().clocks_s(now, now, ALLOWED, u64::MAX);
                            (clocks_s.start / period_s..=clocks_s.end.saturating_sub(1) / period_s)
                                .contains(&step)
                        });
                        let last_two: Option<&[(u64, usize); 2]> = rotations.last_chunk();
                        let may_be_lost =
                            last_two.is_none_or(|[(_, before), _]| lies.len() - before > 1);
                        prop_assert!(is_served || may_be_lost, "{now} {known:?} {others:?}");
                        others.hear(&mut known, &seen(step, now), now, ALLOWED);
                        recordings.push(step);
                        let is_new = rotations.last().is_none_or(|(last, _)| *last != step);
                        if is_new && !lies.contains(&step) {
                            rotations.push((step, lies.len()));
                        }
                    }
                    Happening::HeardWrong { after_s, wrong_s } => {
                        now += after_s;
                        let step = (now - zero) / period_s;
                        recordings.push(step);
                        let stamped = now.saturating_add_signed(wrong_s);
                        others.hear(&mut known, &seen(step, stamped), now, ALLOWED);
                        lies.push(step);
                    }
                    Happening::Lost { after_s } => {
                        now += after_s;
                        recordings.push((now - zero) / period_s);
                    }
                    Happening::Battery { begins_s } => {
                        zero = now - begins_s;
                        rotations.clear();
                    }
                    Happening::Replay { recording } => {
                        if !recordings.is_empty() {
                            let step = recordings[recording % recordings.len()];
                            others.hear(&mut known, &seen(step, now), now, ALLOWED);
                            lies.push(step);
                        }
                    }
                }
            }
        }
    }
}
