//! What a batch adds to the outbox.

use hintdex_core::{Admission, Arrival, LiveIndex, Request};
use hintdex_wire::{KeyId, Nonce};
use rayon::prelude::*;

use super::body::{Body, PayloadSealer};
use crate::{Error, Station};

/// The bodies that one task seals.
const BODIES_PER_TASK: usize = 256;

/// The bodies of a batch's authentic packets, each with the position of its arrival. Without an outbox,
/// there are none.
pub(crate) struct Posts<'a, 'b> {
    index: &'a LiveIndex,
    sealer: Option<&'a PayloadSealer>,
    posts: Vec<Post<'b>>,
}

struct Post<'b> {
    position: usize,
    key: KeyId,
    nonce: Nonce,
    body: Body<'b>,
}

impl<'a, 'b> Posts<'a, 'b> {
    pub(crate) fn of(station: &'a Station) -> Self {
        let (index, sealer) = (&*station.index, station.payload_sealer.as_ref());
        Self { index, sealer, posts: Vec::new() }
    }

    /// Adds the body of the arrival at `position`.
    pub(crate) fn push(
        &mut self,
        position: usize,
        key: KeyId,
        nonce: Nonce,
        body: impl FnOnce() -> Body<'b>,
    ) {
        if self.sealer.is_some() {
            self.posts.push(Post { position, key, nonce, body: body() });
        }
    }

    /// The sealed bodies, in the order of the posts, sealed on all threads.
    fn seal(&self) -> Vec<Vec<u8>> {
        let Some(sealer) = self.sealer else { return Vec::new() };
        let of_task = |posts: &[Post<'_>]| {
            let mut cipher = sealer.cipher();
            let seal = |Post { key, nonce, body, .. }: &Post<'_>| {
                // A body that cannot be sealed, which does not occur, is read as a damaged one.
                cipher.seal(*key, *nonce, body).unwrap_or_default()
            };
            posts.iter().map(seal).collect::<Vec<_>>()
        };
        self.posts.par_chunks(BODIES_PER_TASK).flat_map_iter(of_task).collect()
    }

    /// Admits the arrivals, and stores the bodies of those that are accepted.
    pub(crate) fn admit(
        &self,
        arrivals: &[Arrival<'_>],
        requests: &[Request],
    ) -> Result<Vec<Admission>, Error> {
        let sealed = self.seal();
        let mut bodies: Vec<&[u8]> = Vec::new();
        if !sealed.is_empty() {
            // Arrivals that only ask a question have no body, and are never accepted.
            bodies.resize(arrivals.len(), &[]);
        }
        for (post, sealed) in self.posts.iter().zip(&sealed) {
            bodies.get_mut(post.position).into_iter().for_each(|body| *body = sealed);
        }
        Ok(self.index.admit_with_outbox(arrivals, requests, &bodies)?)
    }
}
