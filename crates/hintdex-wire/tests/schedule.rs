//! Packets without a head: the vectors, and delays within their bounds.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{DeviceId, KeyId, KeySource, MasterKey, PacketKey, Schedule, SealError};
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn packets_and_delays_are_those_of_the_vectors() {
    let all: Value = serde_json::from_str(include_str!("data/suites.json")).expect("suites.json");
    let master = MasterKey::new(&bytes(&all["master"]).try_into().expect("32 bytes"));
    let schedule = Schedule::new(600_000, 4_200_000).expect("in order");
    let cases = all["suites"]["schedule"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let key = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("u32")));
        let (key, nonce) = (master.packet_key(key).expect("derived"), number(&case["nonce"]));
        let (payload, packet) = (bytes(&case["payload"]), bytes(&case["packet"]));
        let mut out = vec![0; packet.len()];
        assert_eq!(schedule.seal(&key, nonce, &payload, &mut out), Ok(packet.len()));
        assert_eq!(hex::encode(&out), hex::encode(&packet));
        let delay_ms = number(&case["delay_ms_for_600000_to_4200000"]);
        assert_eq!(schedule.delay_ms(&key, nonce).map(u64::from), Some(delay_ms));

        let mut room = vec![0; payload.len()];
        assert_eq!(schedule.open(&key, nonce, &packet, &mut room), Some(&payload[..]));
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(schedule.open(&key, nonce, &bad, &mut room), None, "bit {bit} passed");
        }
        for bit in 0..33 {
            assert_eq!(schedule.open(&key, nonce ^ 1 << bit, &packet, &mut room), None, "{bit}");
        }
        let other = PacketKey::from_bytes([9; 32]);
        assert_eq!(schedule.open(&other, nonce, &packet, &mut room), None);
    }
}

#[test]
fn delays_fill_their_bounds_evenly() {
    assert_eq!([(0, 5), (6, 5)].map(|(min, max)| Schedule::new(min, max)), [None, None]);
    let key = PacketKey::from_bytes([4; 32]);
    let one = Schedule::new(7, 7).expect("one value");
    assert!((0..100).all(|nonce| one.delay_ms(&key, nonce) == Some(7)));
    let ten = Schedule::new(1, 10).expect("ten values");
    let mut counts = [0; 10];
    for nonce in 0..10_000 {
        let delay_ms = ten.delay_ms(&key, nonce).expect("a counter");
        counts[usize::try_from(delay_ms - 1).expect("small")] += 1;
    }
    // 1,000 each, with a standard deviation of 30.
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    let all = Schedule::new(1, u32::MAX).expect("in order");
    let longest = (0..1000).filter_map(|nonce| all.delay_ms(&key, nonce)).max();
    assert!(longest > Some(4_200_000_000), "{longest:?}");
    assert_eq!(all.delay_ms(&key, 1 << 32), None);
}

#[test]
fn what_cannot_be_sealed_or_opened_is_refused() {
    let (schedule, key) = (Schedule::new(1, 9).expect("in order"), PacketKey::from_bytes([4; 32]));
    let needed_bytes = 11;
    let short = schedule.seal(&key, 3, b"abc", &mut [0; 10]);
    assert_eq!(short, Err(SealError::BufferTooShort { needed_bytes }));
    let past = schedule.seal(&key, 1 << 32, b"abc", &mut [0; 11]);
    assert_eq!(past, Err(SealError::NoncesUsedUp));
    let mut packet = [0; 11];
    assert_eq!(schedule.seal(&key, 3, b"abc", &mut packet), Ok(11));
    assert_eq!(schedule.open(&key, 3, &packet, &mut [0; 2]), None);
    for len_bytes in 0..8 {
        assert_eq!(schedule.open(&key, 3, &packet[..len_bytes], &mut [0; 8]), None);
    }
}
