//! The lines of packets that wait for a scan.

use std::collections::HashMap;
use std::time::Duration;

use hintdex::{StationGroup, Ticket};

/// Lines that are stored before those are removed whose packet waits no longer. More than the
/// packets that a group queues.
const MAX_WAITING_LINES: usize = 1 << 17;

/// How long to wait for input while packets wait for a scan, before the scan budget is
/// consulted again. The least time follows a verdict; each further wait is twice as long.
const MIN_TIMEOUT: Duration = Duration::from_millis(10);
const MAX_TIMEOUT: Duration = Duration::from_millis(320);

/// A line whose packet waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingLine {
    /// The number of the line.
    pub line: u64,
    /// The packet's time of reception in seconds since 1970, if it is known.
    pub at_unix_s: Option<u64>,
}

/// The lines of packets that wait for a scan.
#[derive(Debug)]
pub struct WaitingLines {
    lines: HashMap<Ticket, WaitingLine>,
    timeout: Duration,
}

impl Default for WaitingLines {
    fn default() -> Self {
        Self { lines: HashMap::new(), timeout: MIN_TIMEOUT }
    }
}

impl WaitingLines {
    /// Stores the line whose packet waits in `group` with this ticket.
    pub fn push(&mut self, group: &StationGroup, ticket: Ticket, line: WaitingLine) {
        if self.lines.len() >= MAX_WAITING_LINES {
            self.lines.retain(|ticket, _| group.is_waiting(*ticket));
        }
        self.lines.insert(ticket, line);
        self.timeout = MIN_TIMEOUT;
    }

    /// Removes and returns the line of a packet.
    pub fn take(&mut self, ticket: Ticket) -> Option<WaitingLine> {
        self.lines.remove(&ticket)
    }

    /// How long to wait for more lines before the next scan for waiting packets. The last
    /// scan returned `late_verdicts` verdicts.
    pub fn timeout(&mut self, late_verdicts: usize) -> Duration {
        let timeout = if late_verdicts > 0 { MIN_TIMEOUT } else { self.timeout };
        self.timeout = (2 * timeout).min(MAX_TIMEOUT);
        timeout
    }
}
