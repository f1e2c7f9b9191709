//! Any bytes as a packet: never a panic. A payload that is sealed opens to the same
//! payload, and no packet with a flipped bit is authentic.
//!
//! Input: the numbers of the hint scheme and the suite, then a hint key (16 bytes), a packet key (32), a
//! nonce (8), the place of the flip (2), and a payload. The same bytes behind the
//! numbers are first read as a packet.
#![no_main]

use hintdex_wire::{
    AssociatedData, HintCipher, HintKey, HintScheme, Packet, PacketError, PacketFormat, PacketKey,
    SealError, Sealer, Suite,
};
use libfuzzer_sys::fuzz_target;

/// The place of the keys and the nonce in an input, behind the numbers.
const HEAD_LEN_BYTES: usize = 16 + 32 + 8 + 2;

fuzz_target!(|input: &[u8]| {
    let [scheme, suite, rest @ ..] = input else { return };
    let numbers = (*scheme, *suite);
    let known = HintScheme::from_number(*scheme).zip(Suite::from_number(*suite));
    let Some((scheme, suite)) = known else { return };
    assert_eq!((scheme.number(), suite.number()), numbers);
    let format = PacketFormat { scheme, suite };
    read(format, rest);
    if !format.is_defined() {
        return;
    }
    if let Some((head, payload)) = rest.split_first_chunk() {
        seal_and_open(format, head, payload);
    }
});

/// Reads any bytes as a packet: parsed exactly when they hold a hint and a tag.
fn read(format: PacketFormat, bytes: &[u8]) {
    let (scheme, least_bytes) = (format.scheme, format.overhead_bytes());
    let packet = match Packet::parse(format, bytes) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(bytes.len() < least_bytes);
            assert_eq!(error, PacketError { len_bytes: bytes.len(), least_bytes });
            return;
        }
    };
    assert_eq!(packet.payload_len_bytes(), bytes.len() - least_bytes);
    let hint = packet.hint().as_bytes();
    assert_eq!(&hint[..scheme.len_bytes()], &bytes[..scheme.len_bytes()]);
    assert!(hint[scheme.len_bytes()..].iter().all(|padding| *padding == 0));

    let mut key = [0; 32];
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    // A tag of eight bytes is not met by chance.
    let (nonce, mut out) = (u64::from(bytes[0]), vec![0; packet.payload_len_bytes()]);
    let opened = PacketKey::from_bytes(key).open(&packet, nonce, AssociatedData::EMPTY, &mut out);
    assert!(opened.is_none());
    let hint_key = HintKey::from_bytes([bytes[0]; 16]);
    let cipher = HintCipher::new(scheme, &hint_key);
    if let Some(nonce) = cipher.nonce(packet.hint()) {
        assert!(nonce <= scheme.max_nonce());
        assert_eq!(cipher.hint(nonce), Some(*packet.hint()));
    }
}

/// Seals a payload, opens the packet, and flips one bit of it.
fn seal_and_open(format: PacketFormat, head: &[u8; HEAD_LEN_BYTES], payload: &[u8]) {
    let scheme = format.scheme;
    let part = |at: usize, len: usize| &head[at..at + len];
    let hint_key = HintKey::from_bytes(part(0, 16).try_into().unwrap());
    let packet_key = || PacketKey::from_bytes(part(16, 32).try_into().unwrap());
    let nonce = u64::from_be_bytes(part(48, 8).try_into().unwrap());
    let flip = usize::from(u16::from_be_bytes(part(56, 2).try_into().unwrap()));

    let mut sealer = Sealer::new(format, &hint_key, packet_key(), nonce);
    let len_bytes = format.overhead_bytes() + payload.len();
    assert_eq!(sealer.packet_len_bytes(payload.len()), len_bytes);
    let mut packet = vec![0; len_bytes];
    let sealed = sealer.seal(payload, &mut packet[..len_bytes - 1]);
    if nonce > scheme.max_nonce() {
        assert_eq!(sealed, Err(SealError::NoncesUsedUp));
        assert_eq!(sealer.seal(payload, &mut packet), Err(SealError::NoncesUsedUp));
        return;
    }
    assert_eq!(sealed, Err(SealError::BufferTooShort { needed_bytes: len_bytes }));
    assert_eq!(sealer.next_nonce(), nonce);
    assert_eq!(sealer.seal(payload, &mut packet), Ok(len_bytes));
    assert_eq!(sealer.next_nonce(), nonce + 1);

    let key = packet_key();
    let parsed = Packet::parse(format, &packet).expect("a packet");
    let mut found = Vec::new();
    HintCipher::new(scheme, &hint_key)
        .nonces_within(parsed.hint(), nonce..nonce + 1, |nonce| found.push(nonce));
    assert_eq!(found, [nonce]);
    let (mut out, empty) = (vec![0; payload.len()], AssociatedData::EMPTY);
    assert_eq!(key.open(&parsed, nonce, empty, &mut out), Some(payload));
    if let Some(short) = out.len().checked_sub(1) {
        assert_eq!(key.open(&parsed, nonce, empty, &mut out[..short]), None);
    }

    let bit = flip % (8 * len_bytes);
    packet[bit / 8] ^= 1 << (bit % 8);
    let flipped = Packet::parse(format, &packet).expect("a packet of the same length");
    let opened = key.open(&flipped, nonce, empty, &mut out);
    assert!(opened.is_none(), "bit {bit} is not covered by the tag");
}
