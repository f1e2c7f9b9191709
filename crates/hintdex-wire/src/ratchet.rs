//! The ratchet: keys that move one way with a device's nonces.
//!
//! A *key epoch* is a span of 2^E nonces. Each epoch has a chain key, from which the keys of the
//! epoch and the next chain key follow. Nothing leads back: whoever opens a device reads the keys
//! of the present epoch and of later ones, and no packet of a past epoch.

use core::fmt;
use core::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Nonce;
use crate::mac::{self, Derived};

/// The length of a key epoch: 2^bits nonces, with 1 to 24 bits.
///
/// ```
/// use hintdex_wire::RatchetBits;
///
/// let bits = RatchetBits::new(4).unwrap();
/// assert_eq!((bits.epoch_of(15), bits.epoch_of(16)), (0, 1));
/// // A run of nonces that reaches over the end of an epoch is under two keys.
/// let cut: Vec<_> = bits.cut(14..18).collect();
/// assert_eq!(cut, [(0, 14..16), (1, 16..18)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatchetBits(u8);

impl RatchetBits {
    /// The most bits: an epoch of 16,777,216 nonces.
    pub const MAX: Self = Self(24);

    /// Epochs of 2^`bits` nonces; `None` unless `bits` is 1 to 24.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 1 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The number of bits: what files and the command line hold.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The nonces of an epoch.
    pub const fn epoch_nonces(self) -> u64 {
        1 << self.0
    }

    /// The key epoch of `nonce`. Counters end below 2³², so every counter has one.
    #[expect(clippy::cast_possible_truncation, reason = "a counter has 32 bits at most")]
    pub const fn epoch_of(self, nonce: Nonce) -> u32 {
        let epoch = nonce >> self.0;
        if epoch > u32::MAX as u64 { u32::MAX } else { epoch as u32 }
    }

    /// The nonces of `epoch`.
    pub const fn nonces_of(self, epoch: u32) -> Range<Nonce> {
        let first = (epoch as u64) << self.0;
        first..first + self.epoch_nonces()
    }

    /// Cuts `nonces` at the ends of epochs: each part with its epoch, in order. An empty run has
    /// no part.
    pub fn cut(self, nonces: Range<Nonce>) -> impl Iterator<Item = (u32, Range<Nonce>)> {
        let mut rest = nonces;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let epoch = self.epoch_of(rest.start);
            let end = self.nonces_of(epoch).end.min(rest.end);
            let part = rest.start..end;
            rest.start = end;
            Some((epoch, part))
        })
    }
}

impl fmt::Display for RatchetBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A device's chain in one epoch: the keys of the epoch and of all later ones follow from it.
/// Zeroized on drop, redacted in `Debug`.
///
/// ```text
/// chain_0     = HMAC(master, "ratchet:" ‖ device_id_be4), or 32 random bytes
/// chain_(i+1) = HMAC(chain_i, "hintdex-ratchet-next")
/// dev_key_i   = HMAC(chain_i, "dev_key")
/// hint_key_i  = HMAC(chain_i, "nhint_key")[..16]
/// ```
///
/// HMAC is HMAC-SHA256 (FIPS 198-1). Each line takes four compressions: 0.2 µs with SHA-NI.
///
/// ```
/// use hintdex_wire::{Chain, DeviceId, KeyId, MasterKey};
///
/// let mut chain = MasterKey::new(&[7; 32]).first_chain(KeyId::first(DeviceId(42)));
/// let before = chain.hint_key();
/// chain.advance();
/// assert_eq!(chain.epoch(), 1);
/// assert_ne!(chain.hint_key().expose(), before.expose());
/// // There is no way back.
/// assert!(!chain.advance_to(0));
/// ```
#[derive(Clone)]
pub struct Chain {
    epoch: u32,
    key: Derived,
}

impl Chain {
    pub(crate) const fn new(epoch: u32, key: Derived) -> Self {
        Self { epoch, key }
    }

    /// Copies a chain key straight from where it is stored into memory that is zeroized on drop.
    pub fn copy_of(epoch: u32, key: &[u8; 32]) -> Self {
        let mut chain = Self::new(epoch, Derived::default());
        chain.key.copy_from_slice(key);
        chain
    }

    /// The epoch of the chain.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The bytes of the chain key. Code that copies them zeroizes the copy.
    pub fn expose(&self) -> &[u8; 32] {
        &self.key
    }

    /// Moves to the next epoch, over the present chain key: nothing of it is left. The last epoch
    /// has no next one, and its chain stays.
    pub fn advance(&mut self) {
        if let Some(next) = self.epoch.checked_add(1) {
            mac::finish_into(mac::keyed(&*self.key), &[b"hintdex-ratchet-next"], &mut self.key);
            self.epoch = next;
        }
    }

    /// Moves to `epoch`; returns false, and moves nowhere, if that epoch lies behind.
    pub fn advance_to(&mut self, epoch: u32) -> bool {
        while self.epoch < epoch {
            self.advance();
        }
        self.epoch == epoch
    }

    /// A value that follows from the chain key and `label`.
    pub(crate) fn derive(&self, label: &[u8], out: &mut Derived) {
        mac::finish_into(mac::keyed(&*self.key), &[label], out);
    }
}

impl Zeroize for Chain {
    fn zeroize(&mut self) {
        self.key.zeroize();
    }
}

impl ZeroizeOnDrop for Chain {}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain(epoch {}, [redacted])", self.epoch)
    }
}
