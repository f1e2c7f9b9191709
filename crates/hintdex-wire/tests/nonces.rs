//! Nonces and the time they encode, against plain arithmetic.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, NonceKind, StepLen};
use proptest::prelude::*;

fn step(seconds: u32) -> NonceKind {
    NonceKind::Step(StepLen::new(seconds).expect("1 to 86,400"))
}

#[test]
fn names_and_numbers_are_fixed() {
    let known = [
        ("counter", 1, 0, NonceKind::Counter),
        ("day-counter", 2, 86_400, NonceKind::DayCounter),
        ("step:60", 3, 60, step(60)),
        ("step:86400", 3, 86_400, step(86_400)),
    ];
    for (name, number, unit_s, kind) in known {
        assert_eq!(NonceKind::from_name(name), Some(kind));
        assert_eq!(kind.to_string(), name);
        assert_eq!((kind.number(), kind.unit_s()), (number, unit_s));
        assert_eq!(NonceKind::from_number(number, unit_s), Some(kind));
    }
    for name in ["step:0", "step:86401", "step:", "step:060", "step:+60", "step:1.5", "step", "day"]
    {
        assert_eq!(NonceKind::from_name(name), None, "{name}");
    }
    for (number, unit_s) in [(0, 0), (1, 60), (2, 0), (3, 0), (3, 86_401), (4, 60)] {
        assert_eq!(NonceKind::from_number(number, unit_s), None, "{number} {unit_s}");
    }
}

#[test]
fn a_scheme_has_room_for_a_kind_or_is_refused() {
    let truncated = HintScheme::from_name("aes128-trunc:8").expect("a scheme");
    let days = NonceKind::DayCounter;
    assert_eq!(HintScheme::Aes128.for_nonces(days), Some(HintScheme::Aes128Wide));
    assert_eq!(HintScheme::Aes128Wide.for_nonces(step(60)), Some(HintScheme::Aes128));
    assert_eq!(truncated.for_nonces(step(60)), Some(truncated));
    assert_eq!((HintScheme::Speck64.for_nonces(days), truncated.for_nonces(days)), (None, None));
    for scheme in HintScheme::ALL {
        for kind in [NonceKind::Counter, days, step(15)] {
            let Some(scheme) = scheme.for_nonces(kind) else { continue };
            assert!(kind.max_nonce() <= scheme.max_nonce(), "{scheme} {kind}");
        }
    }
}

#[test]
fn wide_hints_are_reversed_to_all_64_bits_of_the_nonce() {
    let cipher = HintCipher::new(HintScheme::Aes128Wide, &HintKey::from_bytes([9; 16]));
    let narrow = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes([9; 16]));
    for nonce in [0, 1, u64::from(u32::MAX), 1 << 32, 20_780 << 32 | 7, Nonce::MAX - 1] {
        let hint = cipher.hint(nonce).expect("it has one");
        assert_eq!(cipher.nonce(&hint), Some(nonce));
        let fits = nonce <= u64::from(u32::MAX);
        assert_eq!(narrow.nonce(&hint), fits.then_some(nonce));
        assert_eq!(narrow.hint(nonce), fits.then_some(hint));
    }
    // The 32-bit day's end: the last counter of the last day is the end of every range.
    assert_eq!(cipher.hint(Nonce::MAX), None);
    let foreign = Hint::read(HintScheme::Aes128Wide, &[7; 16]).expect("16 bytes");
    assert_eq!(cipher.nonce(&foreign), None);
    let mut made = 0;
    cipher.each_hint(Nonce::MAX - 3..Nonce::MAX, |_| made += 1);
    assert_eq!(made, 3);
}

#[test]
fn the_last_day_and_the_last_step_have_a_time() {
    let last_day = u64::from(u32::MAX) * 86_400;
    assert_eq!(
        NonceKind::DayCounter.device_time_s(Nonce::MAX - 1),
        Some(last_day..last_day + 86_400)
    );
    assert_eq!(NonceKind::DayCounter.first_of(u64::from(u32::MAX) + 1), Nonce::MAX);
    let last = u64::from(u32::MAX);
    assert_eq!(step(86_400).device_time_s(last), Some(last * 86_400..(last + 1) * 86_400));
    assert_eq!(NonceKind::Counter.device_time_s(7), None);
}

#[test]
fn every_unit_up_to_the_last_has_nonces_of_its_own() {
    for kind in [step(1), step(86_400), NonceKind::DayCounter] {
        assert_eq!(kind.max_unit(), u64::from(u32::MAX), "{kind}");
        for unit in [0, 1, 20_000, kind.max_unit() - 1, kind.max_unit()] {
            assert_eq!(kind.unit_of(kind.first_of(unit)), unit, "{kind}");
            assert!(kind.first_of(unit) <= kind.max_nonce(), "{kind} {unit}");
            assert!(unit == 0 || kind.unit_of(kind.first_of(unit) - 1) == unit - 1, "{kind}");
        }
        assert_eq!(kind.unit_of(kind.max_nonce()), kind.max_unit(), "{kind}");
        assert!(kind.first_of(kind.max_unit() + 1) > kind.max_nonce(), "{kind}");
    }
    let counter = NonceKind::Counter;
    assert_eq!((counter.unit_of(7), counter.first_of(7), counter.is_clocked()), (0, 0, false));
}

proptest! {
    #[test]
    fn a_nonce_encodes_the_unit_in_which_it_was_chosen(unix_s in 0u64..1 << 40, len in 1u32..=86_400, counter: u32) {
        let kind = step(len);
        let unit = unix_s / u64::from(len);
        prop_assert_eq!(kind.unit_of(kind.first_of(unit)), unit);
        prop_assert!(kind.device_time_s(kind.first_of(unit)).expect("it tells time").contains(&unix_s));
        let day = (unix_s / 86_400).min(u64::from(u32::MAX) - 1);
        let nonce = NonceKind::DayCounter.first_of(day) + u64::from(counter);
        prop_assert_eq!(NonceKind::DayCounter.unit_of(nonce), day);
    }
}
