//! The lines of packets that wait for a scan.

use std::collections::HashMap;
use std::time::Duration;

use hintdex::{Station, Ticket};

/// Lines that are kept before those are looked for whose packet waits no longer: more
/// packets than a station lets wait.
const MOST_WAITING_LINES: usize = 1 << 17;

/// How long the input is waited for while packets wait for a scan, before the scan's
/// budget is asked again: so long after one was told, then twice as long each time.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);
const MOST_PATIENCE: Duration = Duration::from_millis(320);

/// A line whose packet waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingLine {
    /// Its number.
    pub line: u64,
    /// When the packet was received, in seconds since 1970, if that is known.
    pub at_unix_s: Option<u64>,
}

/// The lines of packets that wait for a scan.
#[derive(Debug)]
pub struct WaitingLines {
    lines: HashMap<Ticket, WaitingLine>,
    patience: Duration,
}

impl Default for WaitingLines {
    fn default() -> Self {
        Self { lines: HashMap::new(), patience: LEAST_PATIENCE }
    }
}

impl WaitingLines {
    /// Notes the line whose packet waits at `station` with this ticket.
    pub fn push(&mut self, station: &Station, ticket: Ticket, line: WaitingLine) {
        if self.lines.len() >= MOST_WAITING_LINES {
            self.lines.retain(|ticket, _| station.is_waiting(*ticket));
        }
        self.lines.insert(ticket, line);
        self.patience = LEAST_PATIENCE;
    }

    /// Takes the line of a packet that waited.
    pub fn take(&mut self, ticket: Ticket) -> Option<WaitingLine> {
        self.lines.remove(&ticket)
    }

    /// How long to wait for more lines before the next look at those that wait, of which
    /// the last told `told`.
    pub fn patience(&mut self, told: usize) -> Duration {
        let patience = if told > 0 { LEAST_PATIENCE } else { self.patience };
        self.patience = (2 * patience).min(MOST_PATIENCE);
        patience
    }
}
