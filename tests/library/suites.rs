//! Suites through the library: associated data of the fleet and of a packet, also while a packet
//! waits for its scan, and a fleet whose associated data are damaged.

use hintdex::wire::{
    AssociatedData, AssociatedDataBuf, DeviceId, HintScheme, KeyId, KeySource, MasterKey,
    PacketFormat, Sealer, Suite,
};
use hintdex::{
    DeviceRange, Error, IndexError, Params, Received, Station, StationOptions, Unknown, Verdict,
};
use rocksdb::{DB, Options};

use crate::fleet::SECRET;

const FLEETS: &[u8] = b"meters v1";
const CHANNEL: &[u8] = b"meters v1, channel 7";
/// A nonce that no index looks ahead to.
const LEAPT: u64 = 1000;

/// The parameters of a fleet of a suite that takes associated data.
fn params(suite: Suite) -> Params {
    let associated_data = AssociatedDataBuf::new(FLEETS).expect("short enough");
    Params { suite, associated_data, ..Params::counters(HintScheme::Aes128, 4) }
}

/// A packet of a device, bound to `data`.
fn packet(suite: Suite, device: u32, nonce: u64, data: &[u8]) -> Vec<u8> {
    let (keys, id) = (MasterKey::new(&SECRET), KeyId::first(DeviceId(device)));
    let (hint_key, key) =
        (keys.hint_key(id).expect("derived"), keys.packet_key(id).expect("derived"));
    let mut sealer =
        Sealer::new(PacketFormat { scheme: HintScheme::Aes128, suite }, &hint_key, key, nonce);
    let mut packet = vec![0; sealer.packet_len_bytes(6)];
    let data = AssociatedData::new(data).expect("short enough");
    sealer.seal_with(nonce, b"21.5 C", data, &mut packet).expect("the buffer fits");
    packet
}

fn name(verdict: &Verdict) -> (&'static str, bool) {
    let waits = matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. }));
    (verdict.name(), waits)
}

#[test]
fn a_packet_opens_with_its_own_associated_data_or_those_of_the_fleet() {
    for suite in Suite::ALL.iter().copied().filter(|suite| suite.takes_associated_data()) {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, key) = (folder.path().join("fleet"), folder.path().join("key"));
        std::fs::write(&key, hex::encode(SECRET)).expect("a file");
        let options = StationOptions { scan_core_share: 0.0, ..StationOptions::default() };
        let station = Station::create(&path, Some(&key), params(suite), &options).expect("a fleet");
        station.provision(&[DeviceRange::new(DeviceId(0), 100)], None).expect("ids are free");
        drop(station);
        let station = Station::open(&path, &options).expect("it opens");
        assert_eq!(station.params(), params(suite));

        let now = 1_764_000_000;
        let channel = AssociatedData::new(CHANNEL);
        let judge = |packet: &[u8], associated_data| {
            let received =
                Received { packet, at_unix_s: now, at_ms: 0, associated_data, context: &[] };
            station.decode_received(&[received]).expect("it decodes").remove(0)
        };
        let (usual, other) = (packet(suite, 1, 0, FLEETS), packet(suite, 2, 0, CHANNEL));
        assert_eq!(name(&judge(&other, None)), ("forged", false), "{suite}");
        assert_eq!(name(&judge(&usual, channel)), ("forged", false), "{suite}");
        let none = packet(suite, 3, 0, b"");
        assert_eq!(name(&judge(&none, None)), ("forged", false), "{suite}");
        assert_eq!(name(&judge(&none, Some(AssociatedData::EMPTY))), ("accepted", false));
        assert_eq!(name(&judge(&usual, None)), ("accepted", false), "{suite}");
        assert_eq!(name(&judge(&other, channel)), ("accepted", false), "{suite}");
        assert_eq!(name(&judge(&other, channel)), ("replay", false), "{suite}");

        // A packet keeps its associated data while it waits for a scan.
        let (far, wrong) = (packet(suite, 4, LEAPT, CHANNEL), packet(suite, 5, LEAPT, CHANNEL));
        assert_eq!(name(&judge(&far, channel)), ("unknown", true), "{suite}");
        assert_eq!(name(&judge(&wrong, None)), ("unknown", true), "{suite}");
        let told = station.scan_all_waiting().expect("it scans");
        let told: Vec<_> = told.iter().map(|(_, verdict)| verdict.name()).collect();
        assert_eq!(told, ["accepted", "forged"], "{suite}");
    }
}

/// The usual suite authenticates nothing beside the packet, also where many packets are opened at once.
#[test]
fn a_packet_of_the_usual_suite_does_not_open_with_associated_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, key) = (folder.path().join("fleet"), folder.path().join("key"));
    std::fs::write(&key, hex::encode(SECRET)).expect("a file");
    let params = Params::counters(HintScheme::Aes128, 4);
    let options = StationOptions::default();
    let station = Station::create(&path, Some(&key), params, &options).expect("a fleet");
    station.provision(&[DeviceRange::new(DeviceId(0), 100)], None).expect("ids are free");
    for (nonce, devices) in [(0, 3..4), (1, 0..40)] {
        let packets: Vec<Vec<u8>> =
            devices.clone().map(|device| packet(Suite::AesCtrHmac, device, nonce, b"")).collect();
        let received: Vec<Received<'_>> = devices
            .clone()
            .zip(&packets)
            .map(|(device, packet)| Received {
                packet,
                at_unix_s: 1_764_000_000,
                at_ms: 0,
                associated_data: AssociatedData::new(CHANNEL).filter(|_| device == 3),
                context: &[],
            })
            .collect();
        let verdicts = station.decode_received(&received).expect("it decodes");
        for (device, verdict) in devices.zip(verdicts) {
            let expected = if device == 3 { "forged" } else { "accepted" };
            assert_eq!(verdict.name(), expected, "device {device}, nonce {nonce}");
        }
    }
}

/// With other data, every packet of the fleet would be forged: an opening says so instead.
#[test]
fn a_fleet_without_its_associated_data_does_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet");
    let options = StationOptions::default();
    drop(Station::create(&path, None, params(Suite::AesSiv), &options).expect("a fleet"));
    let index = path.join("index");
    let change = |value: Option<&[u8]>| {
        let families = DB::list_cf(&Options::default(), &index).expect("it is a database");
        let database =
            DB::open_cf(&Options::default(), &index, families).expect("nobody has it open");
        match value {
            Some(value) => database.put(b"associated-data", value),
            None => database.delete(b"associated-data"),
        }
        .expect("it is written");
    };
    for damaged in [None, Some(&b"meters"[..]), Some(&[7; 241])] {
        change(damaged);
        let error = Station::open(&path, &options).expect_err("its data are gone");
        assert!(matches!(error, Error::Index(IndexError::Corrupted { .. })), "{error:?}");
        assert!(error.to_string().contains("associated data"), "{error}");
    }
    change(Some(FLEETS));
    assert_eq!(Station::open(&path, &options).expect("it opens").params(), params(Suite::AesSiv));
}
