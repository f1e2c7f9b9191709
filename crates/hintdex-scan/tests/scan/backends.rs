//! Every back end against the ciphers of `hintdex-wire`, and those of AES against
//! the `aes` crate.

use crate::support::{backends, hint, key, keys, random, slot, table};
use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hintdex_scan::{Backend, KeyTable, Match};
use hintdex_wire::{
    Hint, HintCipher, HintKey, HintScheme, MAX_HINT_LEN_BYTES, Nonce, Slot, TruncatedLen,
};

/// Devices of a table in the tests that take the longest: a million where the
/// code is optimized.
const FLEET: u64 = if cfg!(debug_assertions) { 4_000 } else { 1_000_000 };

/// Each way through a cipher: backwards, with wide nonces too, SPECK64, forwards.
fn schemes() -> [HintScheme; 5] {
    let truncated = |len| HintScheme::Aes128Truncated(TruncatedLen::new(len).expect("4 to 12"));
    let [plain, wide] = [HintScheme::Aes128, HintScheme::Aes128Wide];
    [plain, wide, HintScheme::Speck64, truncated(4), truncated(12)]
}

/// The nonce a device's hint is made from in these tests, and those expected.
fn nonce(scheme: HintScheme, index: u64) -> Nonce {
    let nonce = random(0x6e6f6e6365, index);
    if scheme == HintScheme::Aes128Wide {
        return nonce.min(scheme.max_nonce());
    }
    let nonce = nonce >> 32;
    if scheme.is_reversible() { nonce } else { nonce % 1000 + index % 3 }
}

fn expected(scheme: HintScheme, slot: Slot) -> std::ops::Range<Nonce> {
    let nonce = nonce(scheme, slot.0.into());
    nonce - u64::from(slot.0 % 3).min(nonce)..nonce + 1
}

fn each_backend(mut test: impl FnMut(HintScheme, Backend)) {
    for scheme in schemes() {
        for backend in backends(scheme) {
            test(scheme, backend);
        }
    }
}

#[test]
fn the_best_back_end_of_this_machine_is_chosen() {
    for scheme in schemes() {
        let has = backends(scheme);
        assert!(has.contains(&Backend::Portable));
        assert_eq!(KeyTable::new(scheme).backend(), Backend::best(scheme));
        assert_eq!(has.last(), Some(&Backend::best(scheme)));
        println!("{scheme}: {has:?}");
    }
    let error = KeyTable::with_backend(HintScheme::Speck64, Backend::AesNi).expect_err("no such");
    assert!(error.to_string().contains("aes-ni for speck64 hints; the best it has is"), "{error}");
}

/// A back end that detection overlooks would be skipped by every other test here.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_back_end_exists_exactly_where_the_processor_has_its_instructions() {
    let has_aes_ni = is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    let has_avx2 = is_x86_feature_detected!("avx2");
    let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    let has_vaes = is_x86_feature_detected!("vaes");
    for scheme in schemes() {
        let expected = if scheme == HintScheme::Speck64 {
            [true, false, has_avx2, has_avx512]
        } else {
            [true, has_aes_ni, has_avx2 && has_vaes, has_avx512 && has_vaes]
        };
        let detected = Backend::ALL.iter().zip(expected).filter(|(_, has)| *has);
        assert!(backends(scheme).iter().eq(detected.map(|(backend, _)| backend)), "{scheme}");
        for (backend, has) in Backend::ALL.iter().zip(expected) {
            let is_made = hintdex_scan::IdentityTable::with_backend(*backend).is_ok();
            assert!(scheme == HintScheme::Speck64 || is_made == has, "{backend}");
        }
    }
}

#[test]
fn every_device_of_a_fleet_is_found_in_pairs() {
    each_backend(|scheme, backend| {
        let fleet = keys(1, FLEET);
        let hints = fleet.iter().zip(0..).map(|(key, at)| hint(scheme, key, nonce(scheme, at)));
        let pairs: Vec<_> = hints.enumerate().map(|(at, hint)| (slot(at), hint)).collect();
        let table = table(scheme, backend, fleet);
        let mut next = 0;
        table.within(|slot| expected(scheme, slot)).confirm_each(&pairs, |index, found| {
            assert_eq!(index, next, "{scheme} {backend}");
            let wanted = Match { slot: slot(index), nonce: nonce(scheme, index as u64) };
            assert_eq!(found, wanted, "{scheme} {backend}");
            next += 1;
        });
        assert_eq!(next, pairs.len(), "{scheme} {backend}");
    });
}

