//! Bits turned in the files of an index: opening it or decoding with it either
//! fails with an error, or says what it would have said. Never is something
//! accepted that was accepted before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hintdex::wire::DeviceId;
use hintdex::wire::HintScheme;
use hintdex::{DeviceRange, Durability, Station, StationOptions, Verdict};
use hintdex_tests::devices::{damaged, payload};
use hintdex_tests::{Devices, Random, files};

use crate::fleet::{Fleet, SECRET};

const DEVICES: u32 = 150;

/// Options under which nothing happens in the background.
fn quiet() -> StationOptions {
    StationOptions {
        memory_bytes: 4 << 20,
        durability: Durability::ProcessCrash,
        roll_in_background: false,
        snapshot_at_roll: false,
        lean: false,
        scan_core_share: f64::INFINITY,
        refill: true,
        ..StationOptions::default()
    }
}

/// A closed fleet with states and hints in tables and in the log, and packets that
/// it has to judge: repeated, new and forged ones.
fn fleet_and_probe() -> (Fleet, Vec<Vec<u8>>) {
    let mut random = Random::new(1);
    let mut fleet = Fleet::create(HintScheme::Aes128, 4, &mut random);
    let devices = Devices::new(&SECRET);
    let range = DeviceRange::new(DeviceId(0), DEVICES);
    fleet.station().provision(&[range], None).expect("ids are free");
    for nonce in 0..8 {
        let send = |device| devices.packet(device, nonce, &payload(device, nonce));
        let sent: Vec<_> = (0..DEVICES).map(send).collect();
        fleet.station().decode_batch(&sent).expect("it decodes");
        if nonce == 3 {
            // What the log has until here goes into tables.
            fleet.reopen(&mut random);
            fleet.station().roll(None).expect("it rolls");
        }
    }
    fleet.close();
    let probe = (0..DEVICES).flat_map(|device| {
        let new = devices.packet(device, 8, &payload(device, 8));
        let forged = damaged(new.clone(), new.len() * 8 - 1);
        [devices.packet(device, 7, b""), devices.packet(device, 2, b""), forged, new]
    });
    (fleet, probe.collect())
}

/// What an index says after something was done to a copy of it.
fn said(fleet: &Path, probe: &[Vec<u8>]) -> Result<Vec<Verdict>, hintdex::Error> {
    let station = Station::open(fleet, &quiet())?;
    station.decode_batch(probe)
}

/// A verdict without the one thing that damage may change: who knew.
fn judgement(verdict: &Verdict) -> (&'static str, Option<(u32, u64)>, &[u8]) {
    match verdict {
        Verdict::Accepted { device, nonce, payload, .. } => {
            (verdict.name(), Some((device.0, *nonce)), payload)
        }
        Verdict::Replay { device, nonce, .. } | Verdict::Stale { device, nonce, .. } => {
            (verdict.name(), Some((device.0, *nonce)), &[])
        }
        _ => (verdict.name(), None, &[]),
    }
}

/// How damage to the files of one kind was met.
#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    same: u32,
    other: Vec<String>,
}

fn kind(file: &Path) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kind = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    kind.split('-').next().unwrap_or_default().to_owned()
}

/// Damages the files of copies, one place at a time; how each kind of file fared.
fn tally(
    places: usize,
    seed: u64,
    wanted: impl Fn(&str) -> bool,
    damage: impl Fn(&mut Vec<u8>, &mut Random) -> String,
) -> BTreeMap<String, Tally> {
    let (fleet, probe) = fleet_and_probe();
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    files::replace_folder(&fleet.dir(), &copy);
    let right = said(&copy, &probe).expect("nothing is damaged yet");
    let right: Vec<_> = right.iter().map(judgement).collect();
    assert_eq!(right.iter().filter(|said| said.0 == "accepted").count(), DEVICES as usize);

    let mut random = Random::new(seed);
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let targets: Vec<PathBuf> = files::files(&fleet.dir().join("index"), wanted);
    for target in
        targets.iter().filter(|target| fs::metadata(target).is_ok_and(|meta| meta.len() > 0))
    {
        let tally = tallies.entry(kind(target)).or_default();
        for _ in 0..places {
            files::replace_folder(&fleet.dir(), &copy);
            let file = copy.join("index").join(target.file_name().expect("it has a name"));
            let mut bytes = fs::read(&file).expect("it can be read");
            let what = damage(&mut bytes, &mut random);
            fs::write(&file, bytes).expect("it can be written");
            match said(&copy, &probe) {
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    tally.refused += 1;
                }
                Ok(verdicts) => {
                    let now: Vec<_> = verdicts.iter().map(judgement).collect();
                    match right.iter().zip(&now).find(|(right, now)| right != now) {
                        None => tally.same += 1,
                        Some((right, now)) => tally.other.push(format!(
                            "{}, {what}: {right:?} became {now:?}; {:?}",
                            target.display(),
                            verdicts.iter().map(|said| said.reason()).collect::<Vec<_>>()
                        )),
                    }
                }
            }
        }
    }
    tallies
}

