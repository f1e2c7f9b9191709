//! The outbox of a station: accepted payloads, stored until their readers have acknowledged them.
//!
//! [`hintdex_core::Outbox`] stores rows whose bodies are composed here: the payload, what was
//! received with the packet, and the caller's context, sealed under the master key. A row is bound to
//! the fleet, and to the key and the nonce of its packet.

mod body;
mod handle;
mod posts;

#[doc(hidden)]
pub use body::format;
pub(crate) use body::{Body, PayloadSealer};
pub use handle::{Outbox, OutboxPart, OutboxPayload};
pub(crate) use posts::Posts;
