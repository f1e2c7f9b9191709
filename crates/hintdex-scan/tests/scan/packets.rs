//! Packets opened many at a time: exactly those that the wire crate opens, by every back end.

use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, OpeningKey, PacketOpener, SealedPacket};
use hintdex_wire::{
    AssociatedData, Derivation, DeviceId, HintScheme, KeyId, KeySource, MasterKey, Packet,
    PacketFormat, PacketKey, Sealer, Suite,
};

/// The packets that are compared; in the dev profile, arithmetic is slow.
const PACKETS: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

/// A packet as it was received, its nonce, and the key that is tried.
struct Radio {
    bytes: Vec<u8>,
    format: PacketFormat,
    nonce: u64,
    device: KeyId,
    /// Whether the key is given, not derived.
    is_given: bool,
}

/// Packets of all lengths, schemes, and ages of keys; some are damaged, and some are tried under the key of
/// another device.
fn radio(random: &mut SplitMix64, master: &MasterKey, at: usize) -> Radio {
    let schemes = [HintScheme::Aes128, HintScheme::Speck64, HintScheme::Carry24];
    let below =
        |random: &mut SplitMix64, end: u64| usize::try_from(random.below(end)).expect("few");
    let scheme = if random.below(4) > 0 { HintScheme::Aes128 } else { schemes[below(random, 3)] };
    let suite = match scheme {
        HintScheme::Aes128 if random.below(16) == 0 => Suite::AesSiv,
        _ => Suite::AesCtrHmac,
    };
    let format = PacketFormat { scheme, suite };
    let generation = if random.below(3) == 0 { random.below(1 << 16) } else { 0 };
    let generation = u16::try_from(generation).expect("below 2^16");
    let device = KeyId { device: DeviceId(random.below_u32(u32::MAX)), generation };
    let nonce = random.below(1 << 32);
    let mut payload = vec![0; at % 256];
    random.fill(&mut payload);
    let (hint_key, key) = (master.hint_key(device), master.packet_key(device));
    let (hint_key, key) = hint_key.zip(key).expect("every device has keys");
    let mut bytes = vec![0; 300];
    let len = Sealer::new(format, &hint_key, key, nonce).seal(&payload, &mut bytes);
    bytes.truncate(len.expect("there is room"));
    match random.below(4) {
        0 => {
            // Head, ciphertext or tag.
            let bit = below(random, 8 * bytes.len() as u64);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        1 if random.below(4) == 0 => {
            let other = KeyId { device: DeviceId(device.device.0 ^ 1), generation };
            return Radio { bytes, format, nonce, device: other, is_given: random.below(2) == 0 };
        }
        _ => {}
    }
    Radio { bytes, format, nonce, device, is_given: random.below(4) == 0 }
}

fn sealed<'a>(radio: &'a Radio, master: &'a MasterKey) -> SealedPacket<'a> {
    let key = match radio.is_given {
        true => OpeningKey::Given(master.packet_key(radio.device).expect("a key")),
        false => OpeningKey::Derived(master.packet_key_derivation(radio.device).expect("a key")),
    };
    let packet = Packet::parse(radio.format, &radio.bytes).expect("a packet");
    SealedPacket { packet, nonce: radio.nonce, key }
}

/// What the wire crate opens.
fn opened(radio: &Radio, master: &MasterKey) -> Option<Vec<u8>> {
    let packet = Packet::parse(radio.format, &radio.bytes).expect("a packet");
    let mut payload = vec![0; packet.payload_len_bytes()];
    let key: PacketKey = master.packet_key(radio.device).expect("a key");
    let opened = key.open(&packet, radio.nonce, AssociatedData::EMPTY, &mut payload);
    opened.is_some().then_some(payload)
}

#[test]
fn every_back_end_opens_what_the_wire_crate_opens() {
    compare(PACKETS);
}

#[test]
#[ignore = "ten seconds"]
fn every_back_end_opens_what_the_wire_crate_opens_of_a_million_packets() {
    compare(1_000_000);
}

fn compare(count_of_packets: usize) {
    let secrets = [Derivation::Hmac, Derivation::Hkdf];
    let masters = secrets.map(|derivation| MasterKey::with_derivation(&[9; 32], derivation));
    let mut openers: Vec<(Backend, PacketOpener)> = Backend::ALL
        .iter()
        .filter_map(|backend| Some((*backend, PacketOpener::with_backend(*backend).ok()?)))
        .collect();
    assert_eq!(openers[0].0, Backend::Portable);
    openers.reverse();
    let (mut random, mut authentic) = (SplitMix64::new(16), 0);
    let mut at = 0;
    while at < count_of_packets {
        // Groups of every length, of one master key or, now and then, of two.
        let count = 1 + usize::try_from(random.below(40)).expect("few");
        let mixed = random.below(8) == 0;
        let master = |number: usize| &masters[if mixed { number % 2 } else { at % 2 }];
        let radios: Vec<Radio> =
            (0..count).map(|number| radio(&mut random, master(number), at + number)).collect();
        let numbered = || radios.iter().enumerate();
        let packets: Vec<SealedPacket<'_>> =
            numbered().map(|(number, radio)| sealed(radio, master(number))).collect();
        let expected: Vec<Option<Vec<u8>>> =
            numbered().map(|(number, radio)| opened(radio, master(number))).collect();
        authentic += expected.iter().flatten().count();
        for (backend, opener) in &openers {
            assert_eq!(opener.open(&packets), expected, "{backend}, from packet {at}");
        }
        at += count;
    }
    assert!((count_of_packets / 2..count_of_packets).contains(&authentic), "{authentic}");
}

/// The first byte of the tag, the last one, and each between them.
#[test]
fn each_bit_of_a_tag_counts() {
    let master = MasterKey::new(&[9; 32]);
    for backend in Backend::ALL {
        let Ok(opener) = PacketOpener::with_backend(*backend) else { continue };
        let mut random = SplitMix64::new(3);
        let mut sound = || loop {
            let radio = radio(&mut random, &master, 20);
            if radio.format.suite == Suite::AesCtrHmac && opened(&radio, &master).is_some() {
                return radio;
            }
        };
        let mut radios: Vec<Radio> = (0..64).map(|_| sound()).collect();
        for (bit, radio) in radios.iter_mut().enumerate() {
            let tag = radio.bytes.len() - 8;
            radio.bytes[tag + bit / 8] ^= 1 << (bit % 8);
        }
        let packets: Vec<SealedPacket<'_>> =
            radios.iter().map(|radio| sealed(radio, &master)).collect();
        assert!(opener.open(&packets).iter().all(Option::is_none), "{backend}");
    }
}
