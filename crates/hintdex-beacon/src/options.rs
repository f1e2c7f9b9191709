//! How a resolver works.

use hintdex_snapshot::MAX_EVALUATIONS;
use hintdex_wire::beacon::eddystone::MAX_DRIFT_PPM;

use crate::Error;
use crate::bounds::Allowance;

/// How a resolver works.
///
/// Windows that were built with other options are built anew.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The length of a window. Longer ones are built less often, take more room, and
    /// serve sightings whose times are far apart better.
    pub span_s: u64,
    /// How old an identifier may be when it is heard, beyond what its beacon's clock
    /// may be off: receivers' clocks, and what waits on its way here.
    pub before_s: u64,
    /// How early it may be.
    pub after_s: u64,
    /// The most that a beacon's clock drifts, in millionths.
    pub max_drift_ppm: u32,
    /// How long before a window begins it is built, in the background.
    pub lead_s: u64,
    /// How long after its clock went back to 0 a beacon is found from its first
    /// identifiers.
    pub probe_span_s: u64,
    /// How many identifiers a lookup computes on average, 1 to 1024: more of them, fewer bytes.
    pub evaluations: u32,
    /// Threads that build the next window while sightings go on; 0 for as many as
    /// there are processors.
    pub background_threads: usize,
    /// How far from where it was expected, either way, and how far on from 0, a search
    /// looks for a beacon's clock.
    pub search_reach_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            span_s: 3600,
            before_s: 60,
            after_s: 60,
            max_drift_ppm: MAX_DRIFT_PPM,
            lead_s: 600,
            probe_span_s: 3600,
            evaluations: 9,
            background_threads: 1,
            search_reach_s: 7 * 86_400,
        }
    }
}

/// Windows are no longer than a year.
const MAX_S: u64 = 366 * 86_400;

/// A clock that is off by a tenth is broken.
const MAX_ALLOWED_DRIFT_PPM: u32 = 100_000;

impl Options {
    /// Checks each option against its range.
    ///
    /// # Errors
    /// [`Error::Option`] with the first that is out of it.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, allowed| Err(Error::Option { option, allowed });
        if self.span_s < 1 || self.span_s > MAX_S {
            return wrong("the span of a window", "1 second to 366 days");
        }
        if self.before_s > MAX_S || self.after_s > MAX_S {
            return wrong("the time before or after", "366 days at most");
        }
        if self.max_drift_ppm > MAX_ALLOWED_DRIFT_PPM {
            return wrong("the drift of clocks", "100000 ppm at most");
        }
        if self.probe_span_s > MAX_S || self.search_reach_s > MAX_S {
            return wrong("the span of a probe or search", "366 days at most");
        }
        if !(1..=MAX_EVALUATIONS).contains(&self.evaluations) {
            return wrong("the number of evaluations", "1 to 1024");
        }
        Ok(())
    }

    pub(crate) const fn allowance(&self) -> Allowance {
        let Self { before_s, after_s, max_drift_ppm, .. } = *self;
        Allowance { before_s, after_s, max_drift_ppm }
    }
}
