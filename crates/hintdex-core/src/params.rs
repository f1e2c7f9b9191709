//! The parameters of an index, and the rules they obey.

use hintdex_wire::{Derivation, HintScheme, Nonce, NonceKind};

use crate::Error;

/// The largest lookahead, in nonces. If a device skips that many nonces, admission adds all
/// their hints in one batch.
pub const MAX_LOOKAHEAD: u32 = 1 << 16;

/// The longest late window of a counter, in nonces: 8 KiB of memory.
pub const MAX_LATE_NONCES: u32 = 1 << 16;

/// The parameters of an index; fixed when the index is created.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The hint scheme.
    pub scheme: HintScheme,
    /// The kind of nonces.
    pub nonces: NonceKind,
    /// How many coming nonces of a device, or of each day, have their hints in the index. Has
    /// no meaning for time steps, whose live hints follow from the clock alone.
    pub lookahead: u32,
    /// How the keys of devices are derived, where they are derived. The key source must serve it
    /// ([`KeySource::serves`](hintdex_wire::KeySource::serves)).
    pub derivation: Derivation,
}

impl Params {
    /// The parameters of an index whose devices count their packets; keys are derived with HMAC.
    pub const fn counters(scheme: HintScheme, lookahead: u32) -> Self {
        Self { scheme, nonces: NonceKind::Counter, lookahead, derivation: Derivation::Hmac }
    }

    /// The parameters of an index of clocked nonces, with keys derived with HMAC; `None` if hints of `scheme` are too short
    /// for them.
    pub fn clocked(scheme: HintScheme, nonces: NonceKind, lookahead: u32) -> Option<Self> {
        let derivation = Derivation::Hmac;
        scheme.for_nonces(nonces).map(|scheme| Self { scheme, nonces, lookahead, derivation })
    }

    /// Checks that an index can have these parameters.
    ///
    /// # Errors
    /// [`Error::LookaheadOutOfRange`] or [`Error::NoRoomForNonces`].
    pub fn check(&self) -> Result<(), Error> {
        let Self { scheme, nonces, lookahead, derivation: _ } = *self;
        if lookahead == 0 || lookahead > MAX_LOOKAHEAD {
            return Err(Error::LookaheadOutOfRange { lookahead, max_lookahead: MAX_LOOKAHEAD });
        }
        if scheme.for_nonces(nonces) != Some(scheme) {
            return Err(Error::NoRoomForNonces { scheme, nonces });
        }
        Ok(())
    }

    /// The largest nonce a device may use.
    pub fn max_nonce(&self) -> Nonce {
        self.scheme.max_nonce().min(self.nonces.max_nonce())
    }
}