#[test]
fn every_device_of_a_fleet_is_found_in_the_range_around_it() {
    each_backend(|scheme, backend| {
        // The portable back end takes half a minute for each tenth of a million.
        let fleet = keys(2, if backend == Backend::Portable { FLEET / 20 } else { FLEET });
        let group = |at: usize| slot(at / 32 * 32)..slot(at / 32 * 32 + 32);
        let ranges: Vec<_> = (fleet.iter().enumerate().zip(0..))
            .map(|((at, key), nth)| (group(at), hint(scheme, key, nonce(scheme, nth))))
            .collect();
        let table = table(scheme, backend, fleet);
        let mut seen = vec![0; ranges.len()];
        let mut by_chance = 0;
        let search = table.within(|slot| expected(scheme, slot));
        search.confirm_ranges(&ranges, |index, found| {
            if found.slot == slot(index) && found.nonce == nonce(scheme, index as u64) {
                seen[index] += 1;
            } else {
                by_chance += 1;
            }
        });
        assert!(seen.iter().all(|times| *times == 1), "{scheme} {backend}");
        // 32 check bits: a million hints tried with 31 wrong keys and two nonces each.
        assert!(by_chance <= 2, "{scheme} {backend}: {by_chance}");
    });
}

#[test]
fn a_scan_for_many_finds_all_of_them_and_for_one_the_same() {
    each_backend(|scheme, backend| {
        let table = table(scheme, backend, keys(3, FLEET / 4));
        let places: Vec<u64> = (0..37).map(|at| random(9, at) % (FLEET / 4)).collect();
        let hints: Vec<_> =
            (places.iter()).map(|at| hint(scheme, &key(3, *at), nonce(scheme, *at))).collect();
        let search = table.within(|slot| expected(scheme, slot));
        let wanted = |at: &u64| Match {
            slot: slot(usize::try_from(*at).expect("small")),
            nonce: nonce(scheme, *at),
        };
        for count in [1, 2, 3, 16, 17, 37] {
            let found = search.confirm_all(&hints[..count]);
            for (found, at) in found.iter().zip(&places) {
                assert!(found.contains(&wanted(at)) && found.len() < 3, "{scheme} {backend}");
            }
            let until = search.confirm_all_until_found(&hints[..count]);
            assert!(until.iter().zip(&places).all(|(found, at)| found.contains(&wanted(at))));
        }
        assert_eq!(search.confirm_all(&[]), Vec::<Vec<Match>>::new());
    });
}

/// Runs `work` with one thread, which takes the tasks of a scan in order.
fn in_order<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(work)
}

/// With 96 check bits a second match means that two slots hold the same key, so the
/// scan may stop at the first. With fewer, an early match can be a wrong key, and a
/// scan that stopped there would lose the right one.
#[test]
fn a_scan_until_found_stops_early_only_where_a_match_is_certain() {
    let tasks_apart = 3 << 14;
    let places = [2, tasks_apart + 5];
    for scheme in schemes() {
        let mut fleet: Vec<_> = (0..=places[1]).map(|_| HintKey::from_bytes([9; 16])).collect();
        for place in places {
            fleet[place] = key(40, 1);
        }
        let other = hint(scheme, &key(41, 1), 7);
        let hint = hint(scheme, &key(40, 1), 7);
        let table = table(scheme, Backend::best(scheme), fleet);
        let search = table.within(|_| 7..8);
        let both = places.map(|place| Match { slot: slot(place), nonce: 7 }).to_vec();
        let stops_early = scheme == HintScheme::Aes128;
        let expected = if stops_early { both[..1].to_vec() } else { both.clone() };
        // A hint that nobody made keeps the scan going for itself alone.
        let (found, whole) = in_order(|| {
            (search.confirm_all_until_found(&[hint, other]), search.confirm_all(&[hint, other]))
        });
        assert_eq!(found, [expected, vec![]], "{scheme}");
        assert_eq!(whole, [both, vec![]], "{scheme}");
        if scheme.is_reversible() {
            let of_table = in_order(|| table.confirm_all_until_found(&[hint, other]));
            assert_eq!(of_table, found, "{scheme}");
        }
    }
}

