//! The device's side: payloads sealed into packets, each under a nonce of its own.

use core::error::Error;
use core::fmt;

use crate::body::{self, Binding};
use crate::{
    AssociatedData, Chain, HintCipher, HintKey, HintScheme, Nonce, NonceKind, PacketFormat,
    PacketKey, RatchetBits, Suite, carry,
};

/// Why a payload was not sealed. The sealer keeps its state; no nonce is spent.
///
/// See the example of [`Sealer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer cannot hold the packet. Pass a buffer of `needed_bytes`.
    BufferTooShort {
        /// The length of the packet.
        needed_bytes: usize,
    },
    /// Every nonce of the key has been used. The device needs a new key.
    NoncesUsedUp,
    /// `nonce` lies below `next_nonce`: it may have been used, and a nonce that is
    /// used twice reveals both payloads. Seal with `next_nonce` or a higher nonce.
    NonceUsed {
        /// The nonce that was asked for.
        nonce: Nonce,
        /// The lowest nonce that is certain to be unused.
        next_nonce: Nonce,
    },
    /// The counter of `day` has reached its end. Wait until the device's clock
    /// shows the next day; its nonces begin at [`NonceKind::first_of`].
    DayUsedUp {
        /// The day whose 2³² nonces are spent, in days since 1970-01-01.
        day: u64,
    },
    /// The suite has no place for so long a payload. Send it in several packets.
    PayloadTooLong {
        /// The length in bytes of the longest payload.
        max_bytes: usize,
    },
    /// The suite authenticates no associated data. Seal without, or use a suite that
    /// [takes them](Suite::takes_associated_data).
    NoAssociatedData {
        /// The suite of the sealer.
        suite: Suite,
    },
    /// The station's point has a small order, so every key would be known. Give the device the
    /// point that the station shows.
    WeakPoint,
    /// There are no packets of this hint scheme and this suite
    /// ([`PacketFormat::is_defined`]). Choose another pair.
    NoSuchFormat {
        /// The pair.
        format: PacketFormat,
    },
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooShort { needed_bytes } => {
                write!(f, "the packet needs a buffer of {needed_bytes} bytes")
            }
            Self::NoncesUsedUp => f.write_str("every nonce was used; give the device a new key"),
            Self::NonceUsed { nonce, next_nonce } => {
                write!(
                    f,
                    "nonce {nonce} may have been used; seal with {next_nonce} or a higher one"
                )
            }
            Self::DayUsedUp { day } => {
                write!(f, "every nonce of day {day} was used; wait for the next day")
            }
            Self::PayloadTooLong { max_bytes } => {
                write!(f, "the payload is too long; the longest has {max_bytes} bytes")
            }
            Self::NoAssociatedData { suite } => {
                write!(f, "suite {suite} authenticates no associated data; choose another suite")
            }
            Self::WeakPoint => f.write_str(
                "the station's point has a small order; give the device the point of its station",
            ),
            Self::NoSuchFormat { format: PacketFormat { scheme, suite } } => {
                write!(f, "{scheme} hints have no packets of suite {suite}; choose aes-ctr-hmac")
            }
        }
    }
}

impl Error for SealError {}

