//! Resolvable private addresses against the published vector and the `aes` crate.

use crate::support::{keys, random};
use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use hintdex_scan::{Backend, IdentityTable, ResolvableAddress};
use hintdex_wire::HintKey;
use serde_json::Value;

fn tables(keys: &[HintKey]) -> Vec<(Backend, IdentityTable)> {
    let table = |backend: &Backend| {
        let mut table = IdentityTable::with_backend(*backend).ok()?;
        table.extend(keys.to_vec());
        Some((*backend, table))
    };
    Backend::ALL.iter().filter_map(table).collect()
}

/// `ah` by the letter of the specification, with the crate.
fn address(key: &HintKey, random: u64) -> ResolvableAddress {
    let [.., a, b, c] = random.to_be_bytes();
    let prand = [a & 0x3f | 0x40, b, c];
    let mut block = Array([0; 16]);
    block[13..].copy_from_slice(&prand);
    Aes128::new(key.expose().into()).encrypt_block(&mut block);
    let all: Vec<u8> = prand.iter().chain(&block[13..]).copied().collect();
    ResolvableAddress::from_bytes(all.try_into().expect("six bytes")).expect("01 at its head")
}

#[test]
fn the_vector_of_the_specification() {
    let all: Value =
        serde_json::from_str(include_str!("../../../hintdex-wire/tests/data/vectors.json"))
            .expect("vectors.json");
    let case = &all["bluetooth_ah"]["cases"][0];
    let bytes = |name: &str| hex::decode(case[name].as_str().expect("a string")).expect("hex");
    let irk = HintKey::from_bytes(bytes("irk").try_into().expect("16 bytes"));
    let text: Vec<u8> = [bytes("prand"), bytes("hash")].concat();
    let address = ResolvableAddress::from_bytes(text.try_into().expect("six")).expect("resolvable");
    let mut fleet = keys(21, 50);
    fleet[17] = irk;
    for (backend, table) in tables(&fleet) {
        assert_eq!(table.resolve(&[address]), [[17]], "{backend}");
    }
}

#[test]
fn addresses_of_every_key_are_resolved_to_it() {
    let count = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
    let fleet = keys(22, count);
    let chosen: Vec<usize> =
        (0..count).step_by(61).map(|at| usize::try_from(at).expect("small")).collect();
    let addresses: Vec<_> =
        chosen.iter().map(|at| address(&fleet[*at], random(23, *at as u64))).collect();
    let mut answers = Vec::new();
    for (backend, table) in tables(&fleet) {
        let found = table.resolve(&addresses);
        for (found, at) in found.iter().zip(&chosen) {
            assert!(found.contains(at), "{backend}");
        }
        answers.push(found);
    }
    // Also the keys that fit by chance are the same.
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn tables_of_every_length_and_addresses_of_other_kinds() {
    for count in [0, 1, 3, 15, 16, 17, 33] {
        let fleet = keys(24, count);
        for (backend, table) in tables(&fleet) {
            assert_eq!(table.len() as u64, count);
            for (at, key) in fleet.iter().enumerate() {
                let found = table.resolve(&[address(key, 7), address(key, 8)]);
                assert_eq!(found, [[at], [at]], "{backend} {count}");
            }
            assert_eq!(table.resolve(&[]), Vec::<Vec<usize>>::new());
        }
    }
    for kind in [0x00, 0x3f, 0x80, 0xc0, 0xff] {
        assert_eq!(ResolvableAddress::from_bytes([kind, 1, 2, 3, 4, 5]), None);
    }
    // The zero key that fills a group up is nobody's.
    let zero = HintKey::from_bytes([0; 16]);
    for (backend, table) in tables(&keys(25, 5)) {
        assert_eq!(table.resolve(&[address(&zero, 1)]), [Vec::<usize>::new()], "{backend}");
    }
}
