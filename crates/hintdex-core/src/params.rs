//! The parameters of an index, and the rules they obey.

use hintdex_wire::{
    AssociatedDataBuf, Derivation, HintScheme, Nonce, NonceKind, PacketFormat, RatchetBits, Suite,
};

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
    /// The length of a key epoch, where the keys of devices move on with their nonces; `None` if
    /// one key serves all nonces. For counters only.
    pub ratchet: Option<RatchetBits>,
    /// How packets are encrypted and authenticated behind their hints.
    pub suite: Suite,
    /// What every packet of the fleet authenticates without carrying it. Empty unless the suite
    /// [takes associated data](Suite::takes_associated_data).
    pub associated_data: AssociatedDataBuf,
}

impl Params {
    /// The parameters of an index whose devices count their packets; keys are derived with HMAC.
    pub const fn counters(scheme: HintScheme, lookahead: u32) -> Self {
        let (nonces, derivation) = (NonceKind::Counter, Derivation::Hmac);
        let (suite, associated_data) = (Suite::AesCtrHmac, AssociatedDataBuf::EMPTY);
        Self { scheme, nonces, lookahead, derivation, ratchet: None, suite, associated_data }
    }

    /// The parameters of an index of clocked nonces, with keys derived with HMAC; `None` if hints
    /// of `scheme` are too short for them.
    pub fn clocked(scheme: HintScheme, nonces: NonceKind, lookahead: u32) -> Option<Self> {
        let scheme = scheme.for_nonces(nonces)?;
        Some(Self { scheme, nonces, ..Self::counters(scheme, lookahead) })
    }

    /// Checks that an index can have these parameters.
    ///
    /// # Errors
    /// [`Error::LookaheadOutOfRange`], [`Error::NoRoomForNonces`],
    /// [`Error::RatchetOfClocks`], [`Error::NoSuchFormat`] or [`Error::NoAssociatedData`].
    pub fn check(&self) -> Result<(), Error> {
        let Self { scheme, nonces, lookahead, ratchet, suite, .. } = *self;
        if lookahead == 0 || lookahead > MAX_LOOKAHEAD {
            return Err(Error::LookaheadOutOfRange { lookahead, max_lookahead: MAX_LOOKAHEAD });
        }
        if scheme.for_nonces(nonces) != Some(scheme) {
            return Err(Error::NoRoomForNonces { scheme, nonces });
        }
        if ratchet.is_some() && nonces.is_clocked() {
            return Err(Error::RatchetOfClocks { nonces });
        }
        if !self.format().is_defined() {
            return Err(Error::NoSuchFormat { format: self.format() });
        }
        if !self.associated_data.borrow().is_empty() && !suite.takes_associated_data() {
            return Err(Error::NoAssociatedData { suite });
        }
        Ok(())
    }

    /// The largest nonce a device may use.
    pub fn max_nonce(&self) -> Nonce {
        self.scheme.max_nonce().min(self.nonces.max_nonce())
    }

    /// What the packets of the fleet consist of.
    pub const fn format(&self) -> PacketFormat {
        PacketFormat { scheme: self.scheme, suite: self.suite }
    }

    /// The key epoch of `nonce`; 0 without a ratchet.
    pub fn epoch_of(&self, nonce: Nonce) -> u32 {
        self.ratchet.map_or(0, |bits| bits.epoch_of(nonce))
    }
}
