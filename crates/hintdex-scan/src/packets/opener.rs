//! The opener: groups of packets, one after the other.

use hintdex_wire::PacketFormat;

use super::group::Group;
use super::sealed::{SealedPacket, is_usual};
use crate::backend::sha256::{LANES, Sixteen};
use crate::{Backend, BackendError, PairCipher};

/// Opens packets of the suite [`AesCtrHmac`](hintdex_wire::Suite::AesCtrHmac), sixteen at a time where the processor has
/// AVX-512.
///
/// Opens exactly what [`PacketKey::open`](hintdex_wire::PacketKey::open) opens. Tags are compared in constant time. Keys in its buffers are
/// zeroized at the end of each call; what the compiler spills of them to the stack is not.
///
/// ```
/// use hintdex_scan::{OpeningKey, PacketOpener, SealedPacket};
/// use hintdex_wire::{DeviceId, HintScheme, KeyId, KeySource, MasterKey, Packet, Sealer};
///
/// let (master, scheme) = (MasterKey::new(&[7; 32]), HintScheme::Aes128);
/// let sealed = |device| {
///     let key = KeyId::first(DeviceId(device));
///     let (hint_key, packet_key) = (master.hint_key(key).unwrap(), master.packet_key(key).unwrap());
///     let mut radio = [0; 64];
///     let len = Sealer::new(scheme, &hint_key, packet_key, 5).seal(b"21.5 C", &mut radio).unwrap();
///     radio[..len].to_vec()
/// };
/// let radio: Vec<Vec<u8>> = (0..100).map(sealed).collect();
///
/// // The key of packet 7 is that of another device.
/// let key = |at: usize| KeyId::first(DeviceId(if at == 7 { 8 } else { at as u32 }));
/// let packet = |(at, radio)| SealedPacket {
///     packet: Packet::parse(scheme, radio).unwrap(),
///     nonce: 5,
///     key: OpeningKey::Derived(master.packet_key_derivation(key(at)).unwrap()),
/// };
/// let packets: Vec<SealedPacket> = radio.iter().map(Vec::as_slice).enumerate().map(packet).collect();
/// let payloads = PacketOpener::new().open(&packets);
/// assert_eq!(payloads[6].as_deref(), Some(&b"21.5 C"[..]));
/// assert_eq!(payloads[7], None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PacketOpener {
    /// `None` selects the `sha2` crate.
    sixteen: Option<Sixteen>,
    cipher: PairCipher,
}

impl PacketOpener {
    /// The number of packets that are opened side by side.
    pub const PACKETS_PER_GROUP: usize = LANES;

    /// The opener with the best back end of this processor.
    pub fn new() -> Self {
        Self { sixteen: Sixteen::detect(), cipher: PairCipher::new() }
    }

    /// The opener with `backend`: for tests and benches. Only [`Backend::Avx512`] computes several tags at a
    /// time; the others differ in the cipher.
    ///
    /// # Errors
    /// [`BackendError`] when the processor does not have `backend`.
    pub fn with_backend(backend: Backend) -> Result<Self, BackendError> {
        let cipher = PairCipher::with_backend(backend)?;
        let sixteen = if backend == Backend::Avx512 { Sixteen::detect() } else { None };
        Ok(Self { sixteen, cipher })
    }

    /// Whether packets of this format are opened many at a time.
    pub const fn is_for(format: PacketFormat) -> bool {
        is_usual(format)
    }

    /// Opens each packet. Returns the payload of each that is authentic, in their order.
    ///
    /// Packets that it is not [for](Self::is_for) are opened one by one.
    pub fn open(&self, packets: &[SealedPacket<'_>]) -> Vec<Option<Vec<u8>>> {
        let mut payloads = Vec::with_capacity(packets.len());
        let mut group = Group::new();
        for packets in packets.chunks(LANES) {
            group.open(self.sixteen, &self.cipher, packets, &mut payloads);
        }
        payloads
    }
}

impl Default for PacketOpener {
    fn default() -> Self {
        Self::new()
    }
}
