//! Packets as the station sees them: parsed and opened.

use core::error::Error;
use core::fmt;

use crate::body::{self, Binding};
use crate::{AssociatedData, Hint, Nonce, PacketFormat, PacketKey, carry};

/// A packet, split into hint and body, and not yet authenticated.
///
/// ```
/// use hintdex_wire::{
///     AssociatedData, HintKey, HintScheme, Packet, PacketError, PacketKey, Sealer,
/// };
///
/// let (hint_key, key) = (HintKey::from_bytes([1; 16]), PacketKey::from_bytes([2; 32]));
/// let mut bytes = [0; 64];
/// let len = Sealer::new(HintScheme::Speck64, &hint_key, key.clone(), 5)
///     .seal(b"21.5 C", &mut bytes)
///     .unwrap();
///
/// let packet = Packet::parse(HintScheme::Speck64, &bytes[..len])?;
/// let mut payload = [0; 64];
/// let opened = key.open(&packet, 5, AssociatedData::EMPTY, &mut payload);
/// assert_eq!(opened, Some(&b"21.5 C"[..]));
///
/// // One changed bit: the tag does not verify.
/// bytes[8] ^= 1;
/// let packet = Packet::parse(HintScheme::Speck64, &bytes[..len])?;
/// assert_eq!(key.open(&packet, 5, AssociatedData::EMPTY, &mut payload), None);
///
/// let too_short = Packet::parse(HintScheme::Speck64, &bytes[..15]);
/// assert_eq!(too_short.unwrap_err(), PacketError { len_bytes: 15, least_bytes: 16 });
/// # Ok::<(), PacketError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    hint: Hint,
    format: PacketFormat,
    /// The hint as sent, and what follows it in front of the body.
    head: &'a [u8],
    /// Ciphertext and tag, in the order of the suite.
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Splits `bytes` into hint and body.
    ///
    /// # Errors
    /// [`PacketError`] when `bytes` cannot hold a hint and a tag around an empty payload.
    pub fn parse(format: impl Into<PacketFormat>, bytes: &'a [u8]) -> Result<Self, PacketError> {
        let format = format.into();
        let too_short =
            PacketError { len_bytes: bytes.len(), least_bytes: format.overhead_bytes() };
        let (head, body) = bytes.split_at_checked(format.head_len_bytes()).ok_or(too_short)?;
        if body.len() < format.suite.tag_len_bytes() {
            return Err(too_short);
        }
        let hint = Hint::read(format.scheme, head).ok_or(too_short)?;
        Ok(Self { hint, format, head, body })
    }

    /// The hint: the only part that carries information before the key is known.
    pub const fn hint(&self) -> &Hint {
        &self.hint
    }

    /// What the packet consists of.
    pub const fn format(&self) -> PacketFormat {
        self.format
    }

    /// What stands in front of the body: the hint as sent, and with `carry24` the byte behind it.
    pub const fn head(&self) -> &'a [u8] {
        self.head
    }

    /// Ciphertext and tag, in the order of the suite.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The length of the payload in bytes.
    pub const fn payload_len_bytes(&self) -> usize {
        self.body.len() - self.format.suite.tag_len_bytes()
    }
}

/// The bytes are too few for a packet of the format. The remedy is to drop them.
///
/// See the example of [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketError {
    /// The length of the bytes.
    pub len_bytes: usize,
    /// The length of the shortest packet.
    pub least_bytes: usize,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len_bytes, least_bytes } = self;
        write!(f, "{len_bytes} bytes are too few for a packet, the shortest has {least_bytes}")
    }
}

impl Error for PacketError {}

impl PacketKey {
    /// Whether a packet can be authentic under this key and nonce, by what stands in front of its
    /// body: the byte behind a `carry24` hint. True for packets of every other hint scheme.
    ///
    /// A wrong key or nonce passes once in 256 tries. Costs one HMAC-SHA256, a third of
    /// [`open`](Self::open), and takes the same time for every byte. A station asks this first where
    /// many keys make one hint.
    ///
    /// ```
    /// use hintdex_wire::{HintKey, HintScheme, Packet, PacketKey, Sealer};
    ///
    /// let key = PacketKey::from_bytes([2; 32]);
    /// let mut bytes = [0; 64];
    /// let nonce = 5 << 24 | 7;
    /// let len = Sealer::new(HintScheme::Carry24, &HintKey::from_bytes([1; 16]), key.clone(), nonce)
    ///     .seal(b"21.5 C", &mut bytes)
    ///     .unwrap();
    /// let packet = Packet::parse(HintScheme::Carry24, &bytes[..len]).unwrap();
    /// assert!(key.may_open(&packet, nonce));
    /// // The same hint, and other upper bits.
    /// assert!(!key.may_open(&packet, 6 << 24 | 7));
    /// ```
    pub fn may_open(&self, packet: &Packet<'_>, nonce: Nonce) -> bool {
        packet.format.scheme.rest_len_bytes() == 0 || carry::is_right(self, packet.head, nonce)
    }

    /// Opens a packet: verifies its tag under this key, decrypts the payload into the head of
    /// `out`, and returns that part of `out`.
    ///
    /// `None` if the packet is not authentic under this key, this nonce and this associated
    /// data, or if `out` is shorter than the [payload](Packet::payload_len_bytes). Nothing else
    /// is reported of a packet that is not authentic, tags are compared in constant time, and
    /// `out` holds no part of its payload.
    ///
    /// The nonce is the one that the hint yields. [`Suite::AesCtrHmac`](crate::Suite::AesCtrHmac) authenticates the nonce
    /// through the hint alone: a hint of another nonce has another tag.
    ///
    /// A packet of up to 55 bytes without its tag costs four compressions of SHA-256 in the
    /// usual suite; `docs/suites.md` has the cost of all.
    pub fn open<'o>(
        &self,
        packet: &Packet<'_>,
        nonce: Nonce,
        associated_data: AssociatedData<'_>,
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let payload = out.get_mut(..packet.payload_len_bytes())?;
        let binding = Binding { hint: packet.head, nonce, associated_data };
        let format = packet.format;
        let is_carried = self.may_open(packet, nonce);
        let opened = body::open(format.suite, self, binding, packet.body, payload).is_ok();
        if opened & is_carried & format.is_defined() {
            return Some(payload);
        }
        payload.fill(0);
        None
    }
}