/// Seals payloads into packets: the device's side, for firmware. In a fleet whose packets begin with a
/// [`Lead`](crate::Lead), [`Lead::before`](crate::Lead::before) puts it in front.
///
/// # No nonce twice
///
/// Two packets with one nonce under one key reveal the xor of their payloads, and
/// the station accepts only the first of them. Within its life a sealer refuses
/// every nonce that is not above all nonces it has used. Over sleep and reboot,
/// the firmware keeps that promise with one number in non-volatile memory:
///
/// 1. **Store first, send second.** Before a packet leaves the device, store a
///    number above the packet's nonce. Power may fail between any two steps: a
///    number that is stored and not used only skips a nonce, which is harmless.
/// 2. **Start from the stored number.** After every boot, pass that number as
///    `next_nonce`, whatever the clock shows.
///
/// A device with counters spares the memory by storing `nonce + 16` once every 16
/// packets: a reboot then skips at most 16 nonces. The skip must be smaller than the
/// station's lookahead; else the station finds the device only by its slow scan
/// over all keys.
///
/// ```
/// use hintdex_wire::{HintKey, HintScheme, NonceKind, PacketKey, SealError, Sealer, StepLen};
///
/// # struct Flash(u64);
/// # impl Flash { fn read(&self) -> u64 { self.0 } fn write(&mut self, next: u64) { self.0 = next } }
/// # let (mut flash, mut sent) = (Flash(0), Vec::new());
/// # let mut transmit = |packet: &[u8]| sent.push(packet.to_vec());
/// # fn keys() -> (HintKey, PacketKey) { (HintKey::copy_of(&[1; 16]), PacketKey::copy_of(&[2; 32])) }
/// let kind = NonceKind::Step(StepLen::new(60).unwrap());
///
/// // The device wakes three times within one minute. It loses its RAM in between.
/// for clock_s in [1_700_000_040, 1_700_000_041, 1_700_000_042] {
///     let (hint_key, packet_key) = keys();
///     let mut sealer =
///         Sealer::for_nonces(kind, HintScheme::Aes128, &hint_key, packet_key, flash.read())
///             .unwrap();
///
///     let nonce = sealer.nonce_at(clock_s)?;
///     flash.write(nonce + 1); // first ...
///     let mut radio = [0; 64];
///     let len = sealer.seal_at(nonce, b"21.5 C", &mut radio)?;
///     transmit(&radio[..len]); // ... second
/// }
/// assert_eq!(flash.read(), 1_700_000_040 / 60 + 3);
/// # assert!(sent[0] != sent[1] && sent[1] != sent[2]);
/// # Ok::<(), SealError>(())
/// ```
#[derive(Debug)]
pub struct Sealer {
    kind: NonceKind,
    format: PacketFormat,
    hints: HintCipher,
    key: PacketKey,
    next_nonce: Nonce,
    /// The last packet took the last nonce of its day, so `next_nonce` is of a day
    /// that the caller has not named.
    day_used_up: bool,
    /// The key epochs, and the chain whose keys are `hints` and `key`.
    ratchet: Option<(RatchetBits, Chain)>,
}

impl Sealer {
    /// A sealer whose first packet carries `next_nonce`: a number above every
    /// nonce that was ever used under these keys.
    ///
    /// The nonces are counters; of [`HintScheme::Aes128Wide`] they are day ‖
    /// counter. [`for_nonces`](Self::for_nonces) makes a sealer for the other kinds.
    pub fn new(
        format: impl Into<PacketFormat>,
        hint_key: &HintKey,
        key: PacketKey,
        next_nonce: Nonce,
    ) -> Self {
        let format = format.into();
        let kind = match format.scheme {
            HintScheme::Aes128Wide => NonceKind::DayCounter,
            _ => NonceKind::Counter,
        };
        let hints = HintCipher::new(format.scheme, hint_key);
        Self { kind, format, hints, key, next_nonce, day_used_up: false, ratchet: None }
    }

    /// A sealer for nonces of `kind`, whose hints are of the variant of the format's
    /// scheme that has room for them ([`HintScheme::for_nonces`]); `None` if there is
    /// no such variant.
    pub fn for_nonces(
        kind: NonceKind,
        format: impl Into<PacketFormat>,
        hint_key: &HintKey,
        key: PacketKey,
        next_nonce: Nonce,
    ) -> Option<Self> {
        let PacketFormat { scheme, suite } = format.into();
        let format = PacketFormat { scheme: scheme.for_nonces(kind)?, suite };
        Some(Self { kind, ..Self::new(format, hint_key, key, next_nonce) })
    }

