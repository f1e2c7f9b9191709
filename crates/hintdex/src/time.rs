//! The station's time and the windows of time.

use hintdex_core::Timing;

use crate::Station;

impl Station {
    /// When the fleet was created, in seconds since 1970, by the clock of that moment.
    pub fn created_unix_s(&self) -> u64 {
        self.index.created_unix_s()
    }

    /// The lengths and tolerances of the fleet's windows of time.
    pub fn timing(&self) -> Timing {
        self.index.timing()
    }

    /// Whether the index has the window for a packet that is received at `unix_s`. Without
    /// that window, such packets are scanned for. Always true with counter nonces.
    pub fn has_window_of(&self, unix_s: u64) -> bool {
        let mut spans = self.index.spans().into_iter();
        !self.params().nonces.is_clocked() || spans.any(|(span, _)| span.contains(&unix_s))
    }

    /// How far a packet's time of reception may be from the station's time, in seconds, so
    /// that the windows of the present serve the packet.
    pub fn timing_tolerance_s(&self) -> u64 {
        let Timing { before_s, after_s, .. } = self.timing();
        before_s.min(after_s).into()
    }
}
