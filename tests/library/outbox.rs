//! The outbox: whatever was accepted is read by every reader, once in the order of decoding, through
//! reopenings, threads and damage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hintdex::wire::{DeviceId, EphemeralSealer, EphemeralSuite, HintScheme, KeyId, Schedule};
use hintdex::{
    DeviceRange, IndexError, KeyAccess, OutboxPayload, Params, Protection, Received,
    ScheduleTolerance, Source, Station, StationGroup, StationKey, StationOptions, SystemClock,
    Unknown, Verdict, outbox_format,
};
use hintdex_tests::devices::payload;
use hintdex_tests::{Devices, EndOnDrop, documents};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::fleet::SECRET;

const NOW: u64 = 1_764_000_000;
const DEVICES: u32 = 8;

fn options(room: u64) -> StationOptions {
    StationOptions { outbox_payloads: Some(room), ..StationOptions::default() }
}

/// A fleet of counters whose devices are those of [`SECRET`].
fn fleet(scheme: HintScheme, options: &StationOptions) -> (TempDir, PathBuf, Station) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("the.key");
    std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    let dir = folder.path().join("fleet");
    let params = Params::counters(scheme, 4);
    let station = Station::create(&dir, Some(&key), params, options).expect("a new folder");
    station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("free ids");
    (folder, dir, station)
}

fn received<'a>(packet: &'a [u8], context: &'a [u8]) -> Received<'a> {
    Received { packet, at_unix_s: NOW, at_ms: 250, associated_data: None, context }
}

/// Every payload from the place of a reader on.
fn unread(station: &Station, reader: &str) -> Vec<OutboxPayload> {
    let outbox = station.outbox().expect("it has one");
    let place = outbox.place(reader).expect("it is a reader");
    outbox.read(place, usize::MAX).expect("it reads").payloads
}

#[derive(Clone, Debug)]
enum Step {
    /// Packets, each of a device and the distance of its nonce from the next one.
    Decode(Vec<(u32, i64)>),
    /// A reader reads so many payloads and acknowledges them.
    Read(usize, usize),
    /// The readers with these numbers.
    SetReaders(BTreeSet<usize>),
    Reopen,
}

const READERS: [&str; 3] = ["a", "broker", "web hook"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..DEVICES, -2i64..4), 1..12).prop_map(Step::Decode),
        3 => (0usize..3, 1usize..8).prop_map(|(reader, most)| Step::Read(reader, most)),
        1 => prop::collection::btree_set(0usize..3, 1..3).prop_map(Step::SetReaders),
        1 => Just(Step::Reopen),
    ]
}

/// What the outbox has to hold.
#[derive(Default)]
struct Model {
    /// The device, the nonce and the context of each accepted packet, in order.
    accepted: Vec<(u32, u64, Vec<u8>)>,
    /// By reader, how many of them it has acknowledged.
    places: BTreeMap<&'static str, usize>,
    floor: usize,
    next: [u64; DEVICES as usize],
}

impl Model {
    fn oldest(&self) -> usize {
        self.places.values().min().copied().unwrap_or(self.floor).max(self.floor)
    }

