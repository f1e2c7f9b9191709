//! Packets without a hint: the device agrees on a key with the station for each packet, and the
//! packet carries its device id encrypted.
//!
//! Nothing of the station's secrets is in such a device, and an index is not needed. A packet is
//! larger, and the station pays a scalar multiplication for every packet, garbage included.
//!
//! ```text
//! x25519:      E(32) ‖ ciphertext(id_be4 ‖ payload) ‖ tag(8)
//! x25519-seq:  E(32) ‖ ciphertext(id_be4 ‖ nonce_be4 ‖ payload ‖ tag(8))
//! K = BLAKE2b-512(X25519(e, S) ‖ E ‖ S)[..32]
//! ```
//!
//! `E` is the ephemeral point of the packet and `S` the station's point (RFC 7748). The cipher is
//! AES-128-CTR under `K[..16]`, from a counter block of zeros. The tag is the head of an
//! HMAC-SHA256 under the MAC key of the device, over K and the ciphertext, or over K and what is
//! encrypted in front of the tag.

use aes::Aes128;
use aes::cipher::KeyIvInit;
use blake2::digest::FixedOutput;
use blake2::{Blake2b512, Digest};
use core::fmt;
use ctr::Ctr128BE;
use ctr::cipher::StreamCipher;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use crate::tag::Tag;
use crate::{DeviceId, MacKey, Nonce, PacketError, SealError, TAG_LEN_BYTES};

/// The length of a point in bytes.
const POINT_LEN_BYTES: usize = 32;

/// Which packet a device sends.
///
/// See the example of [`EphemeralPacket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EphemeralSuite {
    /// `x25519`: no nonce. A station recognizes a repeat only while it stores the point.
    X25519,
    /// `x25519-seq`: a nonce in each packet, for a replay window.
    X25519Seq,
}

impl EphemeralSuite {
    /// Both suites.
    pub const ALL: [Self; 2] = [Self::X25519, Self::X25519Seq];

    /// The name of this suite.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::X25519Seq => "x25519-seq",
        }
    }

    /// The length of a packet beyond its payload, in bytes: 44 or 48.
    pub const fn overhead_bytes(self) -> usize {
        POINT_LEN_BYTES + self.inner_len_bytes() + TAG_LEN_BYTES
    }

    /// The length in bytes of what is encrypted in front of the payload: the id, and the nonce.
    const fn inner_len_bytes(self) -> usize {
        match self {
            Self::X25519 => 4,
            Self::X25519Seq => 8,
        }
    }
}

/// The point of a station, which its devices know. It is no secret.
///
/// See the example of [`EphemeralPacket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationPoint(pub [u8; POINT_LEN_BYTES]);

/// The secret of a station behind its [`StationPoint`]. Zeroized on drop, redacted in `Debug`.
///
/// See the example of [`EphemeralPacket`].
#[derive(Clone)]
pub struct StationSecret {
    secret: StaticSecret,
    point: StationPoint,
}

impl StationSecret {
    /// Takes 32 random bytes. Costs a scalar multiplication.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*secret);
        let point = StationPoint(PublicKey::from(&secret).to_bytes());
        Self { secret, point }
    }

    /// The point for the devices.
    pub const fn point(&self) -> &StationPoint {
        &self.point
    }

    /// Agrees on the key of a packet and decrypts who claims to have sent it. Costs a scalar
    /// multiplication: 0.05 to 0.1 ms.
    ///
    /// `None` if the ephemeral point has a small order: then the key would not depend on the
    /// station's secret (RFC 7748, section 6.1).
    pub fn agree<'p>(&self, packet: &EphemeralPacket<'p>) -> Option<Agreed<'p>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*packet.point));
        let key = PairKey::new(&shared, packet.point, &self.point)?;
        let mut inner = [0; 8];
        let inner = inner.get_mut(..packet.suite.inner_len_bytes())?;
        inner.copy_from_slice(packet.sealed.get(..inner.len())?);
        key.cipher().apply_keystream(inner);
        let device = DeviceId(u32::from_be_bytes(*inner.first_chunk()?));
        let nonce = (inner.len() > 4).then(|| inner.last_chunk().copied().map(u32::from_be_bytes));
        Some(Agreed { packet: *packet, key, device, nonce: nonce.flatten().map(Nonce::from) })
    }
}

impl fmt::Debug for StationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StationSecret([redacted])")
    }
}