#[test]
fn ranges_of_every_length_at_every_edge() {
    each_backend(|scheme, backend| {
        let fleet = keys(4, 200);
        let table = table(scheme, backend, fleet.clone());
        let search = table.within(|slot| expected(scheme, slot));
        for len in [0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 64, 65, 100] {
            for start in [0usize, 1, 5, 167, 200 - len] {
                for at in [
                    start.wrapping_sub(1),
                    start,
                    start + len / 2,
                    (start + len).wrapping_sub(1),
                    start + len,
                ] {
                    let Some(key) = fleet.get(at) else { continue };
                    let hint = hint(scheme, key, nonce(scheme, at as u64));
                    let found = search.confirm(slot(start)..slot(start + len), &hint);
                    let inside = (start..start + len).contains(&at);
                    let wanted = Match { slot: slot(at), nonce: nonce(scheme, at as u64) };
                    assert_eq!(
                        found,
                        if inside { vec![wanted] } else { vec![] },
                        "{scheme} {backend} {at} in {start} + {len}"
                    );
                    let alone = search.confirm_slot(slot(at), &hint);
                    assert_eq!(alone, Some(wanted), "{scheme} {backend}");
                }
            }
        }
        let last = hint(scheme, &fleet[199], nonce(scheme, 199));
        assert_eq!(search.confirm(Slot(150)..Slot(u32::MAX), &last).len(), 1);
        assert_eq!(search.confirm(Slot(500)..Slot(600), &last), []);
        let reversed = search.confirm(Slot(200)..Slot(0), &last);
        assert_eq!(reversed, []);
    });
}

#[test]
fn foreign_hints_match_by_chance_alone() {
    each_backend(|scheme, backend| {
        let table = table(scheme, backend, keys(5, FLEET / 4));
        let foreign: Vec<_> = (0..20).map(|at| hint(scheme, &key(6, at), 5)).collect();
        let found = table.within(|_| 0..3).confirm_all(&foreign);
        let matches: usize = found.iter().map(Vec::len).sum();
        // 15 million tries of 32 bits at worst: one in 286 runs of other keys.
        assert_eq!(matches, 0, "{scheme} {backend}");
        let mut none = 0;
        let pairs: Vec<_> =
            foreign.iter().enumerate().map(|(at, hint)| (slot(at), *hint)).collect();
        table.within(|_| 0..3).confirm_each(&pairs, |_, _| none += 1);
        assert_eq!(none, 0);
    });
}

/// Hints of the `aes` crate under random keys, and random blocks, most of which are
/// no hints: the back ends find exactly the hints that the crate finds.
#[test]
fn aes_back_ends_agree_with_the_aes_crate() {
    let count = if cfg!(debug_assertions) { 10_000 } else { 2_000_000 };
    for backend in backends(HintScheme::Aes128) {
        let (mut pairs, mut wanted) = (Vec::new(), Vec::new());
        let fleet = keys(7, count);
        for (at, key) in fleet.iter().enumerate() {
            let cipher = Aes128::new(key.expose().into());
            let high = random(8, 2 * at as u64);
            // A plain block with one stray bit, with random bytes, or a hint's.
            let stray = match at % 3 {
                0 => 1u128 << (32 + high % 96),
                1 => u128::from(high) << 64,
                _ => 0,
            };
            let nonce = random(8, 2 * at as u64 + 1) >> 32;
            let mut block = Array((stray | u128::from(nonce)).to_be_bytes());
            cipher.encrypt_block(&mut block);
            let hint = Hint::read(HintScheme::Aes128, &block).expect("16 bytes");
            cipher.decrypt_block(&mut block);
            if u128::from_be_bytes(block.0) <= u32::MAX.into() {
                wanted.push((at, Match { slot: slot(at), nonce }));
            }
            pairs.push((slot(at), hint));
        }
        let table = table(HintScheme::Aes128, backend, fleet);
        let mut found = Vec::new();
        table.confirm_each(&pairs, |index, matched| found.push((index, matched)));
        assert_eq!(found.len(), wanted.len(), "{backend}");
        assert_eq!(found, wanted, "{backend}");
        let mut found = Vec::new();
        let ranges: Vec<_> = pairs.iter().map(|(at, hint)| (*at..Slot(at.0 + 16), *hint)).collect();
        table.confirm_ranges(&ranges, |index, matched| found.push((index, matched)));
        found.sort_unstable();
        assert_eq!(found, wanted, "{backend}");
    }
}

#[test]
fn truncated_back_ends_agree_with_the_aes_crate() {
    let count = if cfg!(debug_assertions) { 5_000 } else { 300_000 };
    for len in [4, 5, 8, 11, 12].into_iter().filter_map(TruncatedLen::new) {
        let scheme = HintScheme::Aes128Truncated(len);
        for backend in backends(scheme) {
            let (mut pairs, mut wanted) = (Vec::new(), Vec::new());
            let fleet = keys(10, count);
            for (at, key) in fleet.iter().enumerate() {
                let nonce = at as u64 % 5 + 1000;
                let mut block = Array(u128::from(nonce).to_be_bytes());
                Aes128::new(key.expose().into()).encrypt_block(&mut block);
                // One bit of a third is wrong, at any place.
                if at % 3 == 0 {
                    block[at % len.bytes()] ^= 1 << (at % 8);
                } else if (1001..1004).contains(&nonce) {
                    wanted.push((at, Match { slot: slot(at), nonce }));
                }
                pairs.push((slot(at), Hint::read(scheme, &block[..]).expect("16 bytes")));
            }
            let table = table(scheme, backend, fleet);
            let mut found = Vec::new();
            table.within(|_| 1001..1004).confirm_each(&pairs, |index, matched| {
                found.push((index, matched));
            });
            assert_eq!(found, wanted, "{scheme} {backend}");
        }
    }
}

