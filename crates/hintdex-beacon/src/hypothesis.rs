//! One hypothesis: bounds of a beacon's clock, and the rotations that support them.
//!
//! The bounds of a clock cover what either of the two newest rotations that agree allows. So
//! one wrong sighting never excludes the true clock, and a clock that stood still for less
//! than a rotation is followed. Intersected over a life, bounds would be narrower, and would
//! exclude such a clock for ever.

use crate::bounds::{Allowance, ClockBounds};

/// No rotation has a greater number: clocks end long before.
const LAST_STEP: u64 = 1 << 40;

/// In the place of a rotation: the clock was never heard.
pub const NEVER_HEARD: u64 = u64::MAX;

/// What a sighting says of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The rotation that was heard.
    pub step: u64,
    /// Where the clock is, if the sighting is true.
    pub bounds: ClockBounds,
}

/// Where a clock may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypothesis {
    /// What either of the newest two rotations that agree allows; as it was measured until
    /// there are two.
    bounds: ClockBounds,
    /// The newest rotation that was heard, and what it says alone, at the time of `bounds`.
    newest_step: u64,
    newest_least_us: i64,
    newest_most_us: i64,
}

impl Hypothesis {
    /// A clock that was measured and not heard.
    pub const fn measured(bounds: ClockBounds) -> Self {
        Self { bounds, newest_step: NEVER_HEARD, newest_least_us: 0, newest_most_us: 0 }
    }

    /// A clock that was heard once.
    pub const fn heard_once(seen: &Evidence) -> Self {
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

    pub fn limit_to_present(&mut self, present_unix_s: u64, allowed: Allowance) {
        if self.bounds.heard_unix_s > present_unix_s {
            let newest = self.newest_bounds().at(present_unix_s, allowed);
            self.bounds = self.bounds.at(present_unix_s, allowed);
            if self.newest_step != NEVER_HEARD {
                self.set_newest(self.newest_step, newest);
            }
        }
    }

    const fn newest_bounds(&self) -> ClockBounds {
        ClockBounds {
            least_us: self.newest_least_us,
            most_us: self.newest_most_us,
            heard_unix_s: self.bounds.heard_unix_s,
        }
    }

    pub fn agrees(&self, seen: &Evidence, allowed: Allowance) -> bool {
        self.bounds.agree(&seen.bounds, allowed)
    }

    /// Takes in a sighting that agrees. Returns whether it is new evidence: of another
    /// rotation than the newest, not older, and where the newest is.
    pub fn hear(&mut self, seen: &Evidence, allowed: Allowance) -> bool {
        let at_unix_s = self.bounds.heard_unix_s.max(seen.bounds.heard_unix_s);
        let is_newer = seen.bounds.heard_unix_s >= self.bounds.heard_unix_s;
        let heard = seen.bounds.at(at_unix_s, allowed);
        let newest = self.newest_bounds().at(at_unix_s, allowed);
        self.bounds = self.bounds.at(at_unix_s, allowed);
        let (newest, is_evidence) = if self.newest_step == NEVER_HEARD {
            (heard, is_newer)
        } else if self.newest_step == seen.step {
            // One rotation is one sighting. What does not meet is heard too late.
            self.set_newest(seen.step, newest.intersection(&heard, allowed).unwrap_or(newest));
            return false;
        } else if newest.agree(&heard, allowed) {
            // One of the two may be a recording, and what was known before may be of a clock
            // that has since stood still for a moment.
            self.bounds = newest.hull(&heard, allowed);
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
    pub fn confirmed_by(&self, seen: &Evidence, allowed: Allowance) -> Option<Self> {
        if self.newest_step == seen.step || !self.agrees(seen, allowed) {
            return None;
        }
        let bounds = self.bounds.hull(&seen.bounds, allowed);
        let newer = if seen.bounds.heard_unix_s >= self.bounds.heard_unix_s {
            Self::heard_once(&Evidence {
                step: seen.step,
                bounds: seen.bounds.at(bounds.heard_unix_s, allowed),
            })
        } else {
            *self
        };
        Some(Self { bounds, ..newer })
    }
}