/// A packet of an ephemeral point, split and not yet authenticated.
///
/// ```
/// use hintdex_wire::{
///     Agreed, DeviceId, EphemeralPacket, EphemeralSealer, EphemeralSuite, KeyId, MacKey, MasterKey,
///     StationPoint, StationSecret,
/// };
///
/// let (master, station) = (MasterKey::new(&[7; 32]), StationSecret::new(&[9; 32]));
/// let (suite, device) = (EphemeralSuite::X25519Seq, DeviceId(42));
/// let mac_key = || -> MacKey { master.mac_key(KeyId::first(device)) };
/// let point: StationPoint = *station.point();
///
/// // On the device, for each packet: 32 bytes from a good source of random numbers.
/// let mut sealer = EphemeralSealer::new(suite, device, point, mac_key(), 5);
/// let (random, mut radio) = ([3; 32], [0; 80]);
/// let len = sealer.seal(&random, b"21.5 C", &mut radio).unwrap();
///
/// let packet = EphemeralPacket::parse(suite, &radio[..len]).unwrap();
/// let agreed: Agreed<'_> = station.agree(&packet).unwrap();
/// assert_eq!((agreed.device(), agreed.nonce()), (device, Some(5)));
/// let mut payload = [0; 40];
/// assert_eq!(agreed.open(&mac_key(), &mut payload), Some(&b"21.5 C"[..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EphemeralPacket<'a> {
    suite: EphemeralSuite,
    point: &'a [u8; POINT_LEN_BYTES],
    /// What follows the point.
    sealed: &'a [u8],
}

impl<'a> EphemeralPacket<'a> {
    /// Splits `bytes` into point and rest.
    ///
    /// # Errors
    /// [`PacketError`] when `bytes` are too few for an empty payload.
    pub fn parse(suite: EphemeralSuite, bytes: &'a [u8]) -> Result<Self, PacketError> {
        let least_bytes = suite.overhead_bytes();
        let too_short = PacketError { len_bytes: bytes.len(), least_bytes };
        let (point, sealed) = bytes.split_first_chunk().ok_or(too_short)?;
        if bytes.len() < least_bytes {
            return Err(too_short);
        }
        Ok(Self { suite, point, sealed })
    }

    /// The ephemeral point, which a station stores to recognize a repeated packet.
    pub const fn point(&self) -> &[u8; 32] {
        self.point
    }

    /// The length of the payload in bytes.
    pub const fn payload_len_bytes(&self) -> usize {
        self.sealed.len() + POINT_LEN_BYTES - self.suite.overhead_bytes()
    }
}

/// A packet whose key is known, and who claims to have sent it. Only [`open`](Self::open) shows
/// whether the claim is true.
///
/// See the example of [`EphemeralPacket`].
pub struct Agreed<'p> {
    packet: EphemeralPacket<'p>,
    key: PairKey,
    device: DeviceId,
    nonce: Option<Nonce>,
}

impl Agreed<'_> {
    /// The device that claims to have sent the packet.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The nonce that the packet claims; `None` for [`EphemeralSuite::X25519`].
    pub const fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }

    /// Verifies the tag under the MAC key of the claimed device and decrypts the payload into the
    /// head of `out`.
    ///
    /// `None` if the packet is not authentic, or if `out` is shorter than the
    /// [payload](EphemeralPacket::payload_len_bytes). Tags are compared in constant time, and
    /// `out` holds no part of a payload that is not authentic.
    pub fn open<'o>(&self, mac_key: &MacKey, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let EphemeralPacket { suite, sealed, .. } = self.packet;
        let payload = out.get_mut(..self.packet.payload_len_bytes())?;
        let (covered, tag) = sealed.split_last_chunk::<TAG_LEN_BYTES>()?;
        let (inner, text) = covered.split_at_checked(suite.inner_len_bytes())?;
        let mut head = [0; 8];
        let head = head.get_mut(..inner.len())?;
        head.copy_from_slice(inner);
        payload.copy_from_slice(text);
        let (mut sent, mut cipher) = (*tag, self.key.cipher());
        cipher.apply_keystream(head);
        cipher.apply_keystream(payload);
        let made = match suite {
            EphemeralSuite::X25519 => Tag::of(mac_key.expose(), &[&*self.key.0, covered]),
            EphemeralSuite::X25519Seq => {
                cipher.apply_keystream(&mut sent);
                Tag::of(mac_key.expose(), &[&*self.key.0, head, payload])
            }
        };
        if made.is(&sent) {
            return Some(payload);
        }
        payload.fill(0);
        None
    }
}

