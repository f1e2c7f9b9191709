//! Backups: what a station had accepted when a backup began is in it, through decoding, changes and
//! chains that move; and nothing that was changed since is restored.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hintdex::wire::{DeviceId, HintScheme};
use hintdex::{
    BackupOptions, DeviceRange, Error, KeyAccess, Params, PassphraseCost, Protection, SecretSource,
    Station, StationOptions, SystemClock, Verdict,
};
use hintdex_tests::devices::{own_packet, payload};
use hintdex_tests::{Devices, EndOnDrop};
use tempfile::TempDir;

use crate::fleet::SECRET;
use crate::keys::import;

const DEVICES: u32 = 40;

/// A fleet of counters under [`SECRET`], which it keeps in the clear.
fn fleet() -> (TempDir, PathBuf, Station) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("the.key");
    fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    let (dir, params) = (folder.path().join("fleet"), Params::counters(HintScheme::Aes128, 4));
    let options = StationOptions { outbox_payloads: Some(u64::MAX), ..StationOptions::default() };
    let station = Station::create(&dir, Some(&key), params, &options).expect("a new folder");
    station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("free ids");
    (folder, dir, station)
}

fn clear(base: Option<&Path>) -> BackupOptions {
    BackupOptions { base: base.map(Path::to_owned), key: Some(Protection::File) }
}

fn restore(from: &Path, to: &Path) -> Station {
    Station::restore(from, to, None).expect("it restores");
    Station::open(to, &StationOptions::default()).expect("it opens")
}

fn verdict(station: &Station, device: u32, nonce: u64) -> &'static str {
    let packet = Devices::new(&SECRET).packet(device, nonce, &payload(device, nonce));
    station.decode(&packet).expect("it decodes").name()
}

/// Threads decode, devices are added and retired, the index rolls: each backup has what was accepted
/// before it began, and is sound.
#[test]
fn a_backup_beside_traffic_has_all_that_was_accepted_before() {
    let (folder, _, station) = fleet();
    let (station, is_done) = (&station, AtomicBool::new(false));
    // By device, one more than the last nonce that was accepted.
    let accepted: Vec<AtomicU64> = (0..DEVICES).map(|_| AtomicU64::new(0)).collect();
    let path = |name: String| folder.path().join(name);
    thread::scope(|scope| {
        let _end = EndOnDrop(&is_done);
        for thread in 0..2 {
            let (accepted, is_done) = (&accepted, &is_done);
            scope.spawn(move || {
                let devices = Devices::new(&SECRET);
                for nonce in 0.. {
                    for device in (thread..DEVICES).step_by(2) {
                        if is_done.load(Ordering::Relaxed) {
                            return;
                        }
                        let packet = devices.packet(device, nonce, &payload(device, nonce));
                        let verdict = station.decode(&packet).expect("it decodes");
                        assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
                        accepted[device as usize].store(nonce + 1, Ordering::SeqCst);
                    }
                }
            });
        }
        for round in 0..6u32 {
            let before: Vec<u64> =
                accepted.iter().map(|next| next.load(Ordering::SeqCst)).collect();
            let base = round.checked_sub(1).map(|last| path(format!("backup-{last}")));
            let backup = path(format!("backup-{round}"));
            station.backup(&backup, &clear(base.as_deref()), None).expect("it is written");
            let restored = restore(&backup, &path(format!("restored-{round}")));
            restored.verify(None).expect("it is sound");
            for (device, next) in (0..).zip(before).filter(|(_, next)| *next > 0) {
                assert_eq!(verdict(&restored, device, next - 1), "replay", "{round} {device}");
            }
            assert_eq!(restored.out_of_service(), []);
            let first = DeviceId(1000 + 10 * round);
            station.provision(&[DeviceRange::new(first, 10)], None).expect("free ids");
            station.retire(first).expect("it is there");
            station.roll(None).expect("it rolls");
        }
    });
    let last = restore(&path("backup-5".into()), &path("last".into()));
    assert_eq!(verdict(&last, 1041, 0), "accepted");
    assert_eq!(verdict(&last, 1040, 0), "unknown", "it was retired before");
    assert_eq!(verdict(&last, 1050, 0), "unknown", "it was added later");
    assert!(last.restored().is_some() && station.restored().is_none());
}

