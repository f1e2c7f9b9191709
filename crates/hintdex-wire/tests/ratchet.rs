//! Key epochs: the chains of devices, and where their ends cut runs of nonces.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::ops::Range;

use hintdex_wire::{
    AssociatedData, Chain, Derivation, DeviceId, HintCipher, HintScheme, KeyId, KeySource,
    MasterKey, Nonce, Packet, RatchetBits, Sealer,
};
use proptest::prelude::*;
use serde_json::Value;

const SCHEME: HintScheme = HintScheme::Aes128;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn bits(bits: u8) -> RatchetBits {
    RatchetBits::new(bits).expect("1 to 24")
}

/// Chain keys, hint keys and packets that an independent implementation computed.
#[test]
fn chains_and_their_keys_are_those_of_the_vectors() {
    let all: Value = serde_json::from_str(include_str!("data/ratchet.json")).expect("JSON");
    let master = MasterKey::new(&bytes(&all["master"]).try_into().expect("32 bytes"));
    let cases = all["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let id = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("an id")));
        let bits = bits(number(&case["epoch_bits"]).try_into().expect("few bits"));
        let nonce = number(&case["nonce"]);
        let chain = master.chain(id, bits.epoch_of(nonce)).expect("every epoch is derived");
        assert_eq!(chain.expose()[..], bytes(&case["chain_key"]), "{case}");
        assert_eq!(chain.hint_key().expose()[..], bytes(&case["hint_key"]), "{case}");

        let (payload, packet) = (bytes(&case["payload"]), bytes(&case["packet"]));
        let mut sealer = Sealer::new(SCHEME, &chain.hint_key(), chain.packet_key(), nonce);
        let mut out = vec![0; packet.len()];
        assert_eq!(sealer.seal(&payload, &mut out), Ok(packet.len()));
        assert_eq!(out, packet, "{case}");

        // A device that has walked from its first chain seals the same packet.
        let first = master.first_chain(id);
        let mut walked = Sealer::ratcheted(SCHEME, bits, first, 0).expect("for counters");
        assert_eq!(walked.seal_at(nonce, &payload, &mut out), Ok(packet.len()));
        assert_eq!(out, packet, "{case}");
        assert_eq!(walked.chain().map(Chain::epoch), Some(bits.epoch_of(nonce)));

        // Opening: the key of the epoch, and no other, yields the nonce and the payload.
        let parsed = Packet::parse(SCHEME, &packet).expect("long enough");
        let nonce_under =
            |chain: &Chain| HintCipher::new(SCHEME, &chain.hint_key()).nonce(parsed.hint());
        assert_eq!(nonce_under(&chain), Some(nonce));
        let mut next = chain.clone();
        next.advance();
        assert_eq!(nonce_under(&next), None);
        let (mut room, empty) = (vec![0; payload.len()], AssociatedData::EMPTY);
        assert_eq!(next.packet_key().open(&parsed, nonce, empty, &mut room), None);
        let opened = chain.packet_key().open(&parsed, nonce, empty, &mut room);
        assert_eq!(opened, Some(&payload[..]));
    }
}

/// Computed with the `hmac` module of Python 3: master key 03 … 03, device 7, generation 2.
#[test]
fn chains_of_later_generations_and_of_hkdf_begin_at_keys_of_their_own() {
    let key = KeyId { device: DeviceId(7), generation: 2 };
    let chains = Derivation::ALL.map(|derivation| {
        let master = MasterKey::with_derivation(&[3; 32], derivation);
        hex::encode(master.first_chain(key).expose())
    });
    assert_eq!(
        chains,
        [
            "80c5d96466a8d8ef534da3ad2e5ad5d190a6758481a124561c32f324b8e2fa48",
            "c8fa0f0c7c67b83ffbf99014241ab3cf8134d11de015c3d7ade09562bfc0e3fe",
        ]
    );
}

