//! An index that a newer version wrote is refused by its version, and not touched.

use std::path::Path;

use hintdex::wire::{DeviceId, HintScheme};
use hintdex::{DeviceRange, Station, StationOptions};
use hintdex_core::Error as Index;
use hintdex_core::format::{META_MAGIC, VERSION, names};
use hintdex_tests::program::decode;
use hintdex_tests::{Devices, Random, run};
use rocksdb::{DB, Options};

use crate::fleet::{Fleet, SECRET};

/// Where a meta record has its version.
const VERSION_AT: usize = META_MAGIC.len();

/// Lets `change` change the sound meta record of a closed fleet.
fn change_meta(fleet: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    change_meta_of_any_kind(fleet, |record| {
        assert!(record.starts_with(&META_MAGIC), "{record:02x?}");
        change(record);
    });
}

fn change_meta_of_any_kind(fleet: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let names = names();
    let meta = names.iter().find(|(name, _)| *name == "meta key").expect("it has a name");
    let path = fleet.join("index");
    let families = DB::list_cf(&Options::default(), &path).expect("it is a database");
    let db = DB::open_cf(&Options::default(), &path, families).expect("nobody has it open");
    let mut record = db.get(&meta.1).expect("it can be read").expect("every index has one");
    change(&mut record);
    db.put(&meta.1, record).expect("it can be written");
}

fn set_version(record: &mut [u8], version: u16) {
    record[VERSION_AT..VERSION_AT + 2].copy_from_slice(&version.to_le_bytes());
}

/// Version 1 had shorter records of runs, and no times of last packets.
#[test]
fn an_index_of_version_1_is_opened_and_raised_to_the_present_version() {
    let mut fleet = Fleet::create(HintScheme::Aes128, 4, &mut Random::new(1));
    let range = DeviceRange::new(DeviceId(0), 100);
    fleet.station().provision(&[range], None).expect("ids are free");
    fleet.close();
    change_meta(&fleet.dir(), |record| set_version(record, 1));
    let path = fleet.dir().join("index");
    let families = DB::list_cf(&Options::default(), &path).expect("it is a database");
    let db = DB::open_cf(&Options::default(), &path, families).expect("nobody has it open");
    let slots = db.cf_handle("slots").expect("a family");
    let run = db.get_cf(&slots, [0; 4]).expect("it can be read").expect("the first run");
    db.put_cf(&slots, [0; 4], &run[..20]).expect("it can be written");
    drop(db);
    let senders = Devices::new(&SECRET);
    for nonce in 0..2 {
        let station = Station::open(&fleet.dir(), &StationOptions::default()).expect("it opens");
        let verdict = station.decode(&senders.packet(7, nonce, b"x")).expect("it decodes");
        assert_eq!(verdict.name(), "accepted");
        station.rotate(&[DeviceId(7 + u32::from(nonce == 1))], 60, None).expect("it is there");
        station.verify(None).expect("all holds");
    }
    change_meta(&fleet.dir(), |record| {
        assert_eq!(record[VERSION_AT..VERSION_AT + 2], VERSION.to_le_bytes());
    });
}

#[test]
fn an_index_of_a_newer_version_is_refused_and_named() {
    let mut fleet = Fleet::create(HintScheme::Aes128, 4, &mut Random::new(1));
    let range = DeviceRange::new(hintdex::wire::DeviceId(0), 100);
    fleet.station().provision(&[range], None).expect("ids are free");
    fleet.close();
    // What follows the version may be longer and mean something else.
    for more in [0, 40] {
        change_meta(&fleet.dir(), |record| {
            set_version(record, VERSION + 1);
            record.extend(vec![0xee; more]);
        });
        let opened = Station::open(&fleet.dir(), &StationOptions::default());
        let refused = matches!(
            opened,
            Err(hintdex::Error::Index(Index::NewerVersion { found, supported }))
                if (found, supported) == (VERSION + 1, VERSION)
        );
        assert!(refused, "{opened:?}");
        let words = [&format!("version {}", VERSION + 1), "update hintdex"];
        decode(&fleet.dir(), &[], "").refused(1, &words);
        run(["verify".as_ref(), fleet.dir().as_os_str()]).refused(1, &words);
        change_meta(&fleet.dir(), |record| {
            set_version(record, VERSION);
            record.truncate(record.len() - more);
        });
    }
    fleet.reopen(&mut Random::new(2));
    fleet.station().verify(None).expect("nothing was changed");
}

#[test]
fn a_meta_record_that_no_version_wrote_is_refused() {
    let mut fleet = Fleet::create(HintScheme::Aes128, 4, &mut Random::new(1));
    let range = DeviceRange::new(hintdex::wire::DeviceId(0), 10);
    fleet.station().provision(&[range], None).expect("ids are free");
    fleet.close();
    let mut original = Vec::new();
    change_meta(&fleet.dir(), |record| original.clone_from(record));
    // Every field is checked but the time of making and a lookahead in range; those
    // rest on the store's checksums.
    let fields = hintdex_core::format::records();
    let (_, meta) = fields.iter().find(|(name, _)| *name == "meta").expect("it is listed");
    for (name, offset, len_bytes) in meta {
        for at in *offset..offset + len_bytes {
            change_meta(&fleet.dir(), |record| record[at] ^= 0x80);
            let opened = Station::open(&fleet.dir(), &StationOptions::default());
            let free = *name == "created_unix_s" || (*name == "lookahead" && at - *offset < 2);
            assert_eq!(opened.is_ok(), free, "byte {at} of {name}: {opened:?}");
            drop(opened);
            change_meta_of_any_kind(&fleet.dir(), |record| record.clone_from(&original));
        }
    }
    for len_bytes in [0, 8, 10, original.len() - 1] {
        change_meta(&fleet.dir(), |record| record.truncate(len_bytes));
        assert!(Station::open(&fleet.dir(), &StationOptions::default()).is_err());
        change_meta_of_any_kind(&fleet.dir(), |record| record.clone_from(&original));
    }
    fleet.reopen(&mut Random::new(2));
    fleet.station().verify(None).expect("nothing was changed");
}
