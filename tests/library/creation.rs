//! Indexes and fleets that are made beside others, and several at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hintdex::wire::{
    CheckValue, DeviceId, HintKey, HintScheme, KeyId, KeySource, MasterKey, PacketKey,
};
use hintdex::{DeviceRange, Error, IndexError, Params, Station, StationOptions};
use hintdex_core::{LiveIndex, Options};

use crate::fleet::SECRET;

fn params() -> Params {
    Params::counters(HintScheme::Aes128, 4)
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("text")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn neighbours_of_a_new_index_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let neighbours = ["fleet.new", "fleet.v2.new", "fleet", ".fleet.v2", "fleet.making"];
    for name in neighbours {
        fs::create_dir(folder.path().join(name)).expect("a folder");
        fs::write(folder.path().join(name).join("letter.txt"), "dear").expect("a file");
    }
    let keys = Arc::new(MasterKey::new(&SECRET));
    let path = folder.path().join("fleet.v2");
    let index = LiveIndex::create(&path, keys.clone(), params(), &Options::default());
    drop(index.expect("it can be made"));
    let dir = folder.path().join("fleet.v3");
    drop(Station::create(&dir, None, params(), &StationOptions::default()).expect("it is made"));
    let mut expected: Vec<&str> = neighbours.to_vec();
    expected.extend(["fleet.v2", "fleet.v3"]);
    expected.sort_unstable();
    assert_eq!(names(folder.path()), expected);
    for name in neighbours {
        let letter = fs::read(folder.path().join(name).join("letter.txt"));
        assert_eq!(letter.expect("it is there"), b"dear", "{name}");
    }
}

/// Puts something into a place.
type Appear = Box<dyn Fn(&Path) + Send + Sync>;

/// Keys whose source does something while an index is being made.
struct Meanwhile<F>(MasterKey, F);

impl<F: Fn() + Send + Sync> KeySource for Meanwhile<F> {
    fn hint_key(&self, key: KeyId) -> Option<HintKey> {
        self.0.hint_key(key)
    }

    fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
        self.0.packet_key(key)
    }

    fn check_value(&self, context: &[u8]) -> CheckValue {
        (self.1)();
        self.0.check_value(context)
    }
}

#[test]
fn what_appears_while_an_index_is_made_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let letter = path.join("letter.txt");
    let appear: [(&str, Appear); 3] = [
        ("a folder", {
            let letter = letter.clone();
            Box::new(move |path| {
                fs::create_dir(path).expect("a folder");
                fs::write(&letter, "dear").expect("a file");
            })
        }),
        ("a file", Box::new(|path| fs::write(path, "dear").expect("a file"))),
        (
            "an index",
            Box::new(|path| {
                let keys = Arc::new(MasterKey::new(&[1; 32]));
                let index = LiveIndex::create(path, keys, params(), &Options::default());
                let index = index.expect("it can be made");
                let devices = [DeviceRange::new(DeviceId(1), 9)];
                index.provision(&devices, None).expect("free ids");
            }),
        ),
    ];
    for (what, appear) in appear {
        let at = path.clone();
        let keys = Meanwhile(MasterKey::new(&SECRET), move || appear(&at));
        let refused = LiveIndex::create(&path, Arc::new(keys), params(), &Options::default());
        let refused = refused.expect_err("something is there");
        assert!(matches!(refused, IndexError::AlreadyAnIndex { .. }), "{what}: {refused}");
        assert_eq!(names(folder.path()), ["index"], "{what}: a draft is left");
        match what {
            "a folder" => assert_eq!(fs::read(&letter).expect("it is there"), b"dear"),
            "a file" => assert_eq!(fs::read(&path).expect("it is there"), b"dear"),
            _ => {
                let keys = Arc::new(MasterKey::new(&[1; 32]));
                let index = LiveIndex::open(&path, keys, &Options::default()).expect("it opens");
                assert_eq!(index.slot_count(), 9);
            }
        }
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

#[test]
fn a_fleet_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir: PathBuf = folder.path().join("fleet");
    let create = || Station::create(&dir, None, params(), &StationOptions::default());
    let open = || Station::open(&dir, &StationOptions::default());
    let station = create().expect("it can be made");
    for second in [create(), open()] {
        let refused = second.expect_err("it is open");
        assert!(matches!(refused, Error::Index(IndexError::InUse { .. })), "{refused}");
    }
    drop(station);
    let there = create().expect_err("it is there");
    assert!(matches!(there, Error::Index(IndexError::AlreadyAnIndex { .. })), "{there}");
    let station = open().expect("nobody has it");
    station.discard_empty().expect("it is empty");
    assert_eq!(names(&dir), ["fleet.lock", "master.key"]);
    // Made again, under the key that stayed.
    let key = fs::read(dir.join("master.key")).expect("it is there");
    drop(create().expect("there is none"));
    assert_eq!(fs::read(dir.join("master.key")).expect("it is there"), key);
    let refused = Station::create(
        &folder.path().join("other"),
        None,
        Params { lookahead: 0, ..params() },
        &StationOptions::default(),
    );
    assert!(refused.is_err() && !folder.path().join("other").exists(), "a folder was made");
}
