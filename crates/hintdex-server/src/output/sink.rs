//! What an output does with payloads.

use std::future::Future;

use crate::event::Event;

/// The end of an output behind its reader.
pub trait Sink: Send {
    /// The most events that are handed out at once.
    const MAX_EVENTS: usize = 256;

    /// Hands out events, in order, and returns when each is acknowledged.
    ///
    /// # Errors
    /// How many from the front are acknowledged, and why the next is not. The reader waits and
    /// hands out the rest again.
    fn hand_out(&mut self, events: &[Event]) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Why events were not handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// How many events from the front are acknowledged.
    pub acknowledged: usize,
    /// Why the next one is not.
    pub why: String,
    /// Whether the rest may have been handed out, so that it is marked when it comes again.
    pub may_be_out: bool,
}

impl Failed {
    /// The failure of an operation before which `acknowledged` events were acknowledged.
    pub fn after(acknowledged: usize, why: impl ToString) -> Self {
        Self { acknowledged, why: why.to_string(), may_be_out: true }
    }

    /// The failure before any event was sent.
    pub fn before(why: impl ToString) -> Self {
        Self { acknowledged: 0, why: why.to_string(), may_be_out: false }
    }
}
