//! The sealer: no nonce twice, over sleep, reboot and the end of a day.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;

use hintdex_wire::{
    AssociatedData, HintCipher, HintKey, HintScheme, Nonce, NonceKind, Packet, PacketKey,
    SealError, Sealer, StepLen,
};
use proptest::prelude::*;

const HINT_KEY: HintKey = HintKey::copy_of(&[3; 16]);

const DAY_S: u64 = 86_400;

fn sealer(kind: NonceKind, next_nonce: Nonce) -> Sealer {
    let packet_key = PacketKey::copy_of(&[5; 32]);
    Sealer::for_nonces(kind, HintScheme::Aes128, &HINT_KEY, packet_key, next_nonce)
        .expect("16 bytes have room for all kinds")
}

fn minutes() -> NonceKind {
    NonceKind::Step(StepLen::new(60).expect("a minute"))
}

/// The nonce in the packet that `seal` makes.
fn nonce_of(
    kind: NonceKind,
    seal: impl FnOnce(&mut [u8]) -> Result<usize, SealError>,
) -> Result<Nonce, SealError> {
    let mut out = [0; 64];
    let len = seal(&mut out)?;
    let scheme = HintScheme::Aes128.for_nonces(kind).expect("it has room");
    let packet = Packet::parse(scheme, &out[..len]).expect("a packet");
    let nonce = HintCipher::new(scheme, &HINT_KEY).nonce(packet.hint()).expect("the key is right");
    let mut room = [0; 64];
    let key = PacketKey::copy_of(&[5; 32]);
    assert_eq!(key.open(&packet, nonce, AssociatedData::EMPTY, &mut room), Some(&b"abc"[..]));
    Ok(nonce)
}

fn seal(sealer: &mut Sealer, kind: NonceKind) -> Result<Nonce, SealError> {
    nonce_of(kind, |out| sealer.seal(b"abc", out))
}

fn seal_at(sealer: &mut Sealer, kind: NonceKind, nonce: Nonce) -> Result<Nonce, SealError> {
    nonce_of(kind, |out| sealer.seal_at(nonce, b"abc", out))
}

#[test]
fn a_nonce_is_neither_repeated_nor_undercut() {
    let kind = NonceKind::Counter;
    let mut sealer = sealer(kind, 100);
    let refused = |nonce, next_nonce| Err(SealError::NonceUsed { nonce, next_nonce });
    assert_eq!(seal_at(&mut sealer, kind, 99), refused(99, 100));
    assert_eq!(seal_at(&mut sealer, kind, 107), Ok(107));
    for nonce in [0, 99, 100, 106, 107] {
        assert_eq!(seal_at(&mut sealer, kind, nonce), refused(nonce, 108));
    }
    assert_eq!(sealer.next_nonce(), 108, "a refusal spends nothing");
    assert_eq!((seal(&mut sealer, kind), seal_at(&mut sealer, kind, 109)), (Ok(108), Ok(109)));
    let message = SealError::NonceUsed { nonce: 7, next_nonce: 108 }.to_string();
    assert_eq!(message, "nonce 7 may have been used; seal with 108 or a higher one");
}

#[test]
fn a_short_buffer_spends_no_nonce() {
    let mut sealer = sealer(NonceKind::Counter, 5);
    let needed_bytes = sealer.packet_len_bytes(3);
    let error = SealError::BufferTooShort { needed_bytes };
    assert_eq!(sealer.seal_at(9, b"abc", &mut [0; 26]), Err(error));
    assert_eq!((sealer.next_nonce(), needed_bytes), (5, 27));
    assert_eq!(error.to_string(), "the packet needs a buffer of 27 bytes");
}

#[test]
fn the_last_nonce_of_each_kind_is_the_last_packet() {
    for kind in [NonceKind::Counter, minutes(), NonceKind::DayCounter] {
        let last = kind.max_nonce();
        assert_eq!(sealer(kind, last).nonce_at(0), Ok(last), "{kind}");
        let mut sealer = sealer(kind, last - 1);
        assert_eq!(
            (seal(&mut sealer, kind), seal_at(&mut sealer, kind, last)),
            (Ok(last - 1), Ok(last))
        );
        for nonce in [last + 1, Nonce::MAX] {
            assert_eq!(seal_at(&mut sealer, kind, nonce), Err(SealError::NoncesUsedUp));
        }
        assert_eq!(seal(&mut sealer, kind), Err(SealError::NoncesUsedUp));
        assert_eq!(sealer.nonce_at(0), Err(SealError::NoncesUsedUp), "{kind}");
        assert_eq!(sealer.nonce_at(u64::MAX), Err(SealError::NoncesUsedUp), "{kind}");
    }
    let message = SealError::NoncesUsedUp.to_string();
    assert_eq!(message, "every nonce was used; give the device a new key");
}

