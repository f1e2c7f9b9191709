//! Packets of ephemeral points: the vectors, RFC 7748, Wycheproof, and what is refused.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{
    DeviceId, EphemeralPacket, EphemeralSealer, EphemeralSuite, KeyId, MacKey, MasterKey,
    SealError, StationPoint, StationSecret,
};
use proptest::prelude::*;
use serde_json::Value;
use wycheproof::TestResult;
use wycheproof::xdh::{TestName, TestSet};

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().expect("32 bytes")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).expect("hex").try_into().expect("32 bytes")
}

/// Sender, nonce and payload of a packet, if it opens.
type Opened = Option<(DeviceId, Option<u64>, Vec<u8>)>;

fn opened(
    suite: EphemeralSuite,
    station: &StationSecret,
    keys: &dyn Fn(DeviceId) -> MacKey,
    bytes: &[u8],
) -> Opened {
    let packet = EphemeralPacket::parse(suite, bytes).expect("long enough");
    let agreed = station.agree(&packet)?;
    let mut room = vec![0xaa; packet.payload_len_bytes()];
    let payload = agreed.open(&keys(agreed.device()), &mut room).map(<[u8]>::to_vec);
    assert!(payload.is_some() || room.iter().all(|byte| *byte == 0), "a payload was left");
    payload.map(|payload| (agreed.device(), agreed.nonce(), payload))
}

#[test]
fn packets_are_those_of_the_vectors_and_no_bit_of_them_may_change() {
    let all: Value = serde_json::from_str(include_str!("data/suites.json")).expect("suites.json");
    let master = MasterKey::new(&array(&all["master"]));
    let station = StationSecret::new(&array(&all["station_x25519"]["secret"]));
    assert_eq!(station.point().0, array(&all["station_x25519"]["public"]));
    let keys = |device| master.mac_key(KeyId::first(device));
    for suite in EphemeralSuite::ALL {
        let cases = all["suites"][suite.name()].as_array().expect("cases");
        assert_eq!(cases.len(), 4);
        for case in cases {
            let device = DeviceId(number(&case["device"]).try_into().expect("u32"));
            let nonce = number(&case["nonce"]);
            let (payload, packet) = (bytes(&case["payload"]), bytes(&case["packet"]));
            let mut sealer =
                EphemeralSealer::new(suite, device, *station.point(), keys(device), nonce);
            let mut out = vec![0; packet.len()];
            let random = array(&case["ephemeral_secret"]);
            assert_eq!(sealer.seal(&random, &payload, &mut out), Ok(packet.len()));
            assert_eq!(hex::encode(&out), hex::encode(&packet), "{}", suite.name());
            assert_eq!(packet.len(), suite.overhead_bytes() + payload.len());

            let claimed = (suite == EphemeralSuite::X25519Seq).then_some(nonce);
            let wanted = Some((device, claimed, payload));
            assert_eq!(opened(suite, &station, &keys, &packet), wanted);
            assert_eq!(sealer.next_nonce(), nonce + u64::from(claimed.is_some()));
            for bit in 0..packet.len() * 8 {
                let mut bad = packet.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(opened(suite, &station, &keys, &bad), None, "bit {bit} passed");
            }
            let other = StationSecret::new(&[9; 32]);
            assert_eq!(opened(suite, &other, &keys, &packet), None);
            let foreign = |_| MacKey::copy_of(&[1; 32]);
            assert_eq!(opened(suite, &station, &foreign, &packet), None);
        }
    }
}