#[test]
fn a_table_returns_the_keys_it_was_given() {
    each_backend(|scheme, backend| {
        for count in [1, 2, 7, 16, 33] {
            let fleet = keys(11, count);
            let table = table(scheme, backend, fleet.clone());
            for (at, key) in fleet.iter().enumerate() {
                let stored = table.key(slot(at)).map(|key| *key.expose());
                assert_eq!(stored, Some(*key.expose()), "{scheme} {backend}");
            }
            assert!(table.key(slot(fleet.len())).is_none());
        }
    });
}

#[test]
fn windows_end_where_nonces_do() {
    let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
    let last = Nonce::from(u32::MAX);
    for backend in backends(truncated) {
        let fleet: Vec<HintKey> = keys(12, 40);
        let table = table(truncated, backend, fleet.clone());
        let hint = hint(truncated, &fleet[20], last);
        let all = Slot(0)..Slot(40);
        let found = [Match { slot: Slot(20), nonce: last }];
        let within = |nonces: std::ops::Range<Nonce>| {
            table.within(move |_| nonces.clone()).confirm(all.clone(), &hint)
        };
        assert_eq!(within(last - 3..last + 100), found, "{backend}");
        assert_eq!(within(last..Nonce::MAX), found, "{backend}");
        assert_eq!(within(last - 3..last), [], "{backend}");
        assert_eq!(within(last + 1..last + 9), [], "{backend}");
        assert_eq!(within(7..7), [], "{backend}");
        // Each slot is held to its own window, also where its neighbours' are longer.
        let short = |slot: Slot| last - 5..if slot.0 == 20 { last } else { last + 1 };
        assert_eq!(table.within(short).confirm(all.clone(), &hint), [], "{backend}");
        assert_eq!(table.within(short).confirm_slot(Slot(20), &hint), None, "{backend}");
        assert_eq!(table.within(short).confirm_all(&[hint]), [vec![]], "{backend}");
        let own = |slot: Slot| if slot.0 == 20 { 0..5 } else { last - 5..last + 1 };
        assert_eq!(table.within(own).confirm(all.clone(), &hint), [], "{backend}");
        assert_eq!(table.within(own).confirm_all(&[hint]), [vec![]], "{backend}");
        let both: Vec<_> = [20, 21].map(|slot| (Slot(slot), hint)).into();
        table.within(short).confirm_each(&both, |pair, _| unreachable!("{pair} {backend}"));
    }
}

#[test]
fn a_hint_with_two_nonces_under_one_key_is_found_twice() {
    // Two nonces of this key have hints with the same first four bytes; found by
    // trying some ten thousand nonces of as many keys.
    let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
    let (at, nonces) = twins(truncated);
    let key = key(13, at);
    let hint = hint(truncated, &key, nonces[0]);
    assert_eq!(hint, crate::support::hint(truncated, &key, nonces[1]));
    for backend in backends(truncated) {
        let mut fleet = keys(14, 40);
        fleet[30] = key.clone();
        let table = table(truncated, backend, fleet);
        let search = table.within(|_| nonces[0]..nonces[1] + 1);
        let wanted = nonces.map(|nonce| Match { slot: Slot(30), nonce });
        assert_eq!(search.confirm(Slot(30)..Slot(31), &hint), wanted, "{backend}");
        assert_eq!(search.confirm(Slot(16)..Slot(32), &hint), wanted, "{backend}");
        assert_eq!(search.confirm_slot(Slot(30), &hint), Some(wanted[0]), "{backend}");
        assert_eq!(search.confirm_all(&[hint]), [wanted.to_vec()], "{backend}");
    }
}

/// A key and two nonces below 2^14 whose hints are the same.
fn twins(scheme: HintScheme) -> (u64, [Nonce; 2]) {
    for at in 0..1000 {
        let mut made: Vec<([u8; MAX_HINT_LEN_BYTES], Nonce)> = Vec::new();
        let cipher = hintdex_wire::HintCipher::new(scheme, &key(13, at));
        cipher.each_hint(0..1 << 14, |hint| made.push((*hint.as_bytes(), made.len() as u64)));
        made.sort_unstable();
        if let Some(pair) = made.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return (at, [pair[0].1, pair[1].1]);
        }
    }
    unreachable!("one key in 32 has such a pair")
}

