//! Which accepted payloads are handed on: written to the output, and flushed.
//!
//! With an outbox, a payload leaves the outbox only then. What an earlier call has accepted and not
//! handed on is written first.

use hintdex::{Error, OutboxPayload, Station};

/// The name of this reader of the outbox.
const READER: &str = "decode";

/// How many payloads of earlier calls are written at once.
const PAYLOADS_AT_ONCE: usize = 4096;

/// How far each fleet's outbox has been written to the output, which the output has not flushed yet.
pub struct HandingOn {
    /// For each fleet the first number that is not written.
    written: Vec<u64>,
}

impl HandingOn {
    /// Makes this call the reader of each outbox. Stations without an outbox have nothing to hand on.
    pub fn begin(stations: &[Station]) -> Result<Self, Error> {
        let place = |station: &Station| {
            let Some(outbox) = station.outbox() else { return Ok(0) };
            outbox.set_readers(&[READER])?;
            outbox.place(READER)
        };
        Ok(Self { written: stations.iter().map(place).collect::<Result<_, Error>>()? })
    }

    /// How many payloads of earlier calls are not handed on, at most.
    pub fn left(&self, stations: &[Station]) -> u64 {
        let left = |(station, written): (&Station, &u64)| {
            station.outbox().map_or(0, |outbox| outbox.end().saturating_sub(*written))
        };
        stations.iter().zip(&self.written).map(left).sum()
    }

    /// Calls `write` with the next payloads of earlier calls, each with the number of its station.
    /// Returns whether there were any left.
    pub fn again(
        &mut self,
        stations: &[Station],
        mut write: impl FnMut(usize, &OutboxPayload),
    ) -> Result<bool, Error> {
        for (number, (station, written)) in stations.iter().zip(&mut self.written).enumerate() {
            let Some(outbox) = station.outbox().filter(|outbox| *written < outbox.end()) else {
                continue;
            };
            let part = outbox.read(*written, PAYLOADS_AT_ONCE)?;
            part.payloads.iter().for_each(|payload| write(number, payload));
            *written = part.next;
            return Ok(true);
        }
        Ok(false)
    }

    /// Notes that every payload that was accepted so far is written.
    pub fn all_written(&mut self, stations: &[Station]) {
        for (station, written) in stations.iter().zip(&mut self.written) {
            *written = station.outbox().map_or(*written, |outbox| outbox.end());
        }
    }

    /// Takes what is written out of each outbox: the output has flushed it.
    pub fn acknowledge(&self, stations: &[Station]) -> Result<(), Error> {
        for (station, written) in stations.iter().zip(&self.written) {
            if let Some(outbox) = station.outbox() {
                outbox.acknowledge(READER, *written)?;
            }
        }
        Ok(())
    }
}
