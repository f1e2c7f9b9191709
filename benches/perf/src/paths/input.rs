//! What the paths work on: the same fleet, hints and packets every time.

use hintdex_host::SplitMix64;
use hintdex_wire::{
    DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, PacketKey, Sealer,
};

use crate::Failure;

/// The fleet's secret: anything, but always the same.
pub fn keys() -> MasterKey {
    MasterKey::new(&[0x5a; 32])
}

/// The hint key of a device.
pub fn hint_key(device: u32) -> Result<HintKey, Failure> {
    keys().hint_key(KeyId::first(DeviceId(device))).ok_or_else(|| "no hint key".into())
}

/// The packet key of a device.
pub fn packet_key(device: u32) -> Result<PacketKey, Failure> {
    keys().packet_key(KeyId::first(DeviceId(device))).ok_or_else(|| "no packet key".into())
}

/// Hint keys of any fleet: a derivation each would take longer than a path.
pub fn quick_hint_keys(count: u32) -> Vec<HintKey> {
    let mut random = SplitMix64::new(1);
    let mut key = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        HintKey::from_bytes(bytes)
    };
    (0..count).map(|_| key()).collect()
}

/// A hint of `key`.
pub fn hint(scheme: HintScheme, key: &HintKey, nonce: u64) -> Result<Hint, Failure> {
    HintCipher::new(scheme, key).hint(nonce).ok_or_else(|| "a nonce past the last".into())
}

/// `count` packets of device 7 with 20 bytes each.
pub fn packets(count: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key(7)?, packet_key(7)?, 0);
    let mut packets = Vec::new();
    for _ in 0..count {
        let mut packet = vec![0; 64];
        let len = sealer.seal(b"twenty bytes of load", &mut packet)?;
        packet.truncate(len);
        packets.push(packet);
    }
    Ok(packets)
}
