//! The lines of packets that wait for a scan.

use std::collections::VecDeque;
use std::time::Duration;

/// Lines of packets that wait for a scan that are kept in mind: some times as many
/// as a station keeps, which drops others than these.
const MAX_WAITING_LINES: usize = 4 * 4096;

/// How long the input is waited for while packets wait for a scan, before the scan's
/// budget is asked again: so long after one was told, then twice as long each time.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);
const MOST_PATIENCE: Duration = Duration::from_millis(320);

/// A line whose packet waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingLine {
    /// Its number.
    pub line: u64,
    /// When the packet was received, in seconds since 1970, if that is known.
    pub at_unix_s: Option<u64>,
    packet: Vec<u8>,
}

/// The lines of packets that wait for a scan.
#[derive(Debug)]
pub struct WaitingLines {
    lines: VecDeque<WaitingLine>,
    patience: Duration,
}

impl Default for WaitingLines {
    fn default() -> Self {
        Self { lines: VecDeque::new(), patience: LEAST_PATIENCE }
    }
}

impl WaitingLines {
    pub fn push(&mut self, line: u64, at_unix_s: Option<u64>, packet: &[u8]) {
        if self.lines.len() == MAX_WAITING_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(WaitingLine { line, at_unix_s, packet: packet.to_vec() });
        self.patience = LEAST_PATIENCE;
    }

    /// Takes the line of a packet that waited. One that is not known any longer has the
    /// number 0: its packet may be accepted all the same.
    pub fn take(&mut self, packet: &[u8]) -> WaitingLine {
        let at = self.lines.iter().position(|waiting| waiting.packet == packet);
        at.and_then(|at| self.lines.remove(at)).unwrap_or_default()
    }

    /// How long to wait for more lines before the next look at those that wait, of which
    /// the last told `told`.
    pub fn patience(&mut self, told: usize) -> Duration {
        let patience = if told > 0 { LEAST_PATIENCE } else { self.patience };
        self.patience = (2 * patience).min(MOST_PATIENCE);
        patience
    }
}
