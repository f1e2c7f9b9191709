//! The AEADs behind the suites, in the configuration of the suites: the examples of their
//! standards, and Wycheproof's vectors of attacks.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use aes::Aes128;
use aes_siv::siv::Aes128Siv;
use ccm::aead::{AeadInOut, Key, Nonce, Tag};
use ccm::consts::{U8, U12, U13};
use ccm::{Ccm, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use serde_json::Value;
use wycheproof::TestResult;
use wycheproof::aead::{Test, TestName, TestSet};

type AesCcm8 = Ccm<Aes128, U8, U13>;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

/// Ciphertext and tag of an AEAD with a nonce.
fn sealed<A: AeadInOut + KeyInit>(case: &Value) -> Vec<u8> {
    let (key, nonce) = (bytes(&case["key"]), bytes(&case["nonce"]));
    let key = Key::<A>::try_from(&key[..]).expect("the length of a key");
    let nonce = Nonce::<A>::try_from(&nonce[..]).expect("the length of a nonce");
    let mut text = bytes(&case["plain"]);
    let associated = bytes(&case["associated"][0]);
    let tag = A::new(&key).encrypt_inout_detached(&nonce, &associated, (&mut text[..]).into());
    [text, tag.expect("it seals").to_vec()].concat()
}

fn sealed_by_siv(case: &Value) -> Vec<u8> {
    let key = bytes(&case["key"]);
    let associated = case["associated"].as_array().expect("a list");
    let mut text = bytes(&case["plain"]);
    let tag = Aes128Siv::new(key[..].try_into().expect("32 bytes"))
        .encrypt_inout_detached(associated.iter().map(bytes), (&mut text[..]).into());
    [tag.expect("it seals").to_vec(), text].concat()
}

#[test]
fn the_examples_of_the_standards_hold() {
    let all: Value =
        serde_json::from_str(include_str!("data/primitives.json")).expect("primitives.json");
    let cases = all["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let made = match case["suite"].as_str().expect("a name") {
            "aes-ccm-8" => sealed::<AesCcm8>(case),
            "chacha20poly1305" => sealed::<ChaCha20Poly1305>(case),
            "xchacha20poly1305" => sealed::<XChaCha20Poly1305>(case),
            "aes-siv" => sealed_by_siv(case),
            other => unreachable!("{other}"),
        };
        assert_eq!(made, bytes(&case["sealed"]), "{}", case["source"]);
    }
}

/// The payload that opens, in place.
fn opened<A: AeadInOut + KeyInit>(test: &Test) -> Option<Vec<u8>> {
    let key = Key::<A>::try_from(&test.key[..]).ok()?;
    let nonce = Nonce::<A>::try_from(&test.nonce[..]).ok()?;
    let tag = Tag::<A>::try_from(&test.tag[..]).ok()?;
    let mut text = test.ct.to_vec();
    let opened =
        A::new(&key).decrypt_inout_detached(&nonce, &test.aad, (&mut text[..]).into(), &tag);
    opened.ok().map(|()| text)
}

fn opened_by_siv(test: &Test) -> Option<Vec<u8>> {
    let mut text = test.ct.to_vec();
    let tag = test.tag[..].try_into().ok()?;
    let opened = Aes128Siv::new(test.key[..].try_into().ok()?).decrypt_inout_detached(
        [&test.aad[..], &test.nonce[..]],
        (&mut text[..]).into(),
        tag,
    );
    opened.ok().map(|()| text)
}

/// Runs the tests of the groups with a key, a nonce and a tag of these lengths in bits;
/// returns how many there were.
fn run(
    name: TestName,
    [key, nonce, tag]: [Option<usize>; 3],
    opened: impl Fn(&Test) -> Option<Vec<u8>>,
) -> usize {
    let is = |expected: Option<usize>, bits| expected.is_none_or(|expected| expected == bits);
    let mut run = 0;
    for group in TestSet::load(name).expect("the crate's own data").test_groups {
        if !is(key, group.key_size) || !is(nonce, group.nonce_size) || !is(tag, group.tag_size) {
            continue;
        }
        for test in &group.tests {
            let payload = opened(test);
            match test.result {
                TestResult::Valid | TestResult::Acceptable => {
                    assert_eq!(payload.as_deref(), Some(&test.pt[..]), "{name:?} {test:?}");
                }
                TestResult::Invalid => assert_eq!(payload, None, "{name:?} {test:?}"),
            }
            run += 1;
        }
    }
    run
}

#[test]
fn wycheproof_finds_nothing() {
    let chacha = run(TestName::ChaCha20Poly1305, [None, None, None], opened::<ChaCha20Poly1305>);
    let xchacha = run(TestName::XChaCha20Poly1305, [None, None, None], opened::<XChaCha20Poly1305>);
    let siv = run(TestName::AesSivCmac, [Some(256), None, None], opened_by_siv);
    let short = [Some(128), Some(96), Some(64)];
    let ccm = run(TestName::AesCcm, short, opened::<Ccm<Aes128, U8, U12>>);
    let long = [Some(128), Some(104), Some(128)];
    let ccm_13 = run(TestName::AesCcm, long, opened::<Ccm<Aes128, ccm::consts::U16, U13>>);
    assert_eq!((chacha, xchacha, siv, ccm, ccm_13), (325, 315, 300, 8, 6));
}
