//! Several fleets that hear one air: the verdict on each packet is that of the fleet that made it,
//! whatever the batches.

use std::sync::Arc;

use hintdex::wire::{HintScheme, Suite};
use hintdex::{
    GroupError, GroupVerdict, ManualClock, Received, Station, StationGroup, StationOptions,
    Unknown, Verdict,
};
use hintdex_tests::Random;
use tempfile::TempDir;

use super::capture::{self, truncated};
use super::runs::{Fleet, Packet, START, Said, Setting, Split, What, judgement, options, pool};
use super::{DAYS, counters, steps};

/// The fleet that a verdict names, and the verdict.
type OfFleet = (Option<usize>, Said);

/// How scans are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scans {
    Unbounded,
    /// No scan while packets come in: each that needs one waits until its batch is decoded.
    AfterBatch,
}

/// A packet on the air, and the place of the fleet that made it.
struct Heard {
    maker: usize,
    packet: Packet,
}

/// Closed fleets that are under one master key. So where two have the same hint scheme, their
/// devices make the same hints.
struct Fleets(Vec<Fleet>);

impl Fleets {
    fn new(settings: &[Setting]) -> Self {
        Self(settings.iter().map(|setting| Fleet::new(*setting)).collect())
    }

    /// A capture of each fleet, one through another.
    fn air(&self, packets: usize, random: &mut Random) -> Vec<Heard> {
        let capture = |fleet: &Fleet| capture::random(fleet.setting, packets, random).into_iter();
        let mut captures: Vec<_> = self.0.iter().map(capture).map(Iterator::peekable).collect();
        let mut air = Vec::new();
        let next = |captures: &mut Vec<std::iter::Peekable<std::vec::IntoIter<Packet>>>| {
            let heads = captures.iter_mut().map(|capture| capture.peek()).enumerate();
            let heads = heads.filter_map(|(maker, head)| Some((head?.at_unix_s, maker)));
            heads.min().map(|(_, maker)| maker)
        };
        while let Some(maker) = next(&mut captures) {
            air.extend(captures[maker].next().map(|packet| Heard { maker, packet }));
        }
        air
    }

    /// The group of a fresh copy of each fleet.
    fn group(
        &self,
        options: &StationOptions,
        clock: &Arc<ManualClock>,
    ) -> (StationGroup, Vec<TempDir>) {
        let copies = self.0.iter().map(|fleet| fleet.copy(options, clock));
        let (stations, folders): (Vec<Station>, _) = copies.unzip();
        (StationGroup::new(stations).expect("they are of different fleets"), folders)
    }

    /// What the group says of each packet.
    fn said(&self, air: &[Heard], split: &Split, scans: Scans) -> Vec<OfFleet> {
        let clock = Arc::new(ManualClock::new(START));
        let scan_core_share = if scans == Scans::Unbounded { f64::INFINITY } else { 0.0 };
        let options = StationOptions { scan_core_share, ..options(false) };
        let (group, _folders) = self.group(&options, &clock);
        let (mut said, mut now_s, mut rolled_s) = (Vec::new(), 0, 0);
        for batch in split.batches.chunk_by(|a, b| a == b) {
            let heard = &air[said.len()..said.len() + batch.len()];
            let times = heard.iter().map(|heard| heard.packet.at_unix_s);
            now_s = times.max().unwrap_or(0).max(now_s);
            clock.set(now_s);
            let clocked = |station: &&Station| station.params().nonces.is_clocked();
            if now_s / 600 != rolled_s {
                let stations = group.stations().iter().filter(clocked);
                stations.for_each(|station| station.roll(None).expect("windows can be built"));
                rolled_s = now_s / 600;
            }
            let received = heard.iter().map(|heard| Received {
                packet: &heard.packet.bytes,
                at_unix_s: heard.packet.at_unix_s,
                at_ms: 0,
                associated_data: None,
                context: &[],
            });
            let received: Vec<Received<'_>> = received.collect();
            let decode = || group.decode_received(&received).expect("it decodes");
            let mut verdicts = pool(split.threads).install(decode);
            settle(&group, &mut verdicts, scans);
            let of_fleet =
                |GroupVerdict { station, verdict }: GroupVerdict| (station, judgement(verdict));
            said.extend(verdicts.into_iter().map(of_fleet));
        }
        said
    }