fn turn_a_bit(bytes: &mut [u8], random: &mut Random) -> String {
    let bit = random.place(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    format!("bit {bit} of {}", bytes.len() * 8)
}

fn cut(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let whole = bytes.len();
    bytes.truncate(random.place(whole));
    format!("cut to {} of {whole}", bytes.len())
}

fn nothing_else_is_said(tallies: &BTreeMap<String, Tally>) {
    for (kind, tally) in tallies {
        eprintln!("{kind}: {} refused, {} the same", tally.refused, tally.same);
        assert!(tally.other.is_empty(), "{:#?}", tally.other);
    }
}

#[test]
fn a_bit_turned_in_a_table_is_refused_or_changes_nothing() {
    let tallies =
        tally(25, 2, |name| name.ends_with(".sst"), |bytes, random| turn_a_bit(bytes, random));
    nothing_else_is_said(&tallies);
    assert!(tallies["sst"].refused > 0, "no bit counts");
}

#[test]
fn a_bit_turned_in_the_manifest_is_refused_or_changes_nothing() {
    let wanted = |name: &str| name.starts_with("MANIFEST-") || name == "CURRENT";
    nothing_else_is_said(&tally(60, 3, wanted, |bytes, random| turn_a_bit(bytes, random)));
}

#[test]
fn a_table_or_manifest_that_was_cut_is_refused() {
    let wanted = |name: &str| name.ends_with(".sst") || name.starts_with("MANIFEST-");
    nothing_else_is_said(&tally(10, 4, wanted, cut));
}

/// The last part of a log that ends within a record is what an ordinary crash
/// leaves, and is dropped. A bit that makes a record's length reach past the end of
/// the log looks the same, so it is the one kind of damage that can go unnoticed.
#[test]
fn a_bit_turned_in_the_log_is_refused_unless_it_looks_like_a_torn_end() {
    let lengths = std::cell::RefCell::new(0);
    let tallies = tally(
        300,
        5,
        |name| name.ends_with(".log"),
        |bytes, random| {
            let starts = record_starts(bytes);
            let what = turn_a_bit(bytes, random);
            let bit: usize =
                what.split(' ').nth(1).and_then(|bit| bit.parse().ok()).expect("a bit");
            // A record's length stands behind the four bytes of its checksum.
            let in_a_length =
                starts.iter().any(|start| (start + 4..start + 6).contains(&(bit / 8)));
            *lengths.borrow_mut() += u32::from(in_a_length);
            format!("{what}{}", if in_a_length { LENGTH } else { "" })
        },
    );
    let log = &tallies["log"];
    eprintln!("log: {} refused, {} the same, {} torn", log.refused, log.same, log.other.len());
    assert!(log.other.iter().all(|other| other.contains(LENGTH)), "{:#?}", log.other);
    assert!(log.refused > 250, "{log:?}");
    assert!(log.other.len() <= *lengths.borrow() as usize);
}

/// What marks damage to the length of a record.
const LENGTH: &str = ", in a length";

/// Where the records of a log or manifest begin.
pub fn record_starts(bytes: &[u8]) -> Vec<usize> {
    const BLOCK: usize = 32 << 10;
    const HEADER: usize = 7;
    let (mut starts, mut at) = (Vec::new(), 0);
    while at + HEADER <= bytes.len() {
        starts.push(at);
        at += HEADER + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let left = BLOCK - at % BLOCK;
        at += if left < HEADER { left } else { 0 };
    }
    starts
}

/// With one of these bits RocksDB's reader once went round for ever.
#[test]
fn no_bit_of_a_type_in_the_manifest_makes_the_opening_hang() {
    let wanted = |name: &str| name.starts_with("MANIFEST-");
    let tallies = tally(60, 7, wanted, |bytes, random| {
        let starts = record_starts(bytes);
        let at = starts[random.place(starts.len())] + 6;
        bytes[at] ^= 1 << random.below(8);
        format!("the type at byte {at}")
    });
    nothing_else_is_said(&tallies);
}

/// The check itself: a log cut in half loses acknowledged packets without an
/// error of the store, and is told apart from one that lost nothing.
#[test]
fn a_log_that_was_cut_is_noticed_by_this_test() {
    let tallies = tally(30, 6, |name| name.ends_with(".log"), cut);
    assert!(!tallies["log"].other.is_empty(), "{tallies:?}");
}

/// Nobody has to ask for the roll that mends a window: the station that meets the damage
/// builds the window again in the background.
#[test]
fn a_damaged_table_of_hints_is_built_again_by_the_station_that_meets_it() {
    let (fleet, probe) = fleet_and_probe();
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, copy) = (folder.path().join("whole"), folder.path().join("copy"));
    files::replace_folder(&fleet.dir(), &whole);
    // So that all hints are in a table, and none in the log.
    Station::open(&whole, &quiet()).and_then(|station| station.roll(None)).expect("it rolls");
    files::replace_folder(&whole, &copy);
    let right = said(&copy, &probe).expect("nothing is damaged yet");
    let right: Vec<_> = right.iter().map(judgement).collect();
    let mut mended = 0;
    for table in files::files(&whole.join("index"), |name| name.ends_with(".sst")) {
        files::replace_folder(&whole, &copy);
        let file = copy.join("index").join(table.file_name().expect("it has a name"));
        let mut bytes = fs::read(&file).expect("it can be read");
        // In the first of the rows.
        bytes[10] ^= 1;
        fs::write(&file, bytes).expect("it can be written");
        let options = StationOptions { roll_in_background: true, ..quiet() };
        // What cannot be made again is refused.
        let Ok(station) = Station::open(&copy, &options) else { continue };
        let verdicts = station.decode_batch(&probe).expect("it decodes");
        assert_eq!(verdicts.iter().map(judgement).collect::<Vec<_>>(), right);
        if station.take_notes().is_empty() {
            continue;
        }
        // Closing waits for what goes on in the background.
        drop(station);
        let station = Station::open(&copy, &quiet()).expect("it opens");
        station.verify(None).expect("the window is whole");
        assert_eq!(station.take_notes(), [""; 0]);
        mended += 1;
    }
    assert!(mended > 0, "no table of hints was met");
}