    /// A sealer of counters whose keys move on with its nonces: it holds the chain of the epoch
    /// that it seals in, and wipes a chain when it moves to the next.
    ///
    /// `chain` is the newest chain that the device has stored. The first packet carries
    /// `next_nonce`, or the first nonce of the chain's epoch if that is higher. `None` if hints of
    /// the format's scheme are not for counters.
    ///
    /// The device stores two things: the next nonce before each packet, as every sealer asks, and
    /// the chain ([`chain`](Self::chain)) when its epoch has changed, before the packet that
    /// changed it leaves. Store the new chain beside the old one, and erase the old one then.
    /// Power may fail between any two steps: if the chain lags behind the nonce, the sealer walks
    /// on from it; if the nonce lags behind the chain, nonces are skipped. Neither repeats a nonce.
    /// Until the old chain is erased, it opens the packets of its epoch.
    ///
    /// ```
    /// use hintdex_wire::{Chain, HintScheme, RatchetBits, SealError, Sealer};
    ///
    /// # struct Flash { next_nonce: u64, chain: Chain }
    /// # let chain = Chain::copy_of(0, &[7; 32]);
    /// # let mut flash = Flash { next_nonce: 14, chain };
    /// # let transmit = |packet: &[u8]| assert_eq!(packet.len(), 30);
    /// // Epochs of 16 nonces. The device reboots before each packet.
    /// let bits = RatchetBits::new(4).unwrap();
    /// for _ in 0..4 {
    ///     let (stored, next_nonce) = (flash.chain.clone(), flash.next_nonce);
    ///     let mut sealer =
    ///         Sealer::ratcheted(HintScheme::Aes128, bits, stored, next_nonce).unwrap();
    ///     let nonce = sealer.next_nonce();
    ///     flash.next_nonce = nonce + 1; // first ...
    ///     let mut radio = [0; 64];
    ///     let len = sealer.seal_at(nonce, b"21.5 C", &mut radio)?;
    ///     if let Some(chain) = sealer.chain().filter(|chain| chain.epoch() > flash.chain.epoch()) {
    ///         flash.chain = chain.clone(); // ... second ...
    ///     }
    ///     transmit(&radio[..len]); // ... third
    /// }
    /// assert_eq!((flash.next_nonce, flash.chain.epoch()), (18, 1));
    /// # Ok::<(), SealError>(())
    /// ```
    pub fn ratcheted(
        format: impl Into<PacketFormat>,
        bits: RatchetBits,
        mut chain: Chain,
        next_nonce: Nonce,
    ) -> Option<Self> {
        let format = format.into();
        let of_counters = format.scheme.for_nonces(NonceKind::Counter);
        of_counters.filter(|of_counters| *of_counters == format.scheme)?;
        let next_nonce = next_nonce.max(bits.nonces_of(chain.epoch()).start);
        chain.advance_to(bits.epoch_of(next_nonce));
        let sealer = Self::new(format, &chain.hint_key(), chain.packet_key(), next_nonce);
        Some(Self { ratchet: Some((bits, chain)), ..sealer })
    }

    /// The chain of the epoch that the sealer has reached; `None` if its keys do not change.
    pub const fn chain(&self) -> Option<&Chain> {
        match &self.ratchet {
            Some((_, chain)) => Some(chain),
            None => None,
        }
    }

    /// Moves to the keys of `nonce`, and wipes those of the epochs before.
    fn move_to_epoch_of(&mut self, nonce: Nonce) {
        if let Some((bits, chain)) = &mut self.ratchet
            && chain.epoch() < bits.epoch_of(nonce)
        {
            chain.advance_to(bits.epoch_of(nonce));
            self.hints = HintCipher::new(self.format.scheme, &chain.hint_key());
            self.key = chain.packet_key();
        }
    }

    /// The lowest nonce that no packet has used: what [`seal`](Self::seal) takes
    /// next, and what the device must have stored before it sleeps.
    pub const fn next_nonce(&self) -> Nonce {
        self.next_nonce
    }

    /// The nonce for a packet that is sent when the device's clock shows `clock_s`,
    /// in seconds since 1970-01-01. It spends nothing: store the nonce plus one,
    /// then pass the nonce to [`seal_at`](Self::seal_at).
    ///
    /// The nonce is the first of the clock's day or step, or
    /// [`next_nonce`](Self::next_nonce) if that is higher. So a second packet within
    /// a step takes the number of a future step, and a clock that was set back
    /// repeats nothing. A counter ignores the clock.
    ///
    /// # Errors
    /// [`SealError::NoncesUsedUp`] past the last nonce of the kind.
    /// [`SealError::DayUsedUp`] when all nonces up to the end of a day are used and
    /// the clock does not show a later day.
    pub fn nonce_at(&self, clock_s: u64) -> Result<Nonce, SealError> {
        let unit = match self.kind.unit_s() {
            0 => 0,
            unit_s => clock_s / u64::from(unit_s),
        };
        let nonce = self.kind.first_of(unit).max(self.next_nonce);
        if nonce > self.kind.max_nonce() {
            return Err(SealError::NoncesUsedUp);
        }
        // At the first nonce of a later day, the counter of the day before has run over.
        let day = self.kind.unit_of(nonce);
        if matches!(self.kind, NonceKind::DayCounter)
            && day > unit
            && nonce == self.kind.first_of(day)
        {
            return Err(SealError::DayUsedUp { day: day - 1 });
        }
        Ok(nonce)
    }

