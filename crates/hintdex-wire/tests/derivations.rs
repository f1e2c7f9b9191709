//! Keys by the parts of their derivation: those that the key source returns.

use hintdex_wire::{AssociatedData, HintKey, HintScheme, Packet, Sealer};
use hintdex_wire::{
    Derivation, DeviceId, KeyDerivation, KeyId, KeySource, MasterKey, PacketKey, SHA256_INITIAL,
};
use proptest::prelude::*;
use sha2::block_api::compress256;

/// The HMAC of a padded message of one block.
fn hmac(derivation: &KeyDerivation<'_>) -> [u8; 32] {
    let bytes =
        |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    let block = |bytes: Vec<u8>| <[u8; 64]>::try_from(bytes).unwrap_or([0; 64]);
    let mut inner = *derivation.state.inner();
    compress256(&mut inner, &[block(bytes(&derivation.message))]);
    let padding = [0x8000_0000, 0, 0, 0, 0, 0, 0, 96 * 8];
    let mut outer = *derivation.state.outer();
    compress256(&mut outer, &[block(bytes(&[inner, padding].concat()))]);
    bytes(&outer).try_into().unwrap_or([0; 32])
}

proptest! {
    #[test]
    fn a_derivation_in_parts_gives_the_packet_key(
        secret: [u8; 32],
        device: u32,
        generation: u16,
        is_hkdf: bool,
    ) {
        let derivation = if is_hkdf { Derivation::Hkdf } else { Derivation::Hmac };
        let master = MasterKey::with_derivation(&secret, derivation);
        let key = KeyId { device: DeviceId(device), generation };
        let parts = master.packet_key_derivation(key).map(|parts| hmac(&parts));
        prop_assert_eq!(parts, Some(*master.dev_key(key)));
        // The same key opens.
        let hint_key = HintKey::from_bytes([1; 16]);
        let Some(packet_key) = master.packet_key(key) else { return Ok(()) };
        let mut radio = [0; 64];
        let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 5).seal(b"21.5 C", &mut radio);
        let packet = Packet::parse(HintScheme::Aes128, radio.get(..len.unwrap_or(0)).unwrap_or(&[]));
        let mut payload = [0; 16];
        let opened = packet.ok().and_then(|packet| {
            let key = PacketKey::from_bytes(parts?);
            key.open(&packet, 5, AssociatedData::EMPTY, &mut payload).map(<[u8]>::len)
        });
        prop_assert_eq!(opened, Some(6));
    }
}

#[test]
fn the_initial_state_is_that_of_sha_256() {
    // The hash of the empty message (FIPS 180-4).
    let mut block = [0; 64];
    block.iter_mut().take(1).for_each(|byte| *byte = 0x80);
    let mut state = SHA256_INITIAL;
    compress256(&mut state, &[block]);
    assert_eq!((state.first(), state.last()), (Some(&0xe3b0_c442), Some(&0x7852_b855)));
}