#[test]
fn hints_of_points_are_those_of_the_cipher() {
    each_backend(|scheme, backend| {
        let keys = keys(31, 100);
        let table = table(scheme, backend, keys.clone());
        for count in [0, 1, 15, 16, 17, 33, 100] {
            let points: Vec<_> =
                (0..count).map(|at| (slot(99 - at), nonce(scheme, at as u64 ^ 5))).collect();
            let mut made = vec![Hint::ZERO; count];
            table.hints(&points, &mut made);
            for ((slot, nonce), made) in points.iter().zip(&made) {
                let expected = hint(scheme, &keys[slot.index()], *nonce);
                assert_eq!(*made, expected, "{scheme} {backend} {nonce}");
            }
        }
        // The last nonces, and one past each of them, where the hint may be anything.
        for nonce in [scheme.max_nonce(), scheme.max_nonce().saturating_add(1)] {
            let mut made = [Hint::ZERO];
            table.hints(&[(slot(3), nonce)], &mut made);
            if nonce == scheme.max_nonce() {
                assert_eq!(made, [hint(scheme, &keys[3], nonce)], "{scheme} {backend}");
            }
        }
        table.hints(&[(Slot(100), 0)], &mut [Hint::ZERO]);
    });
}

#[test]
fn hints_of_a_run_are_those_of_its_points() {
    each_backend(|scheme, backend| {
        let mut table = table(scheme, backend, keys(37, 20));
        table.retire(slot(4));
        table.entomb(slot(5));
        let end = scheme.max_nonce().saturating_add(1);
        // A retired slot, a tombstone, a slot past the end; the last nonces, and some past them.
        for at in [0, 4, 5, 19, 20] {
            for run in [3..3, 0..1, 5..70, 7..23, end - 9..end, end - 9..end.saturating_add(9)] {
                let points: Vec<_> = run.clone().map(|nonce| (slot(at), nonce)).collect();
                let mut expected = vec![Hint::ZERO; points.len()];
                table.hints(&points, &mut expected);
                let mut made = vec![Hint::ZERO; points.len()];
                table.hints_of_run(slot(at), run.start, &mut made);
                assert_eq!(made, expected, "{scheme} {backend} {at} {run:?}");
            }
        }
    });
}

/// Heads of 24 bits are no check of a key: every search finds exactly the expected nonces whose
/// hint is the head, however many there are.
#[test]
fn carried_hints_are_found_where_their_cipher_makes_them() {
    let scheme = HintScheme::Carry24;
    let fleet = keys(12, 2003);
    // From the first nonces, across a multiple of 2^24, and up to the last nonce.
    let last = scheme.max_nonce();
    for first in [0, (3 << 24) - 100, last - 240] {
        let window = |slot: Slot| {
            let start = first + u64::from(slot.0) % 50;
            start..(start + 200).min(last + 1)
        };
        let mut made: Vec<(Hint, Match)> = Vec::new();
        for (at, key) in fleet.iter().enumerate() {
            let mut nonce = window(slot(at)).start;
            HintCipher::new(scheme, key).each_hint(window(slot(at)), |hint| {
                made.push((hint, Match { slot: slot(at), nonce }));
                nonce += 1;
            });
        }
        let hints: Vec<Hint> =
            made.iter().step_by(12_345).map(|(hint, _)| *hint).take(20).collect();
        for backend in backends(scheme) {
            let table = table(scheme, backend, fleet.clone());
            let search = table.within(window);
            let mut chance = 0;
            for (hint, found) in hints.iter().zip(search.confirm_all(&hints)) {
                let wanted = made.iter().filter(|(other, _)| other == hint);
                let wanted: Vec<Match> = wanted.map(|(_, matched)| *matched).collect();
                assert_eq!(found, wanted, "{backend} from {first}");
                assert_eq!(search.confirm(Slot(0)..Slot(2003), hint), wanted, "{backend}");
                for matched in &wanted {
                    let mut alone = Vec::new();
                    search.confirm_each(&[(matched.slot, *hint)], |_, found| alone.push(found));
                    assert!(alone.contains(matched), "{backend}");
                }
                chance += wanted.len() - 1;
            }
            // 400,000 hints of 2^24: 0.024 others for each of the twenty.
            assert!(chance < 6, "{backend}: {chance}");
        }
    }
}
