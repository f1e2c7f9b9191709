//! A verdict is right whatever came with it: captures decoded one packet a call, and cut
//! into any batches on any number of threads, with and without a snapshot, for all hints
//! and nonces.

mod capture;
mod mixed;
mod runs;
mod work;

use hintdex::wire::{HintScheme, NonceKind, StepLen, Suite};
use hintdex_tests::{Devices, Random, cases};

use capture::truncated;
use runs::{Fleet, Packet, START, Said, Setting, Split, What, absurd, differs, smallest};

use crate::fleet::SECRET;

fn minutes() -> NonceKind {
    NonceKind::Step(StepLen::new(60).expect("1 to 86,400"))
}

/// Splits of a capture: all together, and at random, on one, two and five threads.
fn splits(packets: usize, random: &mut Random) -> Vec<Split> {
    let mut splits: Vec<Split> =
        [1, 2, 5].map(|threads| Split::together(packets, threads)).to_vec();
    for (most, threads) in [(3, 1), (20, 5), (200, 2)] {
        splits.push(Split::random(packets, most, threads, random));
    }
    splits
}

/// Says which packets are wrong in the smallest part of a capture that shows it.
fn show(packets: &[Packet], split: &Split, said: &[Said]) -> String {
    let lines = packets.iter().zip(&split.batches).zip(said).map(|((packet, batch), said)| {
        let at_s = i128::from(packet.at_unix_s) - i128::from(START);
        let (what, (said, of, _)) = (packet.what, said);
        format!("\n  batch {batch}, received at {at_s} s, {what:?}: {said} {of:?}")
    });
    lines.take(40).collect()
}

/// Holds every split of a capture against its packets taken one by one; what is wrong.
fn faults(fleet: &Fleet, packets: &[Packet], splits: &[Split]) -> Vec<String> {
    let mut faults = Vec::new();
    let singly = Split::singly(packets.len());
    let right = fleet.said(packets, &singly);
    if let Some(at) = packets.iter().zip(&right).position(|(packet, said)| absurd(packet, said)) {
        let is_wrong = |packets: &[Packet], split: &Split| {
            let said = fleet.said(packets, split);
            packets.iter().zip(&said).any(|(packet, said)| absurd(packet, said))
        };
        let (fewer, split) = smallest(&packets[..=at], &singly, is_wrong);
        let said = fleet.said(&fewer, &split);
        faults.push(format!("one by one: {}", show(&fewer, &split, &said)));
    }
    for split in splits {
        let now = fleet.said(packets, split);
        if now == right {
            continue;
        }
        let different = now.iter().zip(&right).filter(|(now, right)| now != right).count();
        let is_wrong = |packets: &[Packet], split: &Split| differs(fleet, packets, split).is_some();
        let (fewer, split) = smallest(packets, split, is_wrong);
        let first = differs(fleet, &fewer, &split);
        let said = fleet.said(&fewer, &split);
        faults.push(format!(
            "{different} of {} packets, on {} threads: packet {first:?} (its place, one by one, \
             together) of {}",
            packets.len(),
            split.threads,
            show(&fewer, &split, &said),
        ));
        // One is enough to see.
        break;
    }
    faults
}