    fn set_readers(&mut self, names: &[&'static str]) {
        self.floor = self.oldest();
        let place = |name: &&'static str| (*name, *self.places.get(name).unwrap_or(&self.floor));
        self.places = names.iter().map(place).collect();
    }
}

fn decode(station: &Station, model: &mut Model, devices: &Devices, packets: &[(u32, i64)]) {
    let mut sent = Vec::new();
    for (device, distance) in packets {
        let next = &mut model.next[*device as usize];
        let nonce = next.saturating_add_signed(*distance);
        *next = (*next).max(nonce + 1);
        let context = format!("{}:{device}", model.accepted.len() + sent.len()).into_bytes();
        sent.push((
            *device,
            nonce,
            devices.packet(*device, nonce, &payload(*device, nonce)),
            context,
        ));
    }
    let heard: Vec<_> =
        sent.iter().map(|(.., packet, context)| received(packet, context)).collect();
    let verdicts = station.decode_received(&heard).expect("it decodes");
    for ((device, nonce, _, context), verdict) in sent.into_iter().zip(verdicts) {
        if matches!(verdict, Verdict::Accepted { .. }) {
            model.accepted.push((device, nonce, context));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_gets_every_payload_in_order(steps in prop::collection::vec(step(), 1..40)) {
        let (_folder, dir, station) = fleet(HintScheme::Aes128, &options(u64::MAX));
        let (mut station, devices) = (Some(station), Devices::new(&SECRET));
        let mut model = Model::default();
        for step in &steps {
            let open = station.as_ref().expect("it is open");
            let outbox = open.outbox().expect("it has one");
            match step {
                Step::Decode(packets) => decode(open, &mut model, &devices, packets),
                Step::SetReaders(readers) => {
                    let names: Vec<_> = readers.iter().map(|reader| READERS[*reader]).collect();
                    outbox.set_readers(&names).expect("they are names");
                    model.set_readers(&names);
                }
                Step::Read(reader, most) => {
                    let name = READERS[*reader];
                    let Some(place) = model.places.get_mut(name) else {
                        prop_assert!(outbox.place(name).is_err());
                        continue;
                    };
                    let part = outbox.read(outbox.place(name).expect("a reader"), *most);
                    let part = part.expect("it reads");
                    let due: Vec<_> = model.accepted[*place..].iter().take(*most).collect();
                    prop_assert_eq!(part.payloads.len(), due.len());
                    for (payload_read, (device, nonce, context)) in part.payloads.iter().zip(due) {
                        let OutboxPayload { payload: bytes, context: beside, .. } = payload_read;
                        prop_assert_eq!((payload_read.device.0, payload_read.nonce), (*device, *nonce));
                        prop_assert_eq!((bytes, beside), (&payload(*device, *nonce), context));
                        prop_assert_eq!((payload_read.at_unix_s, payload_read.at_ms), (NOW, 250));
                    }
                    *place += part.payloads.len();
                    outbox.acknowledge(name, part.next).expect("a reader");
                    // An older acknowledgement changes nothing.
                    outbox.acknowledge(name, 0).expect("a reader");
                }
                Step::Reopen => {
                    drop(station.take());
                    station = Some(Station::open(&dir, &options(u64::MAX)).expect("it opens"));
                }
            }
        }
        let station = station.as_ref().expect("it is open");
        station.outbox().expect("it has one").set_readers(&["last"]).expect("a name");
        model.set_readers(&["last"]);
        let unread: Vec<_> =
            unread(station, "last").into_iter().map(|read| (read.device.0, read.nonce)).collect();
        let due = model.accepted[model.floor..].iter().map(|(device, nonce, _)| (*device, *nonce));
        prop_assert_eq!(unread, due.collect::<Vec<_>>());
    }
}

/// A reader that reads while threads decode gets every payload, none twice.
#[test]
fn a_reader_beside_threads_misses_nothing() {
    const PACKETS: u64 = 1_500;
    let options =
        StationOptions { durability: hintdex::Durability::ProcessCrash, ..options(u64::MAX) };
    let (_folder, _, station) = fleet(HintScheme::Aes128, &options);
    let (station, devices) = (&station, Devices::new(&SECRET));
    let outbox = station.outbox().expect("it has one");
    outbox.set_readers(&["all"]).expect("a name");
    let is_done = AtomicBool::new(false);
    let mut heard: BTreeSet<(u32, u64)> = BTreeSet::new();
    let mut take = |is_last: bool| {
        let part = outbox.read(outbox.place("all").expect("a reader"), 64).expect("it reads");
        for payload in &part.payloads {
            assert!(heard.insert((payload.device.0, payload.nonce)), "{payload:?} came twice");
        }
        outbox.acknowledge("all", part.next).expect("a reader");
        is_last && part.payloads.is_empty()
    };
    thread::scope(|scope| {
        let _end = EndOnDrop(&is_done);
        let senders = (0..4u32).map(|thread| {
            let devices = devices.clone();
            scope.spawn(move || {
                for nonce in 0..PACKETS {
                    // Two devices a thread; every other packet of the second one is a repeat.
                    let packets = [
                        devices.packet(2 * thread, nonce, &payload(2 * thread, nonce)),
                        devices.packet(
                            2 * thread + 1,
                            nonce / 2,
                            &payload(2 * thread + 1, nonce / 2),
                        ),
                    ];
                    station.decode_batch(&packets).expect("it decodes");
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            take(false);
        }
        senders.into_iter().for_each(|sender| sender.join().expect("it decodes"));
        while !take(true) {}
    });
    assert!(is_done.load(Ordering::Relaxed));
    assert_eq!(heard.len() as u64, 4 * (PACKETS + PACKETS / 2));
}

#[test]
fn a_full_outbox_accepts_nothing_until_a_reader_has_caught_up() {
    let (_folder, _, station) = fleet(HintScheme::Aes128, &options(3));
    let devices = Devices::new(&SECRET);
    let outbox = station.outbox().expect("it has one");
    let packet = |nonce| devices.packet(1, nonce, b"21.5 C");
    let is_full = |name: Option<&str>| match station.decode(&packet(9)) {
        Err(hintdex::Error::Index(IndexError::OutboxFull { waiting, room: 3, reader })) => {
            waiting == 3 && reader.as_deref() == name
        }
        _ => false,
    };
    for nonce in 0..3 {
        let verdict = station.decode(&packet(nonce)).expect("there is room");
        assert!(matches!(verdict, Verdict::Accepted { .. }));
    }
    assert!(is_full(None));
    outbox.set_readers(&["slow", "quick"]).expect("names");
    outbox.acknowledge("quick", outbox.end()).expect("a reader");
    assert!(is_full(Some("slow")));
    assert!(!station.is_poisoned());
    // Packets that are of nobody need no room.
    assert!(matches!(station.decode(&[7; 30]), Ok(Verdict::Unknown(Unknown::NoDevice))));
    let first = unread(&station, "slow")[0].number;
    outbox.acknowledge("slow", first + 1).expect("a reader");
    assert!(matches!(station.decode(&packet(9)), Ok(Verdict::Accepted { .. })));
    assert!(
        outbox.set_readers(&[""]).is_err()
            && outbox.set_readers(&["x".repeat(65).as_str()]).is_err()
    );
    assert!(outbox.acknowledge("nobody", 1).is_err());
}

/// A packet that waits for a scan keeps its context.
#[test]
fn a_packet_that_waited_is_stored_with_its_context() {
    let options = StationOptions { scan_core_share: 0.0, ..options(u64::MAX) };
    let (_folder, _, station) = fleet(HintScheme::Aes128, &options);
    let packet = Devices::new(&SECRET).packet(3, 900, b"21.5 C");
    let verdicts = station.decode_received(&[received(&packet, b"gateway 7")]).expect("it decodes");
    assert!(matches!(verdicts[0], Verdict::Unknown(Unknown::ScanBudget { .. })));
    station.outbox().expect("it has one").set_readers(&["all"]).expect("a name");
    assert_eq!(unread(&station, "all"), []);
    station.scan_all_waiting().expect("it scans");
    let read = unread(&station, "all");
    assert_eq!((read[0].source, read[0].context.as_slice()), (Source::Scan, &b"gateway 7"[..]));
    assert_eq!((read[0].at_unix_s, read[0].at_ms), (NOW, 250));
}

/// A full outbox refuses a scan for now; the packets go on waiting.
#[test]
fn a_packet_that_waits_is_not_lost_while_the_outbox_is_full() {
    let options = StationOptions { scan_core_share: 0.0, ..options(1) };
    let (_folder, _, station) = fleet(HintScheme::Aes128, &options);
    let devices = Devices::new(&SECRET);
    station.decode(&devices.packet(3, 900, b"late")).expect("it waits");
    station.decode(&devices.packet(1, 0, b"known")).expect("there is room");
    for _ in 0..2 {
        assert!(station.scan_all_waiting().is_err(), "the outbox is full");
        assert_eq!(station.scan_stats().waiting, 1);
    }
    let outbox = station.outbox().expect("it has one");
    outbox.set_readers(&["all"]).expect("a name");
    outbox.acknowledge("all", outbox.end()).expect("a reader");
    let verdicts = station.scan_all_waiting().expect("there is room");
    assert!(matches!(verdicts[0].1, Verdict::Accepted { nonce: 900, .. }), "{verdicts:?}");
}

/// Packets without hints take other ways to their admission.
#[test]
fn packets_without_hints_are_stored_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(u64::MAX);
    let key = StationKey::generate().expect("random bytes");
    for (name, suite) in [("x", EphemeralSuite::X25519), ("seq", EphemeralSuite::X25519Seq)] {
        let params = Params::ephemeral(suite, key.point());
        let access = KeyAccess { station_key: Some(key.clone()), ..KeyAccess::default() };
        let (dir, clock) = (folder.path().join(name), std::sync::Arc::new(SystemClock));
        let station = Station::create_by(&dir, &access, &Protection::File, params, &options, clock);
        let station = station.expect("a new folder");
        station.provision(&[DeviceRange::new(DeviceId(0), 4)], None).expect("free ids");
        let mac_key = station.key_source().mac_key(KeyId::first(DeviceId(2))).expect("derived");
        let mut sealer = EphemeralSealer::new(suite, DeviceId(2), key.point(), mac_key, 5);
        let mut packets = [[0; 64]; 2];
        let len = [3, 4].map(|byte| {
            let packet = &mut packets[usize::from(byte == 4)];
            sealer.seal(&[byte; 32], b"21.5 C", packet).expect("the buffer fits")
        });
        let heard: Vec<_> =
            packets.iter().zip(len).map(|(packet, len)| received(&packet[..len], b"g")).collect();
        let verdicts = station.decode_received(&heard).expect("it decodes");
        station.outbox().expect("it has one").set_readers(&["all"]).expect("a name");
        let read = unread(&station, "all");
        let nonces: Vec<u64> = read.iter().map(|read| read.nonce).collect();
        let of_verdict = |verdict: &Verdict| match verdict {
            Verdict::Accepted { nonce, .. } => *nonce,
            other => panic!("{other:?}"),
        };
        assert_eq!(nonces, verdicts.iter().map(of_verdict).collect::<Vec<_>>(), "{name}");
        assert!(read.iter().all(|read| read.payload == b"21.5 C" && read.context == b"g"));
    }
    let schedule = Schedule::new(1_000, 2_000).expect("a schedule");
    let params = Params::scheduled(schedule, None, ScheduleTolerance::DEFAULT);
    let station = Station::create(&folder.path().join("schedule"), None, params, &options);
    let station = station.expect("a new folder");
    station.provision(&[DeviceRange::new(DeviceId(0), 4)], None).expect("free ids");
    let packet_key = station.key_source().packet_key(KeyId::first(DeviceId(2))).expect("derived");
    let mut packet = [0; 14];
    schedule.seal(&packet_key, 0, b"21.5 C", &mut packet).expect("the buffer fits");
    station.decode_received(&[received(&packet, b"g")]).expect("it decodes");
    station.outbox().expect("it has one").set_readers(&["all"]).expect("a name");
    let read = unread(&station, "all");
    assert_eq!((read.len(), read[0].device, read[0].nonce), (1, DeviceId(2), 0));
    assert_eq!(
        (read[0].payload.as_slice(), read[0].context.as_slice()),
        (&b"21.5 C"[..], &b"g"[..])
    );
}

#[test]
fn each_fleet_of_a_group_stores_its_own_payloads() {
    let (_a, _, first) = fleet(HintScheme::Aes128, &options(u64::MAX));
    let (_b, _, second) = fleet(HintScheme::Speck64, &options(u64::MAX));
    let group = StationGroup::new(vec![first, second]).expect("two fleets");
    let devices = Devices::new(&SECRET);
    let packets = [
        devices.packet(1, 0, b"first"),
        devices.hinting(HintScheme::Speck64).packet(2, 0, b"second"),
    ];
    let heard: Vec<_> = packets.iter().map(|packet| received(packet, b"")).collect();
    group.decode_received(&heard).expect("it decodes");
    for (station, expected) in group.stations().iter().zip([&b"first"[..], b"second"]) {
        station.outbox().expect("it has one").set_readers(&["all"]).expect("a name");
        let read = unread(station, "all");
        assert_eq!((read.len(), read[0].payload.as_slice()), (1, expected));
    }
}

#[test]
fn the_document_has_the_bytes_of_a_body() {
    let document = include_str!("../../docs/format/outbox.md");
    documents::check_fields(document, outbox_format::record());
}

/// The raw rows of the outbox.
fn change_rows(dir: &Path, mut change: impl FnMut(usize, &mut Vec<u8>)) {
    let index = dir.join("index");
    let names = rocksdb::DB::list_cf(&rocksdb::Options::default(), &index).expect("it lists");
    let families = names.iter().filter(|name| *name != "hints-00000001");
    let mut options = rocksdb::Options::default();
    options.set_merge_operator_associative("hintdex.add", |_, base, _| base.map(<[u8]>::to_vec));
    let families: Vec<_> = families
        .map(|name| rocksdb::ColumnFamilyDescriptor::new(name, options.clone()))
        .chain(names.iter().filter(|name| *name == "hints-00000001").map(|name| {
            let mut of_window = rocksdb::Options::default();
            of_window.set_merge_operator_associative("hintdex.bucket-union", |_, base, _| {
                base.map(<[u8]>::to_vec)
            });
            rocksdb::ColumnFamilyDescriptor::new(name, of_window)
        }))
        .collect();
    let db = rocksdb::DB::open_cf_descriptors(&rocksdb::Options::default(), &index, families);
    let db = db.expect("it opens");
    let outbox = db.cf_handle("outbox").expect("it is there");
    let rows: Vec<_> = db
        .iterator_cf(&outbox, rocksdb::IteratorMode::Start)
        .map(|row| row.expect("it reads"))
        .collect();
    for (at, (key, row)) in rows.into_iter().enumerate() {
        let mut row = row.to_vec();
        change(at, &mut row);
        db.put_cf(&outbox, key, row).expect("it writes");
    }
}

#[test]
fn a_damaged_row_is_left_out_with_a_note_and_the_others_are_read() {
    let (_folder, dir, station) = fleet(HintScheme::Aes128, &options(u64::MAX));
    let devices = Devices::new(&SECRET);
    for nonce in 0..5 {
        station.decode(&devices.packet(1, nonce, b"21.5 C")).expect("it decodes");
    }
    drop(station);
    change_rows(&dir, |at, row| match at {
        0 => row.clear(),
        1 => row[3] ^= 1,
        2 => *row.last_mut().expect("it has bytes") ^= 1,
        _ => {
            assert!(!row.windows(4).any(|run| b"21.5 C".starts_with(run)), "it is sealed");
        }
    });
    let station = Station::open(&dir, &options(u64::MAX)).expect("it opens");
    station.outbox().expect("it has one").set_readers(&["all"]).expect("a name");
    let nonces: Vec<u64> = unread(&station, "all").iter().map(|read| read.nonce).collect();
    assert_eq!(nonces, [3, 4]);
    let notes = station.take_notes();
    let damaged = notes.iter().filter(|note| note.contains("of the outbox is damaged")).count();
    assert_eq!(damaged, 3, "{notes:?}");
}
