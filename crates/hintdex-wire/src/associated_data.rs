//! Associated data: authenticated with each packet, and not sent.

use core::fmt;

/// Bytes that device and station agree on, that every packet authenticates and none carries:
/// the name of a fleet, a version of the payload's format, a radio channel.
///
/// A packet opens only under the associated data with which it was sealed. At most
/// [`MAX_LEN_BYTES`](Self::MAX_LEN_BYTES), so that a device needs no allocator to authenticate
/// hint and associated data in one piece.
///
/// ```
/// use hintdex_wire::{
///     AssociatedData, HintKey, HintScheme, Packet, PacketFormat, PacketKey, Sealer, Suite,
/// };
///
/// let format = PacketFormat { scheme: HintScheme::Aes128, suite: Suite::AesSiv };
/// let (hint_key, key) = (HintKey::from_bytes([1; 16]), PacketKey::from_bytes([2; 32]));
/// let meters = AssociatedData::new(b"meters v1").unwrap();
/// let mut radio = [0; 64];
/// let mut sealer = Sealer::new(format, &hint_key, key.clone(), 7);
/// let len = sealer.seal_with(7, b"21.5 C", meters, &mut radio).unwrap();
///
/// let packet = Packet::parse(format, &radio[..len]).unwrap();
/// let mut payload = [0; 40];
/// assert_eq!(key.open(&packet, 7, meters, &mut payload), Some(&b"21.5 C"[..]));
/// assert_eq!(key.open(&packet, 7, AssociatedData::EMPTY, &mut payload), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssociatedData<'a>(&'a [u8]);

impl<'a> AssociatedData<'a> {
    /// No associated data: the default of every fleet.
    pub const EMPTY: Self = Self(&[]);

    /// The length in bytes of the longest associated data.
    pub const MAX_LEN_BYTES: usize = 240;

    /// Associated data of these bytes; `None` if they are more than
    /// [`MAX_LEN_BYTES`](Self::MAX_LEN_BYTES).
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() <= Self::MAX_LEN_BYTES { Some(Self(bytes)) } else { None }
    }

    /// The bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are no bytes.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Associated data in a place of its own, for whoever keeps the data of a fleet.
///
/// ```
/// use hintdex_wire::{AssociatedData, AssociatedDataBuf};
///
/// let kept = AssociatedDataBuf::new(b"meters v1").unwrap();
/// assert_eq!(Some(kept.borrow()), AssociatedData::new(b"meters v1"));
/// assert_eq!(kept.to_string(), "6d6574657273207631");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssociatedDataBuf {
    /// Zeros behind the data.
    bytes: [u8; AssociatedData::MAX_LEN_BYTES],
    len_bytes: u8,
}

impl AssociatedDataBuf {
    /// No associated data.
    pub const EMPTY: Self = Self { bytes: [0; AssociatedData::MAX_LEN_BYTES], len_bytes: 0 };

    /// Associated data of these bytes; `None` if they are more than
    /// [`AssociatedData::MAX_LEN_BYTES`].
    pub fn new(data: &[u8]) -> Option<Self> {
        let mut kept = Self { len_bytes: data.len().try_into().ok()?, ..Self::EMPTY };
        kept.bytes.get_mut(..data.len())?.copy_from_slice(data);
        Some(kept)
    }

    /// The associated data.
    pub fn borrow(&self) -> AssociatedData<'_> {
        AssociatedData(self.bytes.get(..usize::from(self.len_bytes)).unwrap_or_default())
    }
}

impl Default for AssociatedDataBuf {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// In hex.
impl fmt::Display for AssociatedDataBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrow().bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AssociatedDataBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssociatedDataBuf({self})")
    }
}
