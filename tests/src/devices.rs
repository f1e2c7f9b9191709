//! Devices that send packets: the other side of the air.

use hintdex_wire::{
    Derivation, DeviceId, HintKey, HintScheme, KeyId, KeySource, MasterKey, Nonce, PacketFormat,
    PacketKey, RatchetBits, Sealer, Suite,
};

use crate::Random;
use crate::capture::Capture;

/// All devices under one master key.
#[derive(Clone, Debug)]
pub struct Devices {
    keys: MasterKey,
    scheme: HintScheme,
    suite: Suite,
    /// The length of a key epoch, where keys move on with the nonces.
    ratchet: Option<RatchetBits>,
}

impl Devices {
    /// The devices of a master secret, with hints of 16 bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        let (scheme, suite) = (HintScheme::Aes128, Suite::AesCtrHmac);
        Self { keys: MasterKey::new(secret), scheme, suite, ratchet: None }
    }

    /// The same devices with other hints.
    pub fn hinting(self, scheme: HintScheme) -> Self {
        Self { scheme, ..self }
    }

    /// The same devices with packets of another suite.
    pub fn sealing(self, suite: Suite) -> Self {
        Self { suite, ..self }
    }

    /// The same devices with keys that move on after 2^`bits` nonces.
    pub fn ratcheted(self, bits: u8) -> Self {
        Self { ratchet: RatchetBits::new(bits), ..self }
    }

    /// Where the part of a packet begins whose damage leaves its hint whole.
    pub const fn behind_the_hint_bits(&self) -> usize {
        self.scheme.len_bytes() * 8
    }

    /// The length of the shortest packet in bytes.
    pub const fn least_packet_len_bytes(&self) -> usize {
        PacketFormat { scheme: self.scheme, suite: self.suite }.overhead_bytes()
    }

    /// The devices of the capture's master key.
    pub fn of_capture() -> Self {
        let mut secret = [0; 32];
        hex::decode_to_slice(Capture::master_key_hex(), &mut secret).expect("64 hex digits");
        Self::new(&secret)
    }

    /// The same devices with keys that are derived with HKDF.
    pub fn of_capture_by_hkdf() -> Self {
        let mut secret = [0; 32];
        hex::decode_to_slice(Capture::master_key_hex(), &mut secret).expect("64 hex digits");
        let keys = MasterKey::with_derivation(&secret, Derivation::Hkdf);
        Self { keys, ..Self::of_capture() }
    }

    /// The packet that `device` sends under `nonce` and its first key.
    pub fn packet(&self, device: u32, nonce: Nonce, payload: &[u8]) -> Vec<u8> {
        self.packet_under(KeyId::first(DeviceId(device)), nonce, payload)
    }

    /// The packet that a device sends under `nonce` and any of its derived keys.
    pub fn packet_under(&self, id: KeyId, nonce: Nonce, payload: &[u8]) -> Vec<u8> {
        let (hint_key, packet_key): (HintKey, PacketKey) = match self.ratchet {
            None => (
                self.keys.hint_key(id).expect("every device has keys"),
                self.keys.packet_key(id).expect("every device has keys"),
            ),
            Some(bits) => {
                let chain = self.keys.chain(id, bits.epoch_of(nonce)).expect("it is derived");
                (chain.hint_key(), chain.packet_key())
            }
        };
        let format = PacketFormat { scheme: self.scheme, suite: self.suite };
        let mut sealer = Sealer::new(format, &hint_key, packet_key, nonce);
        let mut packet = vec![0; sealer.packet_len_bytes(payload.len())];
        sealer.seal(payload, &mut packet).expect("the buffer fits");
        packet
    }

    /// The same in hex, with a line end.
    pub fn line(&self, device: u32, nonce: Nonce, payload: &[u8]) -> String {
        let mut line = hex::encode(self.packet(device, nonce, payload));
        line.push('\n');
        line
    }

    /// The same with the time of its reception behind it, in seconds since 1970.
    pub fn line_at(&self, unix_s: u64, device: u32, nonce: Nonce, payload: &[u8]) -> String {
        format!("{} {unix_s}\n", hex::encode(self.packet(device, nonce, payload)))
    }

    /// Hex of keys that nobody may ever see: of the devices `0..count`.
    pub fn secrets(&self, count: u32) -> Vec<[u8; 16]> {
        let of_device = |device| {
            let id = KeyId::first(DeviceId(device));
            *self.keys.hint_key(id).expect("every device has keys").expose()
        };
        (0..count).map(of_device).collect()
    }
}

/// A payload that says who sent it.
pub fn payload(device: u32, nonce: Nonce) -> Vec<u8> {
    let mut payload = device.to_be_bytes().to_vec();
    payload.extend(nonce.to_be_bytes());
    payload.truncate(usize::try_from(nonce % 13).unwrap_or(0));
    payload
}

/// A packet with one bit of its tag, ciphertext or hint turned.
pub fn damaged(mut packet: Vec<u8>, at_bit: usize) -> Vec<u8> {
    let bit = at_bit % (packet.len() * 8);
    if let Some(byte) = packet.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    packet
}

/// The keys of a device that brings its own, which nothing derives: its hint key and the
/// key its packets are sealed under.
pub fn own_keys(device: u32) -> ([u8; 16], [u8; 32]) {
    let bytes = Random::new(u64::from(device) ^ 0x6b65_7973).bytes(48);
    let (hint_key, dev_key) = bytes.split_at(16);
    (hint_key.try_into().expect("16 bytes"), dev_key.try_into().expect("32 bytes"))
}

/// The packet that such a device sends under `nonce`: its id is the payload.
pub fn own_packet(device: u32, nonce: Nonce) -> Vec<u8> {
    packet_by(own_keys(device), nonce, &device.to_be_bytes())
}

/// A later key of a device that brings its own: one for each `number`.
pub fn later_own_keys(device: u32, number: u16) -> ([u8; 16], [u8; 32]) {
    own_keys(device ^ (u32::from(number) + 1) << 20)
}

/// The packet under `nonce` and these keys, with hints of 16 bytes.
pub fn packet_by(
    (hint_key, dev_key): ([u8; 16], [u8; 32]),
    nonce: Nonce,
    payload: &[u8],
) -> Vec<u8> {
    let packet_key = PacketKey::from_bytes(dev_key);
    let hint_key = HintKey::from_bytes(hint_key);
    let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, nonce);
    let mut packet = vec![0; sealer.packet_len_bytes(payload.len())];
    sealer.seal(payload, &mut packet).expect("the buffer fits");
    packet
}