#[test]
fn what_has_not_changed_is_linked_from_the_base() {
    let (folder, _, station) = fleet();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    station.roll(None).expect("it rolls");
    station.backup(&first, &clear(None), None).expect("it is written");
    assert_eq!(verdict(&station, 1, 0), "accepted");
    let report = station.backup(&second, &clear(Some(&first)), None).expect("it is written");
    let inode = |backup: &Path, name: &str| {
        let found = fs::metadata(backup.join("fleet").join(name)).expect("it is there");
        (found.dev(), found.ino())
    };
    assert_eq!(inode(&first, "snapshot.hdx"), inode(&second, "snapshot.hdx"));
    assert!(report.linked_bytes > 0 && report.linked_bytes < report.bytes);
    assert_eq!(verdict(&restore(&second, &folder.path().join("restored")), 1, 0), "replay");
    assert_eq!(verdict(&restore(&first, &folder.path().join("earlier")), 1, 0), "accepted");

    // A base that was damaged since lends nothing.
    let third = folder.path().join("third");
    let snapshot = second.join("fleet/snapshot.hdx");
    let mut bytes = fs::read(&snapshot).expect("it reads");
    bytes[100] ^= 1;
    fs::remove_file(&snapshot).expect("it is there");
    fs::write(&snapshot, bytes).expect("it is written");
    station.backup(&third, &clear(Some(&second)), None).expect("it is written");
    restore(&third, &folder.path().join("again")).verify(None).expect("it is sound");

    let (_other_folder, _, other) = fleet();
    let refused = other.backup(&folder.path().join("other"), &clear(Some(&first)), None);
    assert!(matches!(refused, Err(Error::BackupRefused { .. })), "{refused:?}");
    assert!(!folder.path().join("other").exists());
}

/// Every byte of every file of a backup, one at a time in some of its bits.
#[test]
fn a_backup_that_was_changed_is_not_restored() {
    let (folder, _, station) = fleet();
    let backup = folder.path().join("backup");
    assert_eq!(verdict(&station, 1, 0), "accepted");
    station.backup(&backup, &clear(None), None).expect("it is written");
    let target = folder.path().join("restored");
    let is_refused = || {
        let restored = Station::restore(&backup, &target, None);
        let is_refused = match restored {
            Err(Error::Backup { .. } | Error::BackupRefused { .. }) => true,
            Err(other) => panic!("{other}"),
            // The manifest reads as another one; the fleet's key shows that it is not the station's.
            Ok(_) => {
                let opened = Station::open(&target, &StationOptions::default());
                matches!(opened, Err(Error::Backup { .. }))
            }
        };
        let _ = fs::remove_dir_all(&target);
        is_refused
    };
    let mut files = vec![backup.join("MANIFEST")];
    list(&backup.join("fleet"), &mut files);
    assert!(files.len() > 6, "{files:?}");
    for file in &files {
        let bytes = fs::read(file).expect("it reads");
        for at in (0..bytes.len()).step_by((bytes.len() / 12).max(1)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(file, changed).expect("it is written");
            assert!(is_refused(), "{} at {at}", file.display());
        }
        fs::write(file, bytes.get(1..).unwrap_or_default()).expect("it is written");
        assert!(is_refused() || bytes.is_empty(), "{} is shorter", file.display());
        fs::remove_file(file).expect("it is there");
        assert!(is_refused(), "{} is missing", file.display());
        fs::write(file, bytes).expect("it is written");
    }
    assert_eq!(verdict(&restore(&backup, &target), 1, 0), "replay");
    let taken = Station::restore(&backup, &target, None);
    assert!(matches!(taken, Err(Error::BackupRefused { .. })), "{taken:?}");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    restore(&backup, &empty);
}

