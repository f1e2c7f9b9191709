//! What an index is for.

use hintdex_wire::{HintScheme, Nonce, NonceKind};

use crate::Error;

/// The largest lookahead: hints a device, all of them written when it leaps.
pub const MAX_LOOKAHEAD: u32 = 1 << 16;

/// What an index is for; fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How hints are computed.
    pub scheme: HintScheme,
    /// How nonces are made.
    pub nonces: NonceKind,
    /// How many coming nonces of a device have their hints in the index, or of each
    /// day; nonces that are time steps come by the clock alone.
    pub lookahead: u32,
}

impl Params {
    /// An index of devices that count their packets.
    pub const fn counters(scheme: HintScheme, lookahead: u32) -> Self {
        Self { scheme, nonces: NonceKind::Counter, lookahead }
    }

    /// An index of devices that make their nonces from a clock; `None` if hints of
    /// `scheme` have no room for them.
    pub fn clocked(scheme: HintScheme, nonces: NonceKind, lookahead: u32) -> Option<Self> {
        scheme.for_nonces(nonces).map(|scheme| Self { scheme, nonces, lookahead })
    }

    /// Whether there can be such an index.
    ///
    /// # Errors
    /// [`Error::LookaheadOutOfRange`] or [`Error::NoRoomForNonces`].
    pub fn check(&self) -> Result<(), Error> {
        let Self { scheme, nonces, lookahead } = *self;
        if lookahead == 0 || lookahead > MAX_LOOKAHEAD {
            return Err(Error::LookaheadOutOfRange { lookahead });
        }
        if scheme.for_nonces(nonces) != Some(scheme) {
            return Err(Error::NoRoomForNonces { scheme, nonces });
        }
        Ok(())
    }

    /// The last nonce a device may use.
    pub fn max_nonce(&self) -> Nonce {
        self.scheme.max_nonce().min(self.nonces.max_nonce())
    }
}
