//! What a batch adds to the outbox.

use hintdex_core::{Admission, Arrival, LiveIndex, Request};
use hintdex_wire::{KeyId, Nonce};

use super::body::{Body, PayloadSealer};
use crate::{Error, Station};

/// The sealed bodies of a batch's authentic packets, each at the position of its arrival. Without an
/// outbox, nothing is sealed.
pub(crate) struct Posts<'a> {
    index: &'a LiveIndex,
    sealer: Option<&'a PayloadSealer>,
    bodies: Vec<Vec<u8>>,
}

impl<'a> Posts<'a> {
    pub(crate) fn of(station: &'a Station) -> Self {
        let (index, sealer) = (&*station.index, station.payload_sealer.as_ref());
        Self { index, sealer, bodies: Vec::new() }
    }

    /// Adds the body of the arrival at `position`. Positions increase.
    pub(crate) fn push<'b>(
        &mut self,
        position: usize,
        key: KeyId,
        nonce: Nonce,
        body: impl FnOnce() -> Body<'b>,
    ) {
        let Some(sealer) = self.sealer else { return };
        // Arrivals that only ask a question have no body, and are never accepted.
        self.bodies.resize_with(position, Vec::new);
        self.bodies.push(sealer.seal(key, nonce, &body()).unwrap_or_default());
    }

    /// Admits the arrivals, and stores the bodies of those that are accepted.
    pub(crate) fn admit(
        &self,
        arrivals: &[Arrival<'_>],
        requests: &[Request],
    ) -> Result<Vec<Admission>, Error> {
        let bodies: Vec<&[u8]> = self.bodies.iter().map(Vec::as_slice).collect();
        Ok(self.index.admit_with_outbox(arrivals, requests, &bodies)?)
    }
}