/// Random captures of a fleet.
fn whatever_the_split(setting: Setting, seeds: std::ops::Range<u64>, count: usize) {
    let fleet = Fleet::new(setting);
    let mut all = Vec::new();
    for seed in seeds {
        let mut random = Random::new(seed);
        let packets = capture::random(setting, count, &mut random);
        let splits = splits(packets.len(), &mut random);
        let faults = faults(&fleet, &packets, &splits);
        all.extend(faults.into_iter().map(|fault| format!("{setting:?}, seed {seed}: {fault}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn counters(scheme: HintScheme, tries: Option<u32>) -> Setting {
    let (suite, nonces) = (Suite::AesCtrHmac, NonceKind::Counter);
    Setting { scheme, suite, nonces, lookahead: 16, devices: 60, tries }
}

fn steps(scheme: HintScheme, tries: Option<u32>) -> Setting {
    Setting { nonces: minutes(), ..counters(scheme, tries) }
}

const DAYS: Setting = Setting {
    scheme: HintScheme::Aes128Wide,
    suite: Suite::AesCtrHmac,
    nonces: NonceKind::DayCounter,
    lookahead: 16,
    devices: 60,
    tries: None,
};

/// A snapshot of so many tries that each lookup tries every device.
const ALL_DEVICES: u32 = 1 << 20;

#[test]
fn counters_with_hints_that_tell_their_nonce() {
    for (seed, tries) in (0..).step_by(10).zip([None, Some(4), Some(ALL_DEVICES)]) {
        whatever_the_split(counters(HintScheme::Aes128, tries), seed..seed + 1, 500);
        whatever_the_split(counters(HintScheme::Speck64, tries), seed..seed + 1, 500);
    }
    let few = Setting { lookahead: 1, devices: 20, ..counters(HintScheme::Aes128, None) };
    whatever_the_split(few, 30..31, 500);
}

#[test]
fn counters_with_truncated_hints_of_4_bytes() {
    whatever_the_split(counters(truncated(4), None), 100..102, 400);
    whatever_the_split(counters(truncated(4), Some(4)), 102..103, 400);
}

#[test]
fn counters_with_truncated_hints_of_6_bytes() {
    whatever_the_split(counters(truncated(6), Some(ALL_DEVICES)), 110..112, 400);
}

#[test]
fn counters_with_truncated_hints_of_12_bytes() {
    whatever_the_split(counters(truncated(12), None), 120..122, 400);
}

#[test]
fn steps_with_hints_that_tell_their_nonce() {
    whatever_the_split(steps(HintScheme::Aes128, None), 200..202, 400);
    whatever_the_split(steps(HintScheme::Speck64, Some(ALL_DEVICES)), 202..204, 400);
}

#[test]
fn steps_with_truncated_hints_of_4_bytes() {
    whatever_the_split(steps(truncated(4), None), 300..302, 400);
}

#[test]
fn steps_with_truncated_hints_of_6_bytes() {
    whatever_the_split(steps(truncated(6), Some(4)), 310..312, 400);
}

#[test]
fn steps_with_truncated_hints_of_12_bytes() {
    whatever_the_split(steps(truncated(12), None), 320..322, 400);
}

#[test]
fn days_and_counters() {
    whatever_the_split(DAYS, 400..403, 400);
    whatever_the_split(Setting { tries: Some(4), ..DAYS }, 403..404, 400);
}

#[test]
fn hints_that_two_devices_have() {
    for (seed, tries) in (500..).zip([None, Some(8)]) {
        let setting = Setting { lookahead: 8192, devices: 64, ..counters(truncated(4), tries) };
        let fleet = Fleet::new(setting);
        let mut random = Random::new(seed);
        let packets = capture::colliding(setting, 60, &mut random);
        assert!(packets.len() > 40, "{} packets", packets.len());
        let splits = splits(packets.len(), &mut random);
        let faults = faults(&fleet, &packets, &splits[..4]);
        assert!(faults.is_empty(), "{setting:?}, seed {seed}: {}", faults.join("\n"));
    }
}

#[test]
#[ignore = "minutes: in make test-long"]
fn whatever_the_split_for_long() {
    let mut wrong = Vec::new();
    let mut hold = |setting: Setting, seed: u64| {
        let held = std::panic::catch_unwind(|| whatever_the_split(setting, seed..seed + 10, 600));
        wrong.extend(held.err().map(|_| format!("{setting:?} from seed {seed} on")));
    };
    let schemes =
        [HintScheme::Aes128, HintScheme::Speck64, truncated(4), truncated(6), truncated(12)];
    for (scheme, seed) in schemes.into_iter().zip((1000..).step_by(100)) {
        for (tries, more) in [None, Some(4), Some(ALL_DEVICES)].into_iter().zip([0, 10, 20]) {
            hold(counters(scheme, tries), seed + more);
            hold(steps(scheme, tries), seed + 50 + more);
        }
    }
    hold(DAYS, 2000);
    hold(Setting { tries: Some(4), ..DAYS }, 2010);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The second packet's hint is live only behind the first one, and another device has it too.
#[test]
fn a_hint_that_two_devices_have_is_the_senders_in_one_batch_and_in_two() {
    let setting = Setting { lookahead: 65_536, devices: 64, ..counters(truncated(4), None) };
    let fleet = Fleet::under(&hex::encode(cases::master_secret()), setting);
    let packets = cases::packets("trunc4-collision.hex").into_iter();
    let what = What::Foreign("of the case");
    let packets: Vec<Packet> =
        packets.map(|bytes| Packet { bytes, at_unix_s: START, what }).collect();
    for split in [Split::singly(2), Split::together(2, 1), Split::together(2, 5)] {
        let said = fleet.said(&packets, &split);
        assert!(said.iter().all(|said| said.0 == "accepted"), "{split:?}: {said:?}");
    }
}

/// Hints of the tests' devices that are another one's, too: found by trying some millions.
/// Whose each is, its nonce, and who seems to have made it, too.
const TWO_DEVICES_SPECK: [(u32, u64, u32); 3] =
    [(0, 106_713, 44), (42, 1_825_437, 10), (1, 3_863_370, 0)];

/// A snapshot of many tries, the index and the scan may each name somebody else first.
#[test]
fn a_reversible_hint_that_two_devices_have_is_the_senders() {
    let devices = Devices::new(&SECRET).hinting(HintScheme::Speck64);
    // Of a hint that a snapshot has not, it names any group: now and then the other one's.
    for tries in [None, Some(8), Some(15), Some(20), Some(30), Some(45), Some(ALL_DEVICES)] {
        let fleet = Fleet::new(counters(HintScheme::Speck64, tries));
        for (device, nonce, other) in TWO_DEVICES_SPECK {
            let packet = |nonce| Packet {
                bytes: devices.packet(device, nonce, b"mine"),
                at_unix_s: START,
                what: What::Authentic { device, nonce },
            };
            // It leaps there, or has come so far that the index knows.
            for packets in [vec![packet(nonce)], vec![packet(nonce - 1), packet(nonce)]] {
                let together = [1, 5].map(|threads| Split::together(packets.len(), threads));
                for split in [Split::singly(packets.len())].into_iter().chain(together) {
                    let said = fleet.said(&packets, &split);
                    let is_taken = said.iter().all(|said| said.0 == "accepted");
                    assert!(
                        is_taken,
                        "nonce {nonce} of {device}, which {other} may have made, tries {tries:?}, \
                         {split:?}: {said:?}"
                    );
                }
            }
        }
    }
}

/// Three packets of every device within half a minute around midnight, out of order.
#[test]
fn packets_around_midnight_are_accepted_in_any_order() {
    let fleet = Fleet::new(DAYS);
    let devices = Devices::new(&SECRET).hinting(DAYS.scheme);
    let first = DAYS.nonces.first_of(START / 86_400);
    let last = DAYS.nonces.first_of(START / 86_400 - 1);
    let orders = [
        [last + 5, first, last + 6],
        [first, last + 5, last + 6],
        [last + 6, first, last + 5],
        [first + 1, last + 6, first],
        [first, first + 1, last + 5],
    ];
    let mut packets = Vec::new();
    for (device, order) in (0..DAYS.devices).zip(orders.iter().cycle()) {
        for (nonce, at_s) in order.iter().zip([0, 12, 25]) {
            let (nonce, at_unix_s) = (*nonce, START - 10 + at_s);
            let bytes = devices.packet(device, nonce, b"around midnight");
            packets.push(Packet { bytes, at_unix_s, what: What::Authentic { device, nonce } });
        }
    }
    packets.sort_by_key(|packet| packet.at_unix_s);
    let together = [1, 5].map(|threads| Split::together(packets.len(), threads));
    for split in [Split::singly(packets.len())].into_iter().chain(together) {
        let said = fleet.said(&packets, &split);
        let refused: Vec<_> = packets
            .iter()
            .zip(&said)
            .filter(|(_, said)| said.0 != "accepted")
            .map(|(packet, said)| (packet.what, said.0))
            .collect();
        let count = refused.len();
        assert!(refused.is_empty(), "{count} of {}: {:?}", packets.len(), &refused[..5.min(count)]);
    }
    // Each of them once.
    let again: Vec<Packet> = packets.iter().chain(&packets).cloned().collect();
    let said = fleet.said(&again, &Split::together(again.len(), 1));
    let refused = |said: &Said| matches!(said.0, "replay" | "stale");
    assert!(said[packets.len()..].iter().all(refused), "{said:?}");
}
