//! Keys tried: one by one, in groups, and all of them, by each back end that
//! valgrind knows.

use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, KeyTable};
use hintdex_wire::{Hint, HintScheme, Slot};

use super::{Path, fold, input};
use crate::{Failure, counted};

const AES: HintScheme = HintScheme::Aes128;
const SPECK: HintScheme = HintScheme::Speck64;
/// Keys of a table.
const SLOTS: u32 = 1 << 14;

pub const PATHS: &[Path] = &[
    Path { name: "scan: confirm_each, aes-ni", work: || each(AES, Backend::AesNi) },
    Path { name: "scan: confirm_ranges, aes-ni", work: || ranges(AES, Backend::AesNi) },
    Path { name: "scan: confirm_ranges, speck avx2", work: || ranges(SPECK, Backend::Avx2) },
    Path { name: "scan: confirm_all, portable", work: || all(AES, Backend::Portable) },
    Path { name: "scan: confirm_all, aes-ni", work: || all(AES, Backend::AesNi) },
    Path { name: "scan: confirm_all, speck avx2", work: || all(SPECK, Backend::Avx2) },
];

/// A table, and hints of random slots of it.
struct Input {
    table: KeyTable,
    hints: Vec<(u32, Hint)>,
}

fn make(scheme: HintScheme, backend: Backend, hints: usize) -> Result<Input, Failure> {
    let keys = input::quick_hint_keys(SLOTS);
    let mut random = SplitMix64::new(2);
    let mut of_random_slot = |nonce| -> Result<(u32, Hint), Failure> {
        let slot = random.below_u32(SLOTS);
        let key = keys.get(slot as usize).ok_or("no such slot")?;
        Ok((slot, input::hint(scheme, key, nonce)?))
    };
    let hints = (0..hints as u64).map(&mut of_random_slot).collect::<Result<_, _>>()?;
    let mut table = KeyTable::with_backend(scheme, backend)?;
    table.extend(keys);
    Ok(Input { table, hints })
}

/// Pairs as a live index names them: the right slot beside each hint.
fn each(scheme: HintScheme, backend: Backend) -> Result<u64, Failure> {
    let Input { table, hints } = make(scheme, backend, 4096)?;
    let pairs: Vec<_> = hints.iter().map(|(slot, hint)| (Slot(*slot), *hint)).collect();
    Ok(counted(&mut || {
        let mut hash = 0;
        table.confirm_each(&pairs, |index, found| {
            hash = fold(hash, index as u64 ^ u64::from(found.slot.0));
        });
        hash
    }))
}

/// Groups of 32 as a snapshot names them.
fn ranges(scheme: HintScheme, backend: Backend) -> Result<u64, Failure> {
    let Input { table, hints } = make(scheme, backend, 1024)?;
    let group = |slot: u32| Slot(slot / 32 * 32)..Slot(slot / 32 * 32 + 32);
    let ranges: Vec<_> = hints.iter().map(|(slot, hint)| (group(*slot), *hint)).collect();
    Ok(counted(&mut || {
        let mut hash = 0;
        table.confirm_ranges(&ranges, |index, found| {
            hash = fold(hash, index as u64 ^ u64::from(found.slot.0));
        });
        hash
    }))
}

/// The last resort, for eight hints at once.
fn all(scheme: HintScheme, backend: Backend) -> Result<u64, Failure> {
    let Input { table, hints } = make(scheme, backend, 8)?;
    let hints: Vec<_> = hints.into_iter().map(|(_, hint)| hint).collect();
    Ok(counted(&mut || {
        let matches = table.confirm_all(&hints);
        let slots = matches.iter().flatten().map(|found| u64::from(found.slot.0));
        slots.fold(matches.len() as u64, fold)
    }))
}