    /// The length in bytes of the packet around a payload of `payload_len_bytes`.
    pub const fn packet_len_bytes(&self, payload_len_bytes: usize) -> usize {
        self.format.overhead_bytes() + payload_len_bytes
    }

    /// Seals `payload` under [`next_nonce`](Self::next_nonce) into the head of
    /// `out` and returns the length of the packet.
    ///
    /// A day's counter stops at its end: which day comes next, only the device's
    /// clock can say ([`nonce_at`](Self::nonce_at)).
    ///
    /// # Errors
    /// [`SealError`] when `out` is too short or the nonces, or those of the day,
    /// are used up. No nonce is spent then.
    // Inlined, like what it calls, so that the suite is a constant there: a linker then drops the
    // other suites (docs/results/firmware.md).
    #[inline(always)]
    pub fn seal(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        if self.day_used_up {
            return Err(SealError::DayUsedUp { day: self.kind.unit_of(self.next_nonce - 1) });
        }
        self.seal_at(self.next_nonce, payload, out)
    }

    /// Seals `payload` under `nonce` into the head of `out` and returns the length
    /// of the packet. The nonces below `nonce` are given up.
    ///
    /// Store `nonce + 1` before the call, and send the packet after it.
    ///
    /// # Errors
    /// Those of [`seal_with`](Self::seal_with).
    #[inline(always)]
    pub fn seal_at(
        &mut self,
        nonce: Nonce,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        self.seal_with(nonce, payload, AssociatedData::EMPTY, out)
    }

    /// [`seal_at`](Self::seal_at) with associated data: the station opens the packet only
    /// with the same.
    ///
    /// # Errors
    /// [`SealError::NonceUsed`] when `nonce` is below
    /// [`next_nonce`](Self::next_nonce), [`SealError::NoncesUsedUp`] when it is
    /// above the scheme's last nonce, [`SealError::BufferTooShort`] when `out`
    /// cannot hold the packet, [`SealError::PayloadTooLong`] and
    /// [`SealError::NoAssociatedData`] when the suite cannot seal this. No nonce is
    /// spent then.
    #[inline(always)]
    pub fn seal_with(
        &mut self,
        nonce: Nonce,
        payload: &[u8],
        associated_data: AssociatedData<'_>,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        if nonce < self.next_nonce {
            return Err(SealError::NonceUsed { nonce, next_nonce: self.next_nonce });
        }
        let PacketFormat { scheme, suite } = self.format;
        if !self.format.is_defined() {
            return Err(SealError::NoSuchFormat { format: self.format });
        }
        if !associated_data.is_empty() && !suite.takes_associated_data() {
            return Err(SealError::NoAssociatedData { suite });
        }
        let max_bytes = suite.max_payload_len_bytes();
        let too_long = SealError::PayloadTooLong { max_bytes };
        if payload.len() > max_bytes {
            return Err(too_long);
        }
        if nonce > scheme.max_nonce() {
            return Err(SealError::NoncesUsedUp);
        }
        let needed_bytes = self.packet_len_bytes(payload.len());
        let too_short = SealError::BufferTooShort { needed_bytes };

        let packet = out.get_mut(..needed_bytes).ok_or(too_short)?;
        let head_len_bytes = self.format.head_len_bytes();
        let (head, body) = packet.split_at_mut_checked(head_len_bytes).ok_or(too_short)?;
        let (sent, rest) = head.split_at_mut_checked(scheme.len_bytes()).ok_or(too_short)?;
        // Every error was returned above: a packet that is not sealed moves no chain.
        self.move_to_epoch_of(nonce);
        let hint = self.hints.hint(nonce).ok_or(SealError::NoncesUsedUp)?;
        sent.iter_mut().zip(hint.as_bytes()).for_each(|(to, from)| *to = *from);
        // A branch of its own: a linker drops the rest of a scheme that the firmware does not name.
        if scheme.rest_len_bytes() > 0 {
            rest.fill(carry::rest(&self.key, sent, nonce));
        }
        let binding = Binding { hint: head, nonce, associated_data };
        // Lengths and associated data were checked, so the suite refuses nothing.
        body::seal(suite, &self.key, binding, payload, body).map_err(|_| too_long)?;

        // A nonce that has a hint is below `Nonce::MAX`.
        self.next_nonce = nonce + 1;
        self.day_used_up = matches!(self.kind, NonceKind::DayCounter)
            && self.kind.unit_of(self.next_nonce) > self.kind.unit_of(nonce);
        Ok(needed_bytes)
    }
}
