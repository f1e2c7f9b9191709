//! What the paths work on: the same fleet, hints and packets every time.

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
    let mut state = 1;
    let mut key = || {
        let mut bytes = [0; 16];
        let (first, last) = bytes.split_at_mut(8);
        first.copy_from_slice(&next(&mut state).to_le_bytes());
        last.copy_from_slice(&next(&mut state).to_le_bytes());
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

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014).
pub const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The next number below `end`.
pub fn below(state: &mut u64, end: u32) -> u32 {
    u32::try_from((u128::from(next(state)) * u128::from(end)) >> 64).unwrap_or(0)
}
