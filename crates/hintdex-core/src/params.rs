//! The parameters of an index, and the rules they obey.

use hintdex_wire::{
    AssociatedDataBuf, Derivation, EphemeralSuite, HintScheme, Lead, Nonce, NonceKind,
    PacketFormat, RatchetBits, Schedule, StationPoint, Suite,
};

use crate::Error;
use crate::naming::Naming;
use crate::time::ScheduleTolerance;

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
    /// How packets name their devices.
    pub naming: Naming,
    /// The hint scheme. Without an index of hints, [`Aes128`](HintScheme::Aes128), which has no
    /// meaning then.
    pub scheme: HintScheme,
    /// The kind of nonces.
    pub nonces: NonceKind,
    /// How many coming nonces of a device, or of each day, have their hints in the index. Has
    /// no meaning for time steps, whose live hints follow from the clock alone. 0 without an index
    /// of hints.
    pub lookahead: u32,
    /// How the keys of devices are derived, where they are derived. The key source must serve it
    /// ([`KeySource::serves`](hintdex_wire::KeySource::serves)).
    pub derivation: Derivation,
    /// The length of a key epoch, where the keys of devices move on with their nonces; `None` if
    /// one key serves all nonces. For counters only.
    pub ratchet: Option<RatchetBits>,
    /// How packets are encrypted and authenticated behind their hints.
    /// [`AesCtrHmac`](Suite::AesCtrHmac) without an index of hints.
    pub suite: Suite,
    /// What every packet of the fleet authenticates without carrying it. Empty unless the suite
    /// [takes associated data](Suite::takes_associated_data).
    pub associated_data: AssociatedDataBuf,
    /// The byte in front of every packet of the fleet; `None` if packets begin with their hints, or with what
    /// they have in place of hints.
    pub lead: Option<Lead>,
}

impl Params {
    /// The parameters of an index whose devices count their packets; keys are derived with HMAC.
    pub const fn counters(scheme: HintScheme, lookahead: u32) -> Self {
        let (nonces, derivation) = (NonceKind::Counter, Derivation::Hmac);
        let (suite, associated_data) = (Suite::AesCtrHmac, AssociatedDataBuf::EMPTY);
        Self {
            naming: Naming::Hint,
            scheme,
            nonces,
            lookahead,
            derivation,
            ratchet: None,
            suite,
            associated_data,
            lead: None,
        }
    }

    /// The parameters of a fleet whose devices agree on a key with the station of this point for
    /// each packet.
    pub const fn ephemeral(suite: EphemeralSuite, station: StationPoint) -> Self {
        let naming = Naming::Ephemeral { suite, station };
        Self { naming, ..Self::counters(HintScheme::Aes128, 0) }
    }

    /// The parameters of a fleet whose devices send at the times of a schedule, with or without a
    /// hint of the scheme `head` in front.
    pub const fn scheduled(
        schedule: Schedule,
        head: Option<HintScheme>,
        tolerance: ScheduleTolerance,
    ) -> Self {
        let naming = Naming::Schedule { schedule, head, tolerance };
        Self { naming, ..Self::counters(HintScheme::Aes128, 0) }
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
    /// [`Error::RatchetOfClocks`], [`Error::NoSuchFormat`], [`Error::NoAssociatedData`] or
    /// [`Error::NotWithoutHints`].
    pub fn check(&self) -> Result<(), Error> {
        let Self { scheme, nonces, lookahead, ratchet, suite, .. } = *self;
        if !self.naming.has_index() {
            return self.check_without_index();
        }
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

    /// Checks the parameters of a fleet without an index of hints: those that describe hints are
    /// the usual ones.
    fn check_without_index(&self) -> Result<(), Error> {
        let naming = self.naming.name().unwrap_or_default();
        let refused = |what| Err(Error::NotWithoutHints { naming, what });
        let usual = Self::counters(HintScheme::Aes128, 0);
        match self.naming {
            _ if self.scheme != usual.scheme => refused("hints"),
            _ if self.lookahead > 0 => refused("a lookahead"),
            _ if self.nonces != usual.nonces => refused("clocked nonces"),
            _ if self.ratchet.is_some() => refused("a ratchet"),
            _ if self.suite != usual.suite => refused("another suite"),
            _ if self.associated_data != usual.associated_data => refused("associated data"),
            // The header only cuts the tries, so the shortest one serves.
            Naming::Schedule { head: Some(head), .. } if head.len_bytes() != 4 => {
                refused("a header of another length than 4 bytes")
            }
            Naming::Schedule { tolerance, .. }
                if tolerance.jitter_ms > ScheduleTolerance::MAX_JITTER_MS
                    || tolerance.max_drift_ppm > ScheduleTolerance::MAX_DRIFT_PPM =>
            {
                refused("a jitter above 60 s, or a drift above 100,000 ppm")
            }
            _ => Ok(()),
        }
    }

    /// The largest nonce a device may use.
    pub fn max_nonce(&self) -> Nonce {
        let last = self.scheme.max_nonce().min(self.nonces.max_nonce());
        // The nonces of a schedule have four bytes.
        if self.naming.is_schedule() { last.min(u32::MAX.into()) } else { last }
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
