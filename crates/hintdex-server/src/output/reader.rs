//! The reader of the outboxes of a station for one output.

use std::sync::Arc;

use tokio::sync::watch;

use super::sink::{Failed, Sink};
use crate::backoff::Backoff;
use crate::decoder::Shared;
use crate::event::Event;
use crate::fleets::Fleet;
use crate::metrics::OutputMetrics;
use crate::outbox::Entry;
use crate::stop::Stop;

/// Reads the payloads of each fleet in order of their numbers, and acknowledges them.
#[derive(Debug)]
pub struct Reader {
    name: String,
    shared: Arc<Shared>,
    fleets: Arc<Vec<Fleet>>,
    metrics: OutputMetrics,
    changes: watch::Receiver<u64>,
    /// Given when no further payload comes: the reader ends when none is left.
    finish: Stop,
    positions: Vec<Position>,
    backoff: Backoff,
    failures_in_a_row: u64,
}

/// How far the reader is with a fleet.
#[derive(Clone, Copy, Debug)]
struct Position {
    next: u64,
    /// A payload below this number may have been handed out before.
    again_below: u64,
}

impl Reader {
    /// The reader `name`, whose position the outboxes keep.
    pub fn new(name: &str, shared: Arc<Shared>, fleets: Arc<Vec<Fleet>>, finish: Stop) -> Self {
        let outboxes = &shared.outboxes;
        let position = |fleet| Position {
            next: outboxes.place(fleet, name),
            again_below: outboxes.end(fleet),
        };
        let positions = (0..outboxes.fleets()).map(position).collect();
        Self {
            name: name.to_owned(),
            metrics: shared.metrics.output(name),
            changes: outboxes.changes(),
            positions,
            finish,
            fleets,
            backoff: Backoff::default(),
            failures_in_a_row: 0,
            shared,
        }
    }

    /// Hands payloads out until the order to finish is given and none is left.
    pub async fn run(mut self, mut sink: impl Sink) {
        loop {
            self.changes.mark_unchanged();
            let is_last = self.finish.is_given();
            let mut has_any = false;
            for fleet in 0..self.positions.len() {
                has_any |= self.hand_out_part(fleet, &mut sink).await;
            }
            if has_any {
                continue;
            }
            if is_last {
                return;
            }
            let mut finish = self.finish.clone();
            // The order to finish ends the wait as well.
            let _ = finish.or(self.changes.changed()).await;
        }
    }

    /// Hands out the next payloads of a fleet. Returns whether there were any.
    async fn hand_out_part<S: Sink>(&mut self, fleet: usize, sink: &mut S) -> bool {
        let (Some(position), Some(label)) =
            (self.positions.get(fleet).copied(), self.fleets.get(fleet))
        else {
            return false;
        };
        let (entries, next) = match self.shared.outboxes.read(fleet, position.next, S::MAX_EVENTS) {
            Ok(part) => part,
            Err(error) => {
                self.failed(&Failed::after(0, error)).await;
                return true;
            }
        };
        let euis = label.euis();
        let of = |entry: &Entry| {
            Event::new(fleet, label, &euis, entry, entry.number < position.again_below)
        };
        let events: Vec<Event> = entries.iter().map(of).collect();
        if events.is_empty() {
            // Numbers without a payload: holes, or damaged rows.
            if next > position.next {
                self.acknowledge(fleet, next);
                self.positions.get_mut(fleet).into_iter().for_each(|at| at.next = next);
            }
            return false;
        }
        let result = sink.hand_out(&events).await;
        let acknowledged = match &result {
            Ok(()) => events.len(),
            Err(failed) => failed.acknowledged.min(events.len()),
        };
        let below = events.get(acknowledged).map_or(next, |event| event.number);
        if acknowledged > 0 {
            self.acknowledge(fleet, below);
            let done = events.get(..acknowledged).unwrap_or_default();
            let again = done.iter().filter(|event| event.is_again).count();
            self.metrics.handed_out.inc_by(acknowledged as u64);
            self.metrics.again.inc_by(again as u64);
        }
        if let Some(position) = self.positions.get_mut(fleet) {
            position.next = below.max(position.next);
            if matches!(&result, Err(failed) if failed.may_be_out) {
                position.again_below = position.again_below.max(next);
            }
        }
        match result {
            Ok(()) => self.recovered(),
            Err(failed) => self.failed(&failed).await,
        }
        true
    }

    /// The payloads below this number are handed out. If that cannot be written, they are handed out
    /// again after the next start.
    fn acknowledge(&self, fleet: usize, below: u64) {
        if let Err(error) = self.shared.outboxes.acknowledge(fleet, &self.name, below) {
            tracing::error!(output = self.name, "acknowledging payloads failed: {error}");
        }
    }

    fn recovered(&mut self) {
        if self.failures_in_a_row > 0 {
            tracing::info!(output = self.name, "payloads are handed out again");
        }
        self.failures_in_a_row = 0;
        self.backoff.reset();
    }

    async fn failed(&mut self, failed: &Failed) {
        self.metrics.failures.inc();
        self.failures_in_a_row += 1;
        if self.failures_in_a_row.is_power_of_two() {
            let attempts = self.failures_in_a_row;
            tracing::warn!(output = self.name, attempts, "payloads wait: {}", failed.why);
        }
        tokio::time::sleep(self.backoff.wait()).await;
    }
}