impl fmt::Debug for Agreed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The key of one packet: zeroized on drop.
struct PairKey(Zeroizing<[u8; 32]>);

impl PairKey {
    /// `None` if the shared secret is zero.
    fn new(shared: &SharedSecret, point: &[u8; 32], station: &StationPoint) -> Option<Self> {
        if !shared.was_contributory() {
            return None;
        }
        let mut full = Zeroizing::new([0; 64]);
        let hash = Blake2b512::new().chain_update(shared.as_bytes()).chain_update(point);
        FixedOutput::finalize_into(hash.chain_update(station.0), (&mut *full).into());
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(full.get(..32)?);
        Some(Self(key))
    }

    fn cipher(&self) -> Ctr128BE<Aes128> {
        let (key, _) = self.0.split_at(16);
        let mut first = Zeroizing::new([0; 16]);
        first.copy_from_slice(key);
        Ctr128BE::new((&*first).into(), &[0; 16].into())
    }
}

/// Seals payloads under an ephemeral point each: the device's side, for firmware.
///
/// Each packet needs 32 bytes that nobody can predict or repeat. A device without a good source
/// of random numbers must not use this: a repeated ephemeral secret reveals the xor of two
/// payloads. With [`EphemeralSuite::X25519Seq`], the rules of [`Sealer`](crate::Sealer) for storing
/// the next nonce hold.
///
/// See the example of [`EphemeralPacket`].
#[derive(Debug)]
pub struct EphemeralSealer {
    suite: EphemeralSuite,
    device: DeviceId,
    station: StationPoint,
    mac_key: MacKey,
    next_nonce: Nonce,
}

impl EphemeralSealer {
    /// A sealer of a device for its station, whose first packet carries `next_nonce`.
    /// [`EphemeralSuite::X25519`] has no nonces and ignores it.
    pub const fn new(
        suite: EphemeralSuite,
        device: DeviceId,
        station: StationPoint,
        mac_key: MacKey,
        next_nonce: Nonce,
    ) -> Self {
        Self { suite, device, station, mac_key, next_nonce }
    }

    /// The nonce of the next packet, which the device stores before it sends this one.
    pub const fn next_nonce(&self) -> Nonce {
        self.next_nonce
    }

    /// Seals `payload` into the head of `out` under the point of `random` and returns the length
    /// of the packet. Costs two scalar multiplications.
    ///
    /// # Errors
    /// [`SealError::BufferTooShort`] when `out` cannot hold the packet,
    /// [`SealError::NoncesUsedUp`] when the nonces are used up, and [`SealError::WeakPoint`] when
    /// the station's point has a small order. No nonce is spent then.
    pub fn seal(
        &mut self,
        random: &[u8; 32],
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let needed_bytes = self.suite.overhead_bytes() + payload.len();
        let too_short = SealError::BufferTooShort { needed_bytes };
        let packet = out.get_mut(..needed_bytes).ok_or(too_short)?;
        let nonce = match self.suite {
            EphemeralSuite::X25519 => 0,
            EphemeralSuite::X25519Seq => {
                u32::try_from(self.next_nonce).map_err(|_| SealError::NoncesUsedUp)?
            }
        };
        let secret = StaticSecret::from(*random);
        let point = PublicKey::from(&secret).to_bytes();
        let shared = secret.diffie_hellman(&PublicKey::from(self.station.0));
        let key = PairKey::new(&shared, &point, &self.station).ok_or(SealError::WeakPoint)?;

        let (head, sealed) = packet.split_first_chunk_mut().ok_or(too_short)?;
        *head = point;
        let (body, tag) = sealed.split_last_chunk_mut::<TAG_LEN_BYTES>().ok_or(too_short)?;
        let inner = self.device.0.to_be_bytes().into_iter().chain(nonce.to_be_bytes());
        let inner = inner.take(self.suite.inner_len_bytes()).chain(payload.iter().copied());
        body.iter_mut().zip(inner).for_each(|(to, from)| *to = from);
        let mut cipher = key.cipher();
        match self.suite {
            EphemeralSuite::X25519 => {
                cipher.apply_keystream(body);
                Tag::of(self.mac_key.expose(), &[&*key.0, body]).write(tag);
            }
            EphemeralSuite::X25519Seq => {
                Tag::of(self.mac_key.expose(), &[&*key.0, body]).write(tag);
                cipher.apply_keystream(body);
                cipher.apply_keystream(tag);
                self.next_nonce += 1;
            }
        }
        Ok(needed_bytes)
    }
}