/// RFC 7748, section 5.2: one multiplication, and a thousand in a row.
#[test]
fn multiplications_are_those_of_the_standard() {
    let scalar = hex32("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let point = hex32("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    let product = hex32("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(x25519_dalek::x25519(scalar, point), product);
    let base = x25519_dalek::X25519_BASEPOINT_BYTES;
    let (scalar, _) = (0..1000)
        .fold((base, base), |(scalar, point), _| (x25519_dalek::x25519(scalar, point), scalar));
    let thousandth = hex32("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    assert_eq!(scalar, thousandth);
}

#[test]
fn wycheproof_finds_nothing() {
    let (mut run, mut zero) = (0, 0);
    let set = TestSet::load(TestName::X25519).expect("the crate's own data");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret: [u8; 32] = test.private_key[..].try_into().expect("32 bytes");
        let Ok(point) = <[u8; 32]>::try_from(&test.public_key[..]) else { continue };
        let shared = x25519_dalek::x25519(secret, point);
        let is_right = shared[..] == test.shared_secret[..];
        assert_eq!(is_right, test.result != TestResult::Invalid, "{test:?}");
        run += 1;
        // What the curve allows, and a station refuses.
        if shared == [0; 32] {
            let packet = [&point[..], &[0; 40]].concat();
            let packet = EphemeralPacket::parse(EphemeralSuite::X25519, &packet).expect("long");
            assert!(StationSecret::new(&secret).agree(&packet).is_none(), "{test:?}");
            zero += 1;
        }
    }
    assert!(run > 500 && zero > 10, "{run} {zero}");
}

#[test]
fn points_of_small_order_are_refused_on_both_sides() {
    let station = StationSecret::new(&[9; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    let order_8 = hex32("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for point in [[0; 32], one, order_8] {
        for suite in EphemeralSuite::ALL {
            let mut packet = vec![0; suite.overhead_bytes()];
            packet[..32].copy_from_slice(&point);
            let packet = EphemeralPacket::parse(suite, &packet).expect("long enough");
            assert!(station.agree(&packet).is_none());
            let key = MacKey::copy_of(&[1; 32]);
            let mut sealer = EphemeralSealer::new(suite, DeviceId(1), StationPoint(point), key, 3);
            assert_eq!(sealer.seal(&[7; 32], b"abc", &mut [0; 80]), Err(SealError::WeakPoint));
            assert_eq!(sealer.next_nonce(), 3, "no nonce is spent");
        }
    }
}

#[test]
fn lengths_and_nonces_have_ends() {
    let station = StationSecret::new(&[9; 32]);
    for suite in EphemeralSuite::ALL {
        for len_bytes in 0..suite.overhead_bytes() {
            let error = EphemeralPacket::parse(suite, &vec![0; len_bytes]).expect_err("too short");
            let wanted = (len_bytes, suite.overhead_bytes());
            assert_eq!((error.len_bytes, error.least_bytes), wanted);
        }
        let key = MacKey::copy_of(&[1; 32]);
        let last = u64::from(u32::MAX);
        let mut sealer = EphemeralSealer::new(suite, DeviceId(1), *station.point(), key, last);
        let needed_bytes = suite.overhead_bytes() + 3;
        let short = sealer.seal(&[7; 32], b"abc", &mut [0; 46]);
        assert_eq!(short, Err(SealError::BufferTooShort { needed_bytes }));
        assert_eq!(sealer.seal(&[7; 32], b"abc", &mut [0; 80]), Ok(needed_bytes));
        let again = sealer.seal(&[8; 32], b"abc", &mut [0; 80]);
        let ends = suite == EphemeralSuite::X25519Seq;
        let wanted = if ends { Err(SealError::NoncesUsedUp) } else { Ok(needed_bytes) };
        assert_eq!(again, wanted);
    }
    let printed = format!("{station:?} {:?}", MacKey::copy_of(&[0x5a; 32]));
    assert_eq!(printed, "StationSecret([redacted]) MacKey([redacted])");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packets_open_as_they_were_sealed(
        suite in proptest::sample::select(&EphemeralSuite::ALL[..]),
        device in any::<u32>(),
        nonce in any::<u32>(),
        random in any::<[u8; 32]>(),
        payload in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let (master, station) = (MasterKey::new(&[4; 32]), StationSecret::new(&random.map(|b| !b)));
        let keys = |device| master.mac_key(KeyId::first(device));
        let id = DeviceId(device);
        let mut sealer = EphemeralSealer::new(suite, id, *station.point(), keys(id), nonce.into());
        let mut out = [0; 160];
        let len = sealer.seal(&random, &payload, &mut out).expect("room enough");
        let claimed = (suite == EphemeralSuite::X25519Seq).then_some(u64::from(nonce));
        let wanted = Some((id, claimed, payload));
        prop_assert_eq!(opened(suite, &station, &keys, &out[..len]), wanted);
    }
}