    /// What is to be said: each packet is taken alone in every fleet. The fleet that opens it
    /// counts, and else the fleet that says most of it.
    fn expected(&self, air: &[Heard]) -> Vec<OfFleet> {
        let packets: Vec<Packet> = air.iter().map(|heard| heard.packet.clone()).collect();
        let singly = Split::singly(packets.len());
        let of_each: Vec<Vec<Said>> =
            self.0.iter().map(|fleet| fleet.said(&packets, &singly)).collect();
        let expected = |place: usize| {
            let said = || of_each.iter().map(|said| &said[place]);
            let opener = said().position(|said| said.1.is_some());
            let name = |name: &str| said().find(|said| said.0 == name).cloned();
            let refused =
                || name("forged").or_else(|| name("unknown")).or_else(|| name("malformed"));
            let said = opener.map(|opener| of_each[opener][place].clone()).or_else(refused);
            (opener, said.expect("a verdict"))
        };
        (0..packets.len()).map(expected).collect()
    }
}

/// Replaces the verdicts on packets that wait for a scan by their final verdicts.
fn settle(group: &StationGroup, verdicts: &mut [GroupVerdict], scans: Scans) {
    let ticket_of = |verdict: &GroupVerdict| match verdict.verdict {
        Verdict::Unknown(Unknown::ScanBudget { ticket }) => Some(ticket),
        _ => None,
    };
    let tickets: Vec<_> = verdicts.iter().filter_map(ticket_of).collect();
    assert!(scans == Scans::AfterBatch || tickets.is_empty());
    assert!(tickets.iter().all(|ticket| group.is_waiting(*ticket)));
    assert_eq!(group.waiting(), tickets.len() as u64);
    assert_eq!(group.scan_waiting().expect("no budget"), []);
    let late = group.scan_all_waiting().expect("it scans");
    assert_eq!((late.len(), group.waiting()), (tickets.len(), 0));
    for (ticket, verdict) in late {
        assert!(!group.is_waiting(ticket));
        let place = verdicts.iter().position(|verdict| ticket_of(verdict) == Some(ticket));
        verdicts[place.expect("a ticket of this batch")] = verdict;
    }
}

fn check(settings: &[Setting], seed: u64, packets: usize) {
    let fleets = Fleets::new(settings);
    let mut random = Random::new(seed);
    let air = fleets.air(packets, &mut random);
    let expected = fleets.expected(&air);
    for (heard, (opener, said)) in air.iter().zip(&expected) {
        // What a device sent is of the fleet that made it, or of none.
        match heard.packet.what {
            What::Authentic { .. } => assert!(opener.is_none_or(|opener| opener == heard.maker)),
            What::Damaged { .. } | What::Foreign(_) => assert_eq!(*opener, None, "{said:?}"),
        }
    }
    let opened = |maker: usize| {
        let opened = expected.iter().filter(|(opener, _)| *opener == Some(maker)).count();
        assert!(opened * 3 > packets, "fleet {maker}: {opened} of {packets}");
    };
    (0..settings.len()).for_each(opened);
    let mut runs = vec![
        (Split::singly(air.len()), Scans::Unbounded),
        (Split::singly(air.len()), Scans::AfterBatch),
        (Split::together(air.len(), 1), Scans::Unbounded),
        (Split::together(air.len(), 5), Scans::Unbounded),
    ];
    for (most, threads) in [(3, 1), (20, 5), (200, 2)] {
        runs.push((Split::random(air.len(), most, threads, &mut random), Scans::Unbounded));
    }
    for (split, scans) in runs {
        let said = fleets.said(&air, &split, scans);
        let differs = said.iter().zip(&expected).position(|(said, expected)| said != expected);
        if let Some(at) = differs {
            let Heard { maker, packet } = &air[at];
            panic!(
                "seed {seed}, {scans:?}, {} threads, batch {}: packet {at}, {:?} of fleet {maker}: \
                 {:?} instead of {:?}",
                split.threads, split.batches[at], packet.what, said[at], expected[at],
            );
        }
    }
}

