//! A byte in front of packets, for gateways that drop what they do not know.

use core::error::Error;
use core::fmt;

use crate::SealError;

/// A byte that stands in front of every packet of a fleet: `lead ‖ packet`.
///
/// LoRa Basics Station drops every frame that does not look like LoRaWAN, except frames whose first
/// byte is 0xE0 ([`Lead::LORAWAN_PROPRIETARY`]). With this lead, packets pass.
///
/// The byte is the same in every packet of the fleet, so the station checks it and no tag covers it. Behind it
/// stands the packet as it would be without a lead.
///
/// ```
/// use hintdex_wire::{HintKey, HintScheme, Lead, Packet, PacketKey, Sealer, WrongLead};
///
/// let (hint_key, key) = (HintKey::from_bytes([1; 16]), PacketKey::from_bytes([2; 32]));
/// let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, key, 5);
/// let lead = Lead::LORAWAN_PROPRIETARY;
/// let mut radio = [0; 64];
/// let len = lead.before(&mut radio, |rest| sealer.seal(b"21.5 C", rest))?;
/// assert_eq!((len, radio[0]), (31, 0xe0));
///
/// // The station.
/// let packet = Packet::parse(HintScheme::Aes128, lead.strip(&radio[..len])?)?;
/// assert_eq!(packet.payload_len_bytes(), 6);
/// let wrong = WrongLead { lead, first: Some(radio[1]) };
/// assert_eq!(lead.strip(&radio[1..len]), Err(wrong));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lead(pub u8);

impl Lead {
    /// The MAC header of a proprietary frame of LoRaWAN (LoRaWAN 1.0.4, section 4.2: MType 111, major 00).
    pub const LORAWAN_PROPRIETARY: Self = Self(0xe0);

    /// Writes the lead into the first byte of `out` and lets `seal` write the packet behind it. Returns the
    /// length of both.
    ///
    /// `seal` is a call of [`Sealer`](crate::Sealer), [`EphemeralSealer`](crate::EphemeralSealer) or
    /// [`Schedule`](crate::Schedule). If it fails, the first byte of `out` may have changed.
    ///
    /// # Errors
    /// [`SealError::BufferTooShort`] with the length of both, and the other errors of `seal`.
    #[inline(always)]
    pub fn before(
        self,
        out: &mut [u8],
        seal: impl FnOnce(&mut [u8]) -> Result<usize, SealError>,
    ) -> Result<usize, SealError> {
        let (lead, rest) = out.split_first_mut().unzip();
        let sealed = seal(rest.unwrap_or_default()).map_err(|error| match error {
            SealError::BufferTooShort { needed_bytes } => {
                SealError::BufferTooShort { needed_bytes: needed_bytes + 1 }
            }
            other => other,
        })?;
        // A packet was written behind it, so there is a first byte.
        lead.into_iter().for_each(|lead| *lead = self.0);
        Ok(sealed + 1)
    }

    /// The packet behind the lead.
    ///
    /// # Errors
    /// [`WrongLead`] if `bytes` begin with another byte, or are none.
    pub fn strip(self, bytes: &[u8]) -> Result<&[u8], WrongLead> {
        let first = bytes.first().copied();
        match bytes.split_first() {
            Some((lead, packet)) if *lead == self.0 => Ok(packet),
            _ => Err(WrongLead { lead: self, first }),
        }
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// The bytes do not begin with the lead of the fleet, so they are no packet of it. The remedy is to drop them.
///
/// See the example of [`Lead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLead {
    /// The lead of the fleet.
    pub lead: Lead,
    /// The first byte; `None` if there is none.
    pub first: Option<u8>,
}

impl fmt::Display for WrongLead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first {
            Some(first) => {
                write!(f, "it begins with {first:02x}, packets of this fleet with {}", self.lead)
            }
            None => write!(f, "it is empty, packets of this fleet begin with {}", self.lead),
        }
    }
}

impl Error for WrongLead {}
