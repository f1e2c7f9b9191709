//! The station's time, where nonces tell it: what it shows, and the windows it needs.

use hintdex_core::Timing;

use crate::Station;

impl Station {
    /// When the fleet was made, in seconds since 1970, by the clock of that moment.
    pub fn created_unix_s(&self) -> u64 {
        self.index.created_unix_s()
    }

    /// How the fleet's windows go with time.
    pub fn timing(&self) -> Timing {
        self.index.timing()
    }

    /// Whether a packet that is received at `unix_s` can be looked up: the window of that
    /// time is there. Without the window a packet of any time is scanned for. True where
    /// nonces tell no time.
    pub fn has_window_of(&self, unix_s: u64) -> bool {
        let mut spans = self.index.spans().into_iter();
        !self.params().nonces.is_clocked() || spans.any(|(span, _)| span.contains(&unix_s))
    }

    /// Builds the windows that the station's time needs and drops those it is past, now and
    /// on this thread, where nonces tell time: after a clock that leapt. While time passes
    /// as it does the station's own thread is in time. A failure is told by
    /// [`take_upkeep_failure`](Self::take_upkeep_failure).
    pub fn keep_windows(&self) {
        if self.index.is_span_due() {
            self.background.run_now(&self.upkeep());
        }
    }

    /// How far a packet's time of reception may be from the clock's, in seconds, for the
    /// windows of now to serve it.
    pub fn timing_tolerance_s(&self) -> u64 {
        let Timing { before_s, after_s, .. } = self.timing();
        before_s.min(after_s).into()
    }
}
