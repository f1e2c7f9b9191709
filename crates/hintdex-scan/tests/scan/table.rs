//! Searches through the table against the keys that made the hints.

use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{
    DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, Slot,
    TruncatedLen,
};
use proptest::prelude::*;

const SCHEME: HintScheme = HintScheme::Aes128;

fn keys(count: u32) -> Vec<HintKey> {
    let master = MasterKey::new(&[3; 32]);
    (0..count).map(|id| master.hint_key(KeyId::first(DeviceId(id))).expect("derived")).collect()
}

fn table(count: u32) -> KeyTable {
    let mut table = KeyTable::new(SCHEME);
    table.extend(keys(count));
    table
}

fn hint(key: &HintKey, nonce: u64) -> Hint {
    HintCipher::new(SCHEME, key).hint(nonce).expect("a counter")
}

#[test]
fn every_slot_is_found_at_its_place_and_nowhere_else() {
    let keys = keys(5000);
    let table = table(5000);
    let hints: Vec<_> = keys.iter().zip(0..).map(|(key, nonce)| hint(key, nonce)).collect();
    for (slot, found) in table.confirm_all(&hints).into_iter().enumerate() {
        let slot = Slot(u32::try_from(slot).expect("small"));
        assert_eq!(found, [Match { slot, nonce: u64::from(slot.0) }]);
    }
}

#[test]
fn ranges_are_half_open_and_end_with_the_table() {
    let table = table(33);
    let last = hint(&keys(33)[32], 9);
    let found = [Match { slot: Slot(32), nonce: 9 }];
    assert_eq!(table.confirm(Slot(32)..Slot(33), &last), found);
    assert_eq!(table.confirm(Slot(0)..Slot(u32::MAX), &last), found);
    assert_eq!(table.confirm(Slot(0)..Slot(32), &last), []);
    assert_eq!(table.confirm(Slot(33)..Slot(40), &last), []);
    assert_eq!(table.confirm(Slot(7)..Slot(7), &last), []);
    assert_eq!(KeyTable::new(SCHEME).confirm_all(&[last]), [vec![]]);
}

#[test]
fn foreign_hints_match_nobody() {
    let foreign = hint(&HintKey::from_bytes([0xa5; 16]), 1);
    assert_eq!(table(3000).confirm_all(&[foreign]), [vec![]]);
}

#[test]
fn a_retired_slot_is_gone_and_its_zeroized_key_opens_nothing() {
    let mut table = table(100);
    let (old, zero) = (hint(&keys(100)[50], 3), hint(&HintKey::from_bytes([0; 16]), 3));
    table.retire(Slot(50));
    assert!(table.key(Slot(50)).is_none());
    for hint in [old, zero] {
        assert_eq!(table.confirm_all(&[hint]), [vec![]]);
        assert_eq!(table.confirm_slot(Slot(50), &hint), None);
    }
    assert_eq!(table.confirm_all(&[hint(&keys(100)[51], 4)])[0].len(), 1);
}

#[test]
fn a_grown_table_finds_the_old_and_the_new() {
    let mut grown = table(10);
    grown.extend(keys(20).split_off(10));
    grown.retire(Slot(12));
    let keys = keys(20);
    for slot in (0..20u32).filter(|slot| *slot != 12) {
        let found = grown.confirm_slot(Slot(slot), &hint(&keys[slot as usize], 1));
        assert_eq!(found, Some(Match { slot: Slot(slot), nonce: 1 }));
    }
}

#[test]
#[should_panic(expected = "search within the expected nonces")]
fn hints_that_cannot_be_reversed_are_not_searched_without_expected_nonces() {
    let short = HintScheme::Aes128Truncated(TruncatedLen::MIN);
    let mut table = KeyTable::new(short);
    table.extend(keys(3));
    table.confirm_all(&[HintCipher::new(short, &keys(1)[0]).hint(0).expect("a counter")]);
}

#[test]
fn nothing_secret_is_printed() {
    let (table, keys) = (table(2), keys(2));
    let printed = format!("{table:?} {:?}", table.within(|_| 0..1));
    assert!(printed.contains("slots: 2"), "{printed}");
    for key in keys {
        assert!(!printed.contains(&hex::encode(&key.expose()[..4])), "{printed}");
        let numbers = format!("{:?}", &key.expose()[..4]);
        assert!(!printed.contains(numbers.trim_matches(['[', ']'])), "{printed}");
    }
}

/// 16 bytes a slot, in whole pages, and one bit, in words of 64.
#[test]
fn a_table_takes_the_memory_that_it_reports() {
    assert_eq!(KeyTable::new(SCHEME).memory_bytes(), 0);
    assert!(KeyTable::new(SCHEME).is_empty() && !table(1).is_empty());
    for count in [1_usize, 64, 65, 1000] {
        let table = table(u32::try_from(count).expect("small"));
        let needed = (16 * count).next_multiple_of(4096) + 8 * count.div_ceil(64);
        let reported = table.memory_bytes();
        assert!((needed..needed + 64).contains(&reported), "{count}: {reported}");
        assert_eq!((table.len(), table.scheme()), (count, SCHEME));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn confirm_and_confirm_all_agree(slot in 0u32..300, nonce in 0u64..=u64::from(u32::MAX)) {
        let table = table(300);
        let hint = hint(&keys(300)[slot as usize], nonce);
        let expected = vec![Match { slot: Slot(slot), nonce }];
        prop_assert_eq!(&table.confirm(Slot(0)..Slot(300), &hint), &expected);
        prop_assert_eq!(table.confirm_all(&[hint]), vec![expected]);
    }
}

/// What a chain finds for a hint passes the rules of a search: a key, a nonce of the scheme, and
/// the expected nonces where hints cannot be reversed.
#[test]
fn a_search_may_match_expected_nonces_of_slots_with_keys() {
    let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
    for scheme in [HintScheme::Aes128, HintScheme::Speck64, truncated] {
        let mut table = KeyTable::new(scheme);
        table.extend(keys(10));
        table.retire(Slot(3));
        let search = table.within(|slot| u64::from(slot.0)..u64::from(slot.0) + 2);
        let may = |slot, nonce| search.may_match(Slot(slot), nonce);
        assert!(may(5, 5) && may(5, 6), "{scheme}");
        assert!(!may(3, 3) && !may(10, 10), "{scheme}: a slot without a key");
        for nonce in [0, 4, 7, scheme.max_nonce()] {
            assert_eq!(may(5, nonce), scheme.is_reversible(), "{scheme}: {nonce}");
        }
        if let Some(past) = scheme.max_nonce().checked_add(1) {
            assert!(!may(5, past), "{scheme}");
        }
    }
}