/// The counter of a day ends with the day: the next number is one of the next day,
/// and would tell the station a time that the device's clock has not reached.
#[test]
fn a_days_counter_does_not_run_into_the_next_day() {
    let kind = NonceKind::DayCounter;
    let (today, tomorrow) = (kind.first_of(20_000), kind.first_of(20_001));
    let used_up = SealError::DayUsedUp { day: 20_000 };
    let mut sealer = sealer(kind, tomorrow - 2);
    assert_eq!(sealer.nonce_at(20_000 * DAY_S), Ok(tomorrow - 2));
    assert_eq!(seal(&mut sealer, kind), Ok(tomorrow - 2));
    assert_eq!(seal(&mut sealer, kind), Ok(tomorrow - 1));
    for _ in 0..2 {
        assert_eq!(seal(&mut sealer, kind), Err(used_up));
        assert_eq!(sealer.nonce_at(20_000 * DAY_S), Err(used_up));
        assert_eq!(sealer.nonce_at(20_001 * DAY_S - 1), Err(used_up));
        assert_eq!(sealer.nonce_at(0), Err(used_up));
    }
    // Nor after a reboot, from the stored number.
    let rebooted = self::sealer(kind, sealer.next_nonce());
    assert_eq!(rebooted.nonce_at(20_001 * DAY_S - 1), Err(used_up));

    assert_eq!(sealer.nonce_at(20_001 * DAY_S), Ok(tomorrow));
    assert_eq!(seal_at(&mut sealer, kind, tomorrow), Ok(tomorrow));
    assert_eq!(seal(&mut sealer, kind), Ok(tomorrow + 1));
    assert!(seal_at(&mut sealer, kind, today).is_err());
    assert_eq!(used_up.to_string(), "every nonce of day 20000 was used; wait for the next day");
}

#[test]
fn a_days_first_nonce_is_sealed_when_the_caller_names_the_day() {
    let kind = NonceKind::DayCounter;
    let first = kind.first_of(9);
    assert_eq!(seal(&mut sealer(kind, first), kind), Ok(first));
    assert_eq!(seal_at(&mut sealer(kind, 7), kind, first), Ok(first));
    // The wide hints, however the sealer was made.
    let packet_key = PacketKey::copy_of(&[5; 32]);
    let mut wide = Sealer::new(HintScheme::Aes128Wide, &HINT_KEY, packet_key, first - 1);
    assert_eq!(seal(&mut wide, kind), Ok(first - 1));
    assert_eq!(seal(&mut wide, kind), Err(SealError::DayUsedUp { day: 8 }));
}

#[test]
fn the_clock_names_the_nonce_unless_a_higher_one_is_due() {
    let days = NonceKind::DayCounter;
    let cases = [
        (NonceKind::Counter, 7, 1_700_000_000, 7),
        (minutes(), 0, 59, 0),
        (minutes(), 0, 60, 1),
        (minutes(), 1_000, 60_000, 1_000),
        (minutes(), 1_001, 60_000, 1_001),
        (minutes(), 5_000, 60_000, 5_000),
        (days, 0, DAY_S - 1, 0),
        (days, 0, DAY_S, 1 << 32),
        (days, 1 << 32 | 9, DAY_S, 1 << 32 | 9),
        // The clock was set back over midnight: the later day goes on.
        (days, 2 << 32 | 9, DAY_S, 2 << 32 | 9),
        (days, 1 << 32 | 9, 5 * DAY_S, 5 << 32),
    ];
    for (kind, next_nonce, clock_s, expected) in cases {
        let sealer = sealer(kind, next_nonce);
        assert_eq!(sealer.nonce_at(clock_s), Ok(expected), "{kind} {next_nonce} {clock_s}");
        assert_eq!(sealer.next_nonce(), next_nonce, "asking spends nothing");
    }
}

#[test]
fn schemes_without_room_for_a_kind_make_no_sealer() {
    let packet_key = PacketKey::copy_of(&[5; 32]);
    let days = NonceKind::DayCounter;
    assert!(Sealer::for_nonces(days, HintScheme::Speck64, &HINT_KEY, packet_key, 0).is_none());
}

/// One thing a device in the field does.
#[derive(Clone, Debug)]
enum Event {
    /// Sends a packet. Power fails before the number is stored, before the packet
    /// is sent, or not at all.
    Send(u8),
    /// Loses its memory, but not what it has stored.
    Reboot,
    /// Its clock goes on, or is set back.
    Clock(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0u8..8).prop_map(Event::Send),
        2 => Just(Event::Reboot),
        3 => (0i64..200).prop_map(Event::Clock),
        1 => (-200_000i64..200_000).prop_map(Event::Clock),
    ];
    prop::collection::vec(event, 0..60)
}

proptest! {
    /// A device that sends twice in a step, sleeps, reboots and has its clock set
    /// puts no nonce into two packets, as long as it stores before it sends.
    #[test]
    fn a_device_that_stores_before_it_sends_repeats_no_nonce(
        kind in prop_oneof![Just(NonceKind::Counter), Just(minutes()), Just(NonceKind::DayCounter)],
        events in events(),
    ) {
        let (mut clock_s, mut stored, mut used) = (1_700_000_000_u64, 0, BTreeSet::new());
        let mut device = sealer(kind, stored);
        for event in events {
            match event {
                Event::Clock(by_s) => clock_s = clock_s.saturating_add_signed(by_s),
                Event::Reboot => device = sealer(kind, stored),
                Event::Send(failure) => {
                    let nonce = device.nonce_at(clock_s).expect("not so many");
                    if failure == 0 {
                        device = sealer(kind, stored);
                        continue;
                    }
                    stored = nonce + 1;
                    let sent = seal_at(&mut device, kind, nonce);
                    prop_assert_eq!(sent, Ok(nonce));
                    prop_assert!(used.insert(nonce), "nonce {} twice", nonce);
                    prop_assert_eq!(device.next_nonce(), stored);
                    if failure == 1 {
                        device = sealer(kind, stored);
                    }
                }
            }
        }
    }
}
