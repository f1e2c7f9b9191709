//! Pairs of key and block, by every back end, against the `aes` crate.

use crate::support::random;
use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use hintdex_scan::{Backend, PairCipher};

fn block(seed: u64, index: u64) -> [u8; 16] {
    let words = [random(seed, 2 * index), random(seed, 2 * index + 1)];
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
    bytes.try_into().expect("two words")
}

#[test]
fn every_back_end_encrypts_each_block_under_its_key() {
    let group = u64::try_from(PairCipher::PAIRS_PER_GROUP).expect("small");
    for cipher in Backend::ALL.iter().filter_map(|it| PairCipher::with_backend(*it).ok()) {
        for len in (0..=2 * group + 1).chain([100, 1000]) {
            let keys: Vec<_> = (0..len).map(|index| block(1, index)).collect();
            // A block without a key, and with the next call a key without a block.
            let plain: Vec<_> = (0..=len).map(|index| block(2, index)).collect();
            let mut blocks = plain.clone();
            cipher.encrypt(&keys, &mut blocks);
            let mut fewer = plain.get(..keys.len() / 2).expect("as many").to_vec();
            cipher.encrypt(&keys, &mut fewer);
            let expected = keys.iter().zip(&plain).map(|(key, plain)| {
                let mut block = Array(*plain);
                Aes128::new(key.into()).encrypt_block(&mut block);
                block.0
            });
            let mut expected: Vec<_> = expected.collect();
            assert_eq!(fewer, expected[..keys.len() / 2], "{cipher:?} {len}");
            expected.extend(plain.last());
            assert_eq!(blocks, expected, "{cipher:?} {len}");
        }
    }
}

#[test]
fn a_cipher_says_which_back_end_the_processor_lacks() {
    for backend in Backend::ALL {
        if let Err(error) = PairCipher::with_backend(*backend) {
            assert_eq!(error.backend, *backend);
        }
    }
    assert!(PairCipher::with_backend(Backend::Portable).is_ok());
}
