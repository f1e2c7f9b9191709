//! Any bytes as a snapshot, its checks made right: opened, or refused.
//!
//! The seeds are the golden files, so the parser is reached at once.
#![no_main]

#[path = "../../../crates/hintdex-snapshot/tests/support/repair.rs"]
mod repair;

use hintdex_snapshot::{ManifestKey, Snapshot, VerifyError};
use hintdex_wire::{Hint, HintScheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = ManifestKey::from_bytes([7; 32]);
    // As it is: a CRC or an HMAC stops nearly all of these.
    drop(Snapshot::from_bytes(bytes, &key));

    let mut bytes = bytes.to_vec();
    repair::repair(&mut bytes);
    let Ok(snapshot) = Snapshot::from_bytes(&bytes, &key) else { return };
    let slots = snapshot.params().slots.clone();
    for head in [0_u64, 1 << 63, u64::MAX, 0x0123_4567_89ab_cdef] {
        let mut hint = [0; 16];
        hint[..8].copy_from_slice(&head.to_be_bytes());
        let hint = Hint::read(HintScheme::Aes128, &hint).unwrap();
        for candidates in snapshot.candidates(&hint).expect("the checks are right") {
            assert!(slots.start <= candidates.start && candidates.end <= slots.end);
        }
    }
    // The checksums are repaired, the padding is not.
    match snapshot.verify() {
        Ok(()) | Err(VerifyError::Padding { .. }) => {}
        Err(error) => panic!("the checks are right: {error}"),
    }
    let stats = snapshot.stats();
    assert_eq!(stats.sections.iter().map(|section| section.bytes).sum::<u64>(), stats.bytes);
});