#[test]
fn chains_neither_print_nor_go_back() {
    let chain = Chain::copy_of(3, &[0xab; 32]);
    assert_eq!(format!("{chain:?}"), "Chain(epoch 3, [redacted])");
    let mut moved = chain.clone();
    assert!(moved.advance_to(3) && moved.expose() == chain.expose());
    assert!(!moved.advance_to(2) && moved.epoch() == 3);
    assert!(moved.advance_to(9) && moved.epoch() == 9);
    let mut last = Chain::copy_of(u32::MAX, &[1; 32]);
    last.advance();
    assert_eq!((last.epoch(), last.expose()), (u32::MAX, &[1; 32]));
}

/// Power fails at any step: the sealer starts from an old chain or from an old nonce.
#[test]
fn a_sealer_starts_from_the_later_of_chain_and_nonce() {
    let chain = |epoch| {
        let mut chain = Chain::copy_of(0, &[7; 32]);
        chain.advance_to(epoch);
        chain
    };
    let start = |epoch, next_nonce| {
        let sealer = Sealer::ratcheted(SCHEME, bits(4), chain(epoch), next_nonce);
        let sealer = sealer.expect("for counters");
        let now = sealer.chain().expect("it is ratcheted");
        assert_eq!(now.expose(), chain(now.epoch()).expose());
        (now.epoch(), sealer.next_nonce())
    };
    assert_eq!(start(0, 0), (0, 0));
    assert_eq!(start(2, 40), (2, 40));
    // The chain lags behind the nonce: it moves.
    assert_eq!(start(0, 40), (2, 40));
    assert_eq!(start(1, 32), (2, 32));
    // The nonce lags behind the chain: nonces are skipped.
    assert_eq!(start(2, 31), (2, 32));
    assert_eq!(start(9, 0), (9, 144));
    let wide = HintScheme::Aes128Wide;
    assert!(Sealer::ratcheted(wide, bits(4), chain(0), 0).is_none());
}

#[test]
fn a_packet_that_is_not_sealed_moves_no_chain() {
    let first = Chain::copy_of(0, &[7; 32]);
    let mut sealer = Sealer::ratcheted(SCHEME, bits(4), first, 15).expect("for counters");
    let mut out = [0; 64];
    let epoch = |sealer: &Sealer| sealer.chain().map(Chain::epoch);
    let last = u64::from(u32::MAX);
    assert!(sealer.seal_at(last + 1, b"abc", &mut out).is_err());
    assert!(sealer.seal_at(16, b"abc", &mut out[..26]).is_err());
    assert!(sealer.seal_at(14, b"abc", &mut out).is_err());
    assert_eq!(epoch(&sealer), Some(0));
    assert_eq!(sealer.seal(b"abc", &mut out), Ok(27));
    assert_eq!(epoch(&sealer), Some(0));
    assert_eq!(sealer.seal(b"abc", &mut out), Ok(27));
    assert_eq!((epoch(&sealer), sealer.next_nonce()), (Some(1), 17));
}

#[test]
fn epochs_have_1_to_24_bits() {
    let known = (0..=255).filter_map(RatchetBits::new).map(RatchetBits::bits);
    assert!(known.eq(1..=24));
    assert_eq!(RatchetBits::MAX, bits(24));
}

proptest! {
    #[test]
    fn a_run_of_nonces_is_cut_at_the_ends_of_epochs(
        e in 1u8..=24, first in 0u64..=u64::from(u32::MAX), len in 0u64..200,
    ) {
        let (bits, nonces) = (bits(e), first..first + len);
        let parts: Vec<(u32, Range<Nonce>)> = bits.cut(nonces.clone()).collect();
        let plain: Vec<(u32, Nonce)> =
            nonces.map(|nonce| (u32::try_from(nonce >> e).expect("few"), nonce)).collect();
        let cut = parts.iter().flat_map(|(epoch, part)| part.clone().map(|nonce| (*epoch, nonce)));
        prop_assert!(cut.eq(plain));
        prop_assert!(parts.iter().is_sorted_by(|a, b| a.0 < b.0));
        for (epoch, part) in &parts {
            let all = bits.nonces_of(*epoch);
            prop_assert!(!part.is_empty() && all.start <= part.start && part.end <= all.end);
        }
    }
}