/// One file holds the same backup: `tar` lists it, and what was changed or cut is not restored, or changes
/// nothing.
#[test]
fn a_backup_in_one_file_is_that_in_a_folder() {
    let (folder, _, station) = fleet();
    let (file, target) = (folder.path().join("backup.tar"), folder.path().join("restored"));
    assert_eq!(verdict(&station, 1, 0), "accepted");
    let report = station.backup(&file, &clear(None), None).expect("it is written");
    let taken = station.backup(&file, &clear(None), None);
    assert!(matches!(taken, Err(Error::BackupRefused { .. })), "{taken:?}");
    assert_eq!(fs::metadata(&file).expect("it is there").mode() & 0o777, 0o600);
    let tar = std::process::Command::new("tar").arg("-tf").arg(&file).output().expect("tar runs");
    let names = String::from_utf8(tar.stdout).expect("names");
    assert_eq!(names.lines().next(), Some("MANIFEST"));
    assert_eq!(names.lines().count() as u64, report.files + 1, "{names}");
    let verdict_of_restored = || {
        let restored = Station::restore(&file, &target, None);
        let opened = restored.and_then(|_| Station::open(&target, &StationOptions::default()));
        let said = opened.map(|station| verdict(&station, 1, 0));
        let _ = fs::remove_dir_all(&target);
        said.ok()
    };
    assert_eq!(verdict_of_restored(), Some("replay"));
    let bytes = fs::read(&file).expect("it reads");
    let (mut refused, step) = (0, (bytes.len() / 97).max(1));
    for at in (0..bytes.len()).step_by(step) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&file, changed).expect("it is written");
        // Bytes behind the end of a file up to the next block of 512 have no meaning.
        match verdict_of_restored() {
            None => refused += 1,
            said => assert_eq!(said, Some("replay"), "byte {at}"),
        }
        fs::write(&file, bytes.get(..at).unwrap_or_default()).expect("it is written");
        assert_eq!(verdict_of_restored().filter(|said| *said != "replay"), None, "cut at {at}");
    }
    assert!(refused > 60, "{refused}");
}

