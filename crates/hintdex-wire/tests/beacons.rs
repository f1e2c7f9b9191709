//! Eddystone-EID and exposure notification against published identifiers, and
//! against identifiers computed by another implementation.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::HintKey;
use hintdex_wire::beacon::eddystone::{EidCipher, RotationExponent};
use hintdex_wire::beacon::gaen::{INTERVAL_S, RpiCipher, identifier_key, interval_of};
use proptest::prelude::*;
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("data/vectors.json")).expect("vectors.json");
    all[name].clone()
}

fn array<const LEN: usize>(value: &Value) -> [u8; LEN] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hex");
    bytes.try_into().expect("as many bytes")
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a u32")
}

fn exponent(k: u32) -> RotationExponent {
    RotationExponent::new(u8::try_from(k).expect("small")).expect("0 to 15")
}

/// Published by Radius Networks as tests of its Ruby gem `ephemeral_calc`
/// (github.com/RadiusNetworks/ephemeral_calc, `spec/encryptor_spec.rb`): one
/// identity key, k = 10, the beacon's clock at 0 s and at 2,000 s. Google's
/// specification has no vectors.
#[test]
fn ephemeral_identifiers_are_the_published_ones() {
    let key = HintKey::from_bytes(0x0102030405060708090a111213141516_u128.to_be_bytes());
    let cipher = EidCipher::new(&key, exponent(10));
    for (clock, eid) in [(0, 0xa9b7_6a71_c5f8_9290_u64), (2000, 0x4144_413e_45fe_fa58)] {
        assert_eq!(cipher.eid(clock), eid.to_be_bytes(), "{clock}");
    }
}

/// 35 identifiers that were not published: computed from the specification by an
/// independent implementation, for five exponents from 0 to 15 and seven clocks up to
/// 2³² − 1.
#[test]
fn ephemeral_identifiers_are_those_computed_elsewhere() {
    let cases = vectors("eddystone_eid")["cases"].as_array().expect("cases").clone();
    assert_eq!(cases.len(), 35);
    for case in &cases {
        let (k, clock) = (exponent(number(&case["k"])), number(&case["clock"]));
        let cipher = EidCipher::new(&HintKey::from_bytes(array(&case["key"])), k);
        let eid = array(&case["eid"]);
        assert_eq!(cipher.eid(clock), eid, "{case}");
        let rotation = cipher.rotation_of(clock.into());
        assert_eq!(cipher.find(&eid, rotation.saturating_sub(300)..rotation + 300), Some(rotation));
        assert_eq!(cipher.find(&eid, rotation + 1..rotation + 300), None);
    }
}

/// The vectors that Apple and Google published with the "Exposure Notification
/// Cryptography Specification": one daily key, its RPIK and a day of identifiers.
#[test]
fn a_day_of_proximity_identifiers_is_the_published_one() {
    let vectors = vectors("exposure_notification");
    let key = identifier_key(&HintKey::from_bytes(array(&vectors["tek"])));
    assert_eq!(*key.expose(), array(&vectors["rpik"]));
    let cipher = RpiCipher::new(&key);
    let cases = vectors["rpi"].as_array().expect("a day");
    assert_eq!(cases.len(), 144);
    for case in cases {
        let (interval, rpi) = (number(&case["interval"]), array(&case["rpi"]));
        assert_eq!(cipher.rpi(interval), rpi);
        assert_eq!(cipher.interval(&rpi), Some(interval));
    }
    let first = number(&cases[0]["interval"]);
    let mut day = Vec::new();
    cipher.each_rpi(first..first + 144, |interval, rpi| day.push((interval, rpi)));
    let expected: Vec<_> =
        cases.iter().map(|case| (number(&case["interval"]), array(&case["rpi"]))).collect();
    assert_eq!(day, expected);
}

#[test]
fn wrong_keys_and_flipped_bits_make_other_identifiers() {
    let key = HintKey::from_bytes([7; 16]);
    let cipher = RpiCipher::new(&key);
    let rpi = cipher.rpi(99);
    assert_eq!(RpiCipher::new(&HintKey::from_bytes([8; 16])).interval(&rpi), None);
    for bit in 0..128 {
        let mut other = rpi;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(cipher.interval(&other), None, "bit {bit}");
    }
    let eids = EidCipher::new(&key, exponent(3));
    let eid = eids.eid(800);
    for bit in 0..64 {
        let mut other = eid;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(eids.find(&other, 0..200), None, "bit {bit}");
    }
}

#[test]
fn exponents_and_intervals_have_their_ends() {
    assert_eq!(RotationExponent::new(15), Some(RotationExponent::MAX));
    assert_eq!(RotationExponent::new(16), None);
    assert_eq!(RotationExponent::MAX.period_s(), 32_768);
    for k in 0..16 {
        assert_eq!(
            (exponent(k).get(), exponent(k).period_s()),
            (u8::try_from(k).expect("small"), 1 << k)
        );
    }
    assert_eq!((interval_of(INTERVAL_S - 1), interval_of(INTERVAL_S)), (0, 1));
    assert_eq!(interval_of(u64::MAX), u32::MAX);
}

#[test]
fn the_keys_of_beacons_do_not_print() {
    let key = HintKey::from_bytes([0xab; 16]);
    let printed = format!("{:?} {:?}", RpiCipher::new(&key), EidCipher::new(&key, exponent(5)));
    assert_eq!(printed, "RpiCipher([redacted]) EidCipher([redacted], k = 5)");
}

proptest! {
    /// Many at once are the ones one by one, over changes of the temporary key and
    /// over the wrap of the clock.
    #[test]
    fn ranges_are_their_members(
        key: [u8; 16],
        k in 0_u32..16,
        around in prop_oneof![Just(1_u64 << 32), Just(65_536), Just(0), 0..1_u64 << 33],
        before in 0_u64..100,
        count in 0_u64..200,
    ) {
        let cipher = EidCipher::new(&HintKey::from_bytes(key), exponent(k));
        let first = cipher.rotation_of(around).saturating_sub(before);
        let mut expected = first;
        cipher.each_eid(first..first + count, |rotation, eid| {
            assert_eq!(rotation, expected);
            let [.., a, b, c, d] = cipher.clock_of(rotation).to_be_bytes();
            assert_eq!(eid, cipher.eid(u32::from_be_bytes([a, b, c, d])));
            expected += 1;
        });
        prop_assert_eq!(expected, first + count);
    }

    #[test]
    fn all_seconds_of_a_rotation_have_one_identifier(key: [u8; 16], k in 0_u32..16, clock: u32) {
        let cipher = EidCipher::new(&HintKey::from_bytes(key), exponent(k));
        let first = clock >> k << k;
        prop_assert_eq!(cipher.eid(clock), cipher.eid(first));
        if first > 0 {
            prop_assert_ne!(cipher.eid(clock), cipher.eid(first - 1));
        }
    }
}
