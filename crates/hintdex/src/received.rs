//! A packet with its time of reception.

/// A packet, and its time of reception in seconds since 1970.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The bytes of the packet: hint, ciphertext and tag.
    pub packet: &'a [u8],
    /// When the packet was received. Read with clocked nonces only.
    pub at_unix_s: u64,
}
