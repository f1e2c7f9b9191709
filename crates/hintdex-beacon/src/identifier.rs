//! What a receiver heard: an identifier, and when.

use std::fmt;

use hintdex_scan::ResolvableAddress;
use hintdex_wire::beacon::eddystone::Eid;
use hintdex_wire::beacon::gaen::Rpi;

/// An identifier on the air. Its length tells its scheme.
///
/// ```
/// use hintdex_beacon::{Identifier, NotAnIdentifier};
///
/// // The length selects the scheme: 8 bytes are an Eddystone-EID, 16 are GAEN, 6 an address.
/// assert_eq!(Identifier::from_bytes(&[7; 8]), Ok(Identifier::Eid([7; 8])));
/// assert_eq!(Identifier::from_bytes(&[7; 16]), Ok(Identifier::Rpi([7; 16])));
/// assert_eq!(Identifier::from_bytes(&[7; 9]), Err(NotAnIdentifier::Length { got_bytes: 9 }));
/// // An address that is not resolvable.
/// assert_eq!(Identifier::from_bytes(&[0xff; 6]), Err(NotAnIdentifier::OtherAddress));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// Eight bytes: Eddystone-EID.
    Eid(Eid),
    /// Sixteen bytes: a rolling proximity identifier of exposure notification.
    Rpi(Rpi),
    /// Six bytes, most significant first: a resolvable private address.
    Address(ResolvableAddress),
}

/// Why bytes are no identifier.
///
/// See the example of [`Identifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnIdentifier {
    /// No scheme has identifiers of this length.
    Length {
        /// The length that was given.
        got_bytes: usize,
    },
    /// Six bytes whose first two bits are not 01: an address of another kind, which
    /// no key resolves.
    OtherAddress,
}

impl Identifier {
    /// Reads an identifier.
    ///
    /// # Errors
    /// [`NotAnIdentifier`] when the bytes are none of any scheme.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAnIdentifier> {
        if let Ok(eid) = bytes.try_into() {
            return Ok(Self::Eid(eid));
        }
        if let Ok(rpi) = bytes.try_into() {
            return Ok(Self::Rpi(rpi));
        }
        let address: [u8; 6] =
            bytes.try_into().map_err(|_| NotAnIdentifier::Length { got_bytes: bytes.len() })?;
        ResolvableAddress::from_bytes(address)
            .map(Self::Address)
            .ok_or(NotAnIdentifier::OtherAddress)
    }

    /// What windows are asked for: the first eight bytes. An address is in none.
    pub(crate) fn head(&self) -> Option<u64> {
        match self {
            Self::Eid(eid) => Some(u64::from_be_bytes(*eid)),
            Self::Rpi(rpi) => Some(head_of(rpi)),
            Self::Address(_) => None,
        }
    }
}

/// The first eight bytes of a longer identifier.
pub(crate) const fn head_of(rpi: &Rpi) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *rpi;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl fmt::Display for NotAnIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { got_bytes } => write!(
                f,
                "{got_bytes} bytes are no identifier: eddystone-eid has 8, gaen 16, ble-rpa 6"
            ),
            Self::OtherAddress => {
                f.write_str("not a resolvable private address: its first two bits are not 01")
            }
        }
    }
}

impl std::error::Error for NotAnIdentifier {}

/// An identifier and when it was heard.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was heard.
    pub identifier: Identifier,
    /// When, by the receiver's clock; times past the year 10,000 are that year.
    pub time_unix_s: u64,
}