#[test]
fn fleets_of_different_suites_schemes_and_nonces_hear_one_air() {
    let (siv, chacha, ccm) = (Suite::AesSiv, Suite::ChaCha20Poly1305, Suite::AesCcm8);
    let settings = [
        counters(HintScheme::Aes128, None),
        Setting { suite: siv, ..steps(HintScheme::Speck64, None) },
        Setting { suite: chacha, ..counters(truncated(5), None) },
        // The devices of the first fleet, with the same hints.
        Setting { suite: ccm, ..counters(HintScheme::Aes128, Some(4)) },
    ];
    (600..602).for_each(|seed| check(&settings, seed, 150));
}

#[test]
fn fleets_of_days_and_of_short_hints_hear_one_air() {
    let settings = [
        counters(HintScheme::Carry24, None),
        Setting { suite: Suite::XChaCha20Poly1305, ..DAYS },
        Setting { suite: Suite::AesSiv, ..steps(truncated(4), None) },
    ];
    check(&settings, 610, 150);
}

/// A packet that the index of a later fleet knows costs no scan of an earlier one, nor one that an
/// earlier fleet finds by its scan a scan of a later one.
#[test]
fn a_packet_costs_no_scan_of_another_fleet() {
    let settings = [
        counters(HintScheme::Aes128, None),
        Setting { suite: Suite::AesSiv, ..counters(HintScheme::Speck64, None) },
    ];
    let fleets = Fleets::new(&settings);
    let clock = Arc::new(ManualClock::new(START));
    let (group, _folders) = fleets.group(&options(false), &clock);
    let decode = |fleet: usize, nonce| {
        let Setting { scheme, suite, .. } = settings[fleet];
        let devices = hintdex_tests::Devices::new(&crate::fleet::SECRET);
        let packet = devices.hinting(scheme).sealing(suite).packet(7, nonce, b"21.5 C");
        let received = Received {
            packet: &packet,
            at_unix_s: START,
            at_ms: 0,
            associated_data: None,
            context: &[],
        };
        let said = group.decode_received(&[received]).expect("it decodes").remove(0);
        assert_eq!((said.station, said.verdict.name()), (Some(fleet), "accepted"));
        let hints = |station: &Station| station.scan_stats().hints;
        group.stations().iter().map(hints).collect::<Vec<_>>()
    };
    assert_eq!(decode(1, 3), [0, 0]);
    assert_eq!(decode(0, 1000), [1, 0]);
    // What the first fleet has not made is found by the scan of the second.
    assert_eq!(decode(1, 1000), [2, 1]);
}

#[test]
fn stations_of_one_fleet_are_no_group() {
    let fleets = Fleets::new(&[counters(HintScheme::Aes128, None), DAYS]);
    let clock = Arc::new(ManualClock::new(START));
    let copies = [0, 1, 0].map(|fleet: usize| fleets.0[fleet].copy(&options(false), &clock));
    let (stations, _folders): (Vec<Station>, Vec<_>) = copies.into_iter().unzip();
    let refused = StationGroup::new(stations).expect_err("the first is the third");
    assert_eq!(refused, GroupError::SameFleet { first: 0, second: 2 });
    assert_eq!(StationGroup::new(Vec::new()).expect_err("none"), GroupError::Empty);
}
