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
//!
//! Nothing is ever narrowed by one rotation alone: bounds are cut to what either of two
//! rotations that agree allows. So one wrong sighting never excludes the true clock.

use crate::bounds::{Allowance, ClockBounds};

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

/// No rotation has a greater number: clocks end long before.
const LAST_STEP: u64 = 1 << 40;

/// What stands for the rotation of a clock that was never heard.
pub const NEVER_HEARD: u64 = u64::MAX;

/// What a sighting says of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The rotation that was heard.
    pub step: u64,
    /// Where the clock is, if the sighting is true.
    pub bounds: ClockBounds,
}

/// Where a clock may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypothesis {
    /// What all rotations but the newest agree on.
    bounds: ClockBounds,
    /// The newest rotation that was heard, and what it says alone, at the time of `bounds`.
    newest_step: u64,
    newest_least_us: i64,
    newest_most_us: i64,
}

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
pub struct Others {
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
    WonBack,
}

impl Hypothesis {
    /// A clock that was measured and not heard.
    pub const fn measured(bounds: ClockBounds) -> Self {
        Self { bounds, newest_step: NEVER_HEARD, newest_least_us: 0, newest_most_us: 0 }
    }

    /// A clock that was heard once.
    const fn heard_once(seen: &Seen) -> Self {
        Self {
            bounds: seen.bounds,
            newest_step: seen.step,
            newest_least_us: seen.bounds.least_us,
            newest_most_us: seen.bounds.most_us,
        }
    }

    /// What a record holds, if it can be true of a clock.
    pub fn checked(bounds: ClockBounds, newest_step: u64, newest_us: (i64, i64)) -> Option<Self> {
        let (newest_least_us, newest_most_us) = newest_us;
        let newest = ClockBounds { least_us: newest_least_us, most_us: newest_most_us, ..bounds };
        let newest_is_sound = match newest_step {
            NEVER_HEARD => newest_us == (0, 0),
            step => step <= LAST_STEP && newest.is_sound(),
        };
        let sound = Self { bounds, newest_step, newest_least_us, newest_most_us };
        (bounds.is_sound() && newest_is_sound).then_some(sound)
    }

    /// Where the clock may be.
    pub const fn bounds(&self) -> &ClockBounds {
        &self.bounds
    }

    /// The number of the newest rotation that was heard, and its own bounds, for a record.
    pub const fn newest(&self) -> (u64, i64, i64) {
        (self.newest_step, self.newest_least_us, self.newest_most_us)
    }

    const fn newest_bounds(&self) -> ClockBounds {
        ClockBounds {
            least_us: self.newest_least_us,
            most_us: self.newest_most_us,
            heard_unix_s: self.bounds.heard_unix_s,
        }
    }

    fn agrees(&self, seen: &Seen, allowed: Allowance) -> bool {
        self.bounds.agree(&seen.bounds, allowed)
    }

    /// Takes in a sighting that agrees. Returns whether it is new evidence: of another
    /// rotation than the newest, not older, and where the newest is.
    fn hear(&mut self, seen: &Seen, allowed: Allowance) -> bool {
        let at_unix_s = self.bounds.heard_unix_s.max(seen.bounds.heard_unix_s);
        let is_newer = seen.bounds.heard_unix_s >= self.bounds.heard_unix_s;
        let heard = seen.bounds.at(at_unix_s, allowed);
        let newest = self.newest_bounds().at(at_unix_s, allowed);
        self.bounds = self.bounds.at(at_unix_s, allowed);
        let (newest, is_evidence) = if self.newest_step == NEVER_HEARD {
            (heard, is_newer)
        } else if self.newest_step == seen.step {
            // One rotation is one sighting. What does not meet is heard too late.
            self.set_newest(seen.step, newest.meet(&heard, allowed).unwrap_or(newest));
            return false;
        } else if newest.agree(&heard, allowed) {
            // One of the two may be a recording. Where neither is, the clock is not.
            let either = newest.hull(&heard, allowed);
            self.bounds = self.bounds.meet(&either, allowed).unwrap_or(self.bounds);
            (if is_newer { heard } else { newest }, is_newer)
        } else {
            (if is_newer { heard } else { newest }, false)
        };
        let step =
            if is_newer || self.newest_step == NEVER_HEARD { seen.step } else { self.newest_step };
        self.set_newest(step, newest);
        is_evidence
    }

    const fn set_newest(&mut self, step: u64, bounds: ClockBounds) {
        self.newest_step = step;
        (self.newest_least_us, self.newest_most_us) = (bounds.least_us, bounds.most_us);
    }

    /// The clock that this one is when an identifier of another rotation fits; `None` when
    /// that is the same rotation, or does not fit.
    fn confirmed_by(&self, seen: &Seen, allowed: Allowance) -> Option<Self> {
        if self.newest_step == seen.step || !self.agrees(seen, allowed) {
            return None;
        }
        let bounds = self.bounds.hull(&seen.bounds, allowed);
        let newer = if seen.bounds.heard_unix_s >= self.bounds.heard_unix_s {
            Self::heard_once(&Seen {
                step: seen.step,
                bounds: seen.bounds.at(bounds.heard_unix_s, allowed),
            })
        } else {
            *self
        };
        Some(Self { bounds, ..newer })
    }
}

impl Others {
    pub const fn is_empty(&self) -> bool {
        self.former.is_none() && self.suspected.is_empty()
    }

    /// Takes in a sighting of the beacon whose clock is `known`.
    pub fn hear(&mut self, known: &mut Hypothesis, seen: &Seen, allowed: Allowance) -> Outcome {
        if known.agrees(seen, allowed) {
            if known.hear(seen, allowed) {
                self.known_was_heard(known.bounds.heard_unix_s);
            }
            return Outcome::Heard;
        }
        if let Some(former) = &mut self.former
            && former.clock.agrees(seen, allowed)
        {
            return former.hear(known, seen, allowed);
        }
        let latest_unix_s = seen.bounds.heard_unix_s.saturating_add(allowed.before_s);
        if latest_unix_s < known.bounds.heard_unix_s {
            // Older than what is known, it says where the clock was.
            return Outcome::Nothing;
        }
        let confirmed = self.suspected.iter().enumerate();
        let confirmed =
            confirmed.filter_map(|(at, clock)| Some((at, clock.confirmed_by(seen, allowed)?)));
        // Of two that fit the later one is the better witness.
        if let Some((at, clock)) = confirmed.max_by_key(|(_, clock)| clock.bounds.heard_unix_s) {
            let first_unix_s = self.suspected.remove(at).bounds.heard_unix_s;
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

    /// A beacon that was heard in another rotation where it is known to be is nowhere else.
    fn known_was_heard(&mut self, at_unix_s: u64) {
        self.suspected.retain(|clock| clock.bounds.heard_unix_s > at_unix_s);
        if let Some(former) = &mut self.former {
            former.held = former.held.saturating_add(1);
            former.back = 0;
            let last_unix_s = former.clock.bounds.heard_unix_s.max(former.since_unix_s);
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
            let heard = |(_, clock): &(usize, &Hypothesis)| clock.bounds.heard_unix_s;
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
    fn hear(&mut self, known: &mut Hypothesis, seen: &Seen, allowed: Allowance) -> Outcome {
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
        Outcome::WonBack
    }
}