/// An archive of somebody else must not write outside the folder, nor anything but files.
#[test]
fn an_archive_with_other_entries_than_files_inside_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, target) = (folder.path().join("inner"), folder.path().join("restored"));
    fs::create_dir(&inner).expect("a folder");
    fs::write(inner.join("MANIFEST"), "any").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", inner.join("link")).expect("a link");
    let outside = format!("--transform=s,MANIFEST,{}/outside,", folder.path().display());
    let above = "--transform=s,MANIFEST,../above,".to_owned();
    let archives = [vec!["link"], vec!["-P", &outside, "MANIFEST"], vec!["-P", &above, "MANIFEST"]];
    for (number, more) in archives.iter().enumerate() {
        let file = folder.path().join(format!("{number}.tar"));
        let mut tar = std::process::Command::new("tar");
        let made = tar.arg("-cf").arg(&file).arg("-C").arg(&inner).args(more).status();
        assert!(made.expect("tar runs").success());
        let restored = Station::restore(&file, &target, None);
        assert!(matches!(restored, Err(Error::Backup { .. })), "{more:?}: {restored:?}");
        assert!(!folder.path().join("outside").exists() && !folder.path().join("above").exists());
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// A backup keeps a clear key only if the call says so.
#[test]
fn the_master_key_is_kept_as_the_call_says_or_as_the_fleet_does() {
    let (folder, dir, station) = fleet();
    let path = |name: &str| folder.path().join(name);
    let unstated = station.backup(&path("none"), &BackupOptions::default(), None);
    assert!(matches!(unstated, Err(Error::BackupRefused { .. })), "{unstated:?}");
    let has_key = |backup: &Path| {
        let mut files = Vec::new();
        list(backup, &mut files);
        let (hex, raw) = (hex::encode(SECRET), SECRET);
        files.iter().any(|file| {
            let bytes = fs::read(file).expect("it reads");
            bytes.windows(64).any(|run| run == hex.as_bytes())
                || bytes.windows(32).any(|run| run == raw)
        })
    };
    station.backup(&path("clear"), &clear(None), None).expect("it is written");
    assert!(has_key(&path("clear")));
    let source = SecretSource::parse("command:echo seven words".as_ref()).expect("a source");
    let cost = PassphraseCost { memory_kib: 1024, passes: 1, lanes: 1 };
    let wrapped = Protection::Passphrase { source: source.clone(), cost };
    let key_file = SecretSource::File(path("the.key"));
    let elsewhere = Protection::External { source: key_file.clone() };
    let by_passphrase = KeyAccess { passphrase: Some(source), ..KeyAccess::default() };
    let by_key = KeyAccess { master_key: Some(key_file), ..KeyAccess::default() };
    let cases = [("wrapped", wrapped, by_passphrase), ("elsewhere", elsewhere, by_key)];
    for (name, protection, access) in cases {
        let options = BackupOptions { base: None, key: Some(protection) };
        station.backup(&path(name), &options, None).expect("it is written");
        assert!(!has_key(&path(name)), "{name}");
        let restored = path(&format!("{name}-restored"));
        Station::restore(&path(name), &restored, None).expect("it restores");
        assert!(Station::open(&restored, &StationOptions::default()).is_err(), "{name}");
        let clock = Arc::new(SystemClock);
        let opened =
            Station::open_by(&restored, &access, &StationOptions::default(), clock.clone());
        let opened = opened.expect("it opens");
        // A fleet that keeps its key so is backed up as it is.
        let again = path(&format!("{name}-again"));
        opened.backup(&again, &BackupOptions::default(), None).expect("it is written");
        assert!(!has_key(&again), "{name}");
        assert!(opened.backup(&path("no"), &clear(None), None).is_err(), "{name}");
        Station::restore(&again, &path(&format!("{name}-twice")), None).expect("it restores");
    }
    drop(station);
    assert!(!dir.join("backup").exists());
    let drafts = fs::read_dir(&dir).expect("a folder").map(|entry| entry.expect("an entry"));
    assert!(!drafts.into_iter().any(|entry| hintdex_host::is_draft(&entry.file_name())));
}

/// A fleet goes on with numbers behind its backup. The restored one uses none of them.
#[test]
fn a_restored_fleet_uses_no_number_that_its_former_self_has_used() {
    let (folder, _, station) = fleet();
    let (backup, dir) = (folder.path().join("backup"), folder.path().join("restored"));
    let outbox = station.outbox().expect("it has one");
    outbox.set_readers(&["a"]).expect("a name");
    (0..5).for_each(|nonce| assert_eq!(verdict(&station, 1, nonce), "accepted"));
    outbox.acknowledge("a", 2).expect("a reader");
    station.backup(&backup, &clear(None), None).expect("it is written");
    (5..9).for_each(|nonce| assert_eq!(verdict(&station, 1, nonce), "accepted"));
    let used = outbox.end();
    Station::restore(&backup, &dir, None).expect("it restores");
    let options = StationOptions { outbox_payloads: Some(5), ..StationOptions::default() };
    for (round, nonce) in [5, 6].into_iter().enumerate() {
        let restored = Station::open(&dir, &options).expect("it opens");
        let outbox = restored.outbox().expect("it has one");
        assert_eq!(outbox.waiting(), 3 + round as u64);
        assert_eq!(verdict(&restored, 1, nonce), "accepted");
        let place = outbox.place("a").expect("a reader");
        let read = outbox.read(place, 100).expect("it reads").payloads;
        assert_eq!(read.len(), 4 + round);
        assert!(read[3..].iter().all(|payload| payload.number > 1_000 * used), "{read:?}");
        let nonces: Vec<u64> = read.iter().map(|payload| payload.nonce).collect();
        assert_eq!(nonces, (2..=nonce).collect::<Vec<_>>());
    }
    let restored = Station::open(&dir, &options).expect("it opens");
    let packet = Devices::new(&SECRET).packet(1, 7, &payload(1, 7));
    assert!(restored.decode(&packet).is_err(), "its outbox is full");
    let outbox = restored.outbox().expect("it has one");
    outbox.acknowledge("a", outbox.end()).expect("a reader");
    assert_eq!((outbox.waiting(), verdict(&restored, 1, 7)), (0, "accepted"));
}

/// Imported keys come along, those that are added while the backup is written as well.
#[test]
fn keys_that_devices_bring_are_in_the_backup_of_their_devices() {
    let (folder, _, station) = fleet();
    import(&station, &(2000..2020).collect::<Vec<_>>()).expect("free ids");
    let backup = folder.path().join("backup");
    station.backup(&backup, &clear(None), None).expect("it is written");
    import(&station, &(3000..3010).collect::<Vec<_>>()).expect("free ids");
    let restored = restore(&backup, &folder.path().join("restored"));
    for (device, expected) in [(2000, "accepted"), (2019, "accepted"), (3000, "unknown")] {
        assert_eq!(restored.decode(&own_packet(device, 0)).expect("it decodes").name(), expected);
    }
    assert_eq!(restored.out_of_service(), []);
}
