//! A packet with its time of reception.

use hintdex_wire::AssociatedData;

/// A packet, its time of reception in seconds since 1970, and what it is bound to.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The bytes of the packet: hint, ciphertext and tag.
    pub packet: &'a [u8],
    /// When the packet was received. Read with clocked nonces and with a schedule only.
    pub at_unix_s: u64,
    /// Milliseconds after `at_unix_s`, below 1000. Read with a schedule only.
    pub at_ms: u16,
    /// The associated data of this packet; `None` for those of the fleet
    /// ([`Params::associated_data`](crate::Params::associated_data)). With a suite that takes
    /// none, a packet with associated data is forged.
    pub associated_data: Option<AssociatedData<'a>>,
    /// What the caller knows of the reception, in a form of its own: stored beside the payload in the
    /// [outbox](crate::Outbox), and read by nothing else. Empty for nothing.
    pub context: &'a [u8],
}

/// What was received beside the bytes of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reception<'a> {
    pub(crate) at_unix_s: u64,
    pub(crate) at_ms: u16,
    pub(crate) context: &'a [u8],
}

impl<'a> Received<'a> {
    pub(crate) const fn reception(&self) -> Reception<'a> {
        let Self { at_unix_s, at_ms, context, .. } = *self;
        Reception { at_unix_s, at_ms, context }
    }

    /// When the packet was received, in milliseconds since 1970.
    pub(crate) const fn at_unix_ms(&self) -> u64 {
        self.at_unix_s.saturating_mul(1000).saturating_add(self.at_ms as u64)
    }
}
