//! A lead in front of packets: what is behind it is the packet, whatever sealed it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{
    HintKey, HintScheme, Lead, PacketFormat, PacketKey, Schedule, SealError, Sealer, Suite,
    WrongLead,
};
use proptest::prelude::*;

fn sealer(suite: Suite) -> Sealer {
    let format = PacketFormat { scheme: HintScheme::Aes128, suite };
    Sealer::new(format, &HintKey::from_bytes([1; 16]), PacketKey::from_bytes([2; 32]), 5)
}

proptest! {
    #[test]
    fn a_packet_behind_a_lead_is_the_packet_without_it(
        lead: u8,
        suite in proptest::sample::select(Suite::ALL),
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        room in 0_usize..128,
    ) {
        let lead = Lead(lead);
        let mut plain = vec![0; 128];
        let len = sealer(suite).seal(&payload, &mut plain).expect("it fits");
        let mut led = vec![0; room];
        let sealed = lead.before(&mut led, |rest| sealer(suite).seal(&payload, rest));
        if room < len + 1 {
            prop_assert_eq!(sealed, Err(SealError::BufferTooShort { needed_bytes: len + 1 }));
        } else {
            prop_assert_eq!(sealed, Ok(len + 1));
            prop_assert_eq!(lead.strip(&led[..=len]), Ok(&plain[..len]));
        }
    }

    #[test]
    fn only_the_lead_is_stripped(lead: u8, bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
        let stripped = Lead(lead).strip(&bytes);
        match bytes.split_first() {
            Some((first, rest)) if *first == lead => prop_assert_eq!(stripped, Ok(rest)),
            first => {
                let first = first.map(|(first, _)| *first);
                prop_assert_eq!(stripped, Err(WrongLead { lead: Lead(lead), first }));
            }
        }
    }
}

#[test]
fn errors_of_the_sealer_are_passed_on_and_packets_of_a_schedule_are_led_as_well() {
    let (lead, key) = (Lead::LORAWAN_PROPRIETARY, PacketKey::from_bytes([2; 32]));
    let schedule = Schedule::new(1, 2).expect("a schedule");
    let mut radio = [0; 16];
    let len = lead.before(&mut radio, |rest| schedule.seal(&key, 5, b"21.5 C", rest));
    assert_eq!((len, radio[0]), (Ok(15), 0xe0));
    let mut payload = [0; 16];
    let packet = lead.strip(&radio[..15]).expect("just sealed");
    assert_eq!(schedule.open(&key, 5, packet, &mut payload), Some(&b"21.5 C"[..]));
    let used_up = lead.before(&mut radio, |rest| schedule.seal(&key, u64::MAX, b"", rest));
    assert_eq!(used_up, Err(SealError::NoncesUsedUp));
}
