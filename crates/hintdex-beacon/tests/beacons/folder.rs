//! The folder: kept from run to run, owned by one, damaged, swept.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use hintdex_beacon::{Changes, Error, Event, Options, Resolver, Source};

use crate::support::{Beacon, NOW, Random, Station, ask, flip_byte, who};

fn station() -> (Station, Vec<Beacon>) {
    let mut random = Random::new(11);
    let beacons: Vec<_> =
        (0..200).map(|at| Beacon::new(at, 6, 1_700_000_000, &mut random)).collect();
    let station = Station::new(NOW);
    station.register(NOW, beacons.iter().map(|beacon| beacon.registration(NOW)));
    (station, beacons)
}

fn all_found(resolver: &mut Resolver, beacons: &[Beacon], at: u64) {
    for beacon in beacons {
        let found = who(&ask(resolver, beacon.sighting(at)));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}

#[test]
fn windows_are_used_again_by_the_next_run() {
    let (mut station, beacons) = station();
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let names = station.windows();
    assert_eq!(names.len(), 1);
    let file = station.folder.join(&names[0]);
    let built = fs::metadata(&file).and_then(|file| file.modified()).expect("a file");
    resolver.close().expect("saved");
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    all_found(&mut resolver, &beacons, NOW);
    let now = fs::metadata(&file).and_then(|file| file.modified()).expect("a file");
    assert_eq!(built, now);
    drop(resolver);

    // A window of other options is built anew.
    let inode = || fs::metadata(&file).expect("a file").ino();
    let changes: [fn(&mut Options); 4] = [
        |options| options.before_s += 1,
        |options| options.after_s += 1,
        |options| options.max_drift_ppm += 1,
        |options| options.evaluations += 1,
    ];
    for change in changes {
        let before = inode();
        change(&mut station.options);
        station.open().advance().expect("windows");
        assert_ne!(inode(), before, "{:?}", station.options);
    }
}

#[test]
fn the_next_window_is_built_ahead_and_past_ones_go() {
    let (station, beacons) = station();
    let start = NOW / 3600 * 3600 + 3600;
    station.clock.set(start - 700);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    assert_eq!(station.windows(), [format!("window-{}.hdx", start - 3600)]);
    station.clock.set(start - 600);
    resolver.advance().expect("windows");
    while station.windows().len() < 2 {
        std::thread::yield_now();
    }
    let both = [format!("window-{}.hdx", start - 3600), format!("window-{start}.hdx")];
    assert_eq!(station.windows(), both);
    // The one before is kept while what is heard may be of it.
    for (now, windows) in [(start, 2), (start + 60, 2), (start + 61, 1)] {
        station.clock.set(now);
        resolver.advance().expect("windows");
        all_found(&mut resolver, &beacons, now);
        assert_eq!(station.windows().len(), windows, "{now}");
    }
    // After months nothing of before is left, not even what a killed build has begun.
    drop(resolver);
    let draft = station.folder.join(format!(".window-{start}.hdx.AbCdEf.making"));
    fs::write(&draft, [0; 100]).expect("a file");
    station.clock.set(start + 90 * 86_400);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    all_found(&mut resolver, &beacons, start + 90 * 86_400);
    assert_eq!(station.windows().len(), 1);
    assert!(!draft.exists());
}

#[test]
fn sightings_of_the_past_visit_their_windows() {
    let (station, beacons) = station();
    let mut resolver = station.open();
    let heard: Vec<_> =
        (0..100).map(|at| beacons[at].sighting(NOW - 7 * 86_400 + at as u64 * 500)).collect();
    let answers = resolver.resolve_batch(&heard).expect("answers");
    for (beacon, answer) in beacons.iter().zip(&answers) {
        assert_eq!(who(answer), Some((beacon.device.0, Source::Snapshot)));
    }
    // Four that were visited last, and none of those before.
    assert!(station.windows().len() <= 4, "{:?}", station.windows());
}

/// Two receivers of which one is hours late: their windows stay, and the present one.
#[test]
fn times_that_alternate_build_each_window_once() {
    let (station, beacons) = station();
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let inodes = |at: u64| {
        let path = station.folder.join(format!("window-{}.hdx", at / 3600 * 3600));
        fs::metadata(path).expect("a window").ino()
    };
    let times = [NOW, NOW - 86_400, NOW - 5 * 3600, NOW - 30 * 3600, NOW - 70 * 3600];
    let mut first = None;
    for _ in 0..3 {
        for time in times {
            all_found(&mut resolver, &beacons[..3], time);
        }
        let built = times.map(inodes);
        assert_eq!(*first.get_or_insert(built), built);
    }
    // A fifth goes in the place of the one that was not asked for longest.
    all_found(&mut resolver, &beacons[..3], NOW - 90 * 3600);
    assert_eq!(station.windows().len(), 5);
    let gone = format!("window-{}.hdx", times[1] / 3600 * 3600);
    assert!(!station.windows().contains(&gone));
    // The next run keeps none of them.
    resolver.close().expect("saved");
    station.open().advance().expect("windows");
    assert_eq!(station.windows().len(), 1);
}

#[test]
fn what_was_learned_is_kept() {
    let (station, mut beacons) = station();
    beacons.iter_mut().for_each(|beacon| beacon.drift_ppm = 150);
    let (zero, week) = (i64::try_from(NOW).expect("a time"), 7 * 86_400);
    beacons.iter_mut().for_each(|beacon| {
        // What was measured holds at `NOW`, whatever the drift since 0.
        beacon.zero_unix_s = zero - (zero - beacon.zero_unix_s) * 1_000_000 / 1_000_150;
    });
    for weeks in 1..8 {
        let now = NOW + weeks * week;
        station.clock.set(now);
        let mut resolver = station.open();
        resolver.advance().expect("windows");
        all_found(&mut resolver, &beacons, now);
        resolver.close().expect("saved");
    }
    // Windows of clocks that were heard a week ago are small: 3600 s, a minute on
    // either side twice (for the sightings, for what was learned from sightings), and
    // 91 s of drift, in rotations of 64 s; and as much drift again, because two rotations
    // bound a clock and the other one was heard a week before.
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let each = resolver.stats().windows[0].identifiers as f64 / 200.0;
    assert!(each < (3600.0 + 240.0 + 4.0 * 91.0 + 128.0 + 66.0) / 64.0 + 1.0, "{each}");
}

/// The extra identifiers of moved clocks are in memory alone, so the next run builds
/// the window anew.
#[test]
fn a_window_from_before_a_move_is_not_used_again() {
    let (station, beacons) = station();
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let reborn = Beacon { zero_unix_s: i64::try_from(NOW).expect("a time"), ..beacons[9].clone() };
    for (later, source) in [(100, Source::Epoch), (200, Source::Epoch), (300, Source::Snapshot)] {
        let found = who(&ask(&mut resolver, reborn.sighting(NOW + later)));
        assert_eq!(found, Some((9, source)), "{later}");
    }
    resolver.close().expect("saved");
    station.clock.set(NOW + 400);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    assert_eq!(who(&ask(&mut resolver, reborn.sighting(NOW + 400))), Some((9, Source::Snapshot)));
    assert_eq!(resolver.take_events(), []);
}

#[test]
fn a_folder_has_one_owner() {
    let (station, _) = station();
    let clock = || Box::new(station.clock.clone());
    let resolver = station.open();
    let second = Resolver::open(&station.folder, station.options, clock());
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    assert!(matches!(Changes::open(&station.folder, NOW), Err(Error::Locked { .. })));
    drop(resolver);
    assert!(Changes::open(&station.folder, NOW).is_ok());
    let nowhere = Resolver::open(&station.folder.join("nowhere"), station.options, clock());
    assert!(matches!(nowhere, Err(Error::NoBeacons { .. })));
    for wrong in [
        Options { span_s: 0, ..station.options },
        Options { max_drift_ppm: 100_001, ..station.options },
    ] {
        let wrong = Resolver::open(&station.folder, wrong, clock());
        assert!(matches!(wrong, Err(Error::Option { .. })));
    }
    let most = Options { max_drift_ppm: 100_000, ..station.options };
    assert!(Resolver::open(&station.folder, most, clock()).is_ok());
}

#[test]
fn keys_are_for_their_owner_alone() {
    let (station, _) = station();
    station.open().close().expect("saved");
    for name in ["beacons.keys", "beacons.clocks"] {
        let mode = fs::metadata(station.folder.join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!format!("{:?}", station.open()).contains("key: ["));
}

#[test]
fn any_damaged_byte_of_the_keys_is_told() {
    let (station, _) = station();
    station.open().close().expect("saved");
    let name = "beacons.keys";
    let path = station.folder.join(name);
    let open = || Resolver::open(&station.folder, station.options, Box::new(station.clock.clone()));
    let len = fs::read(&path).expect("a file").len();
    for at in (0..100).chain((100..len).step_by(37)).chain(len - 8..len) {
        flip_byte(&path, at);
        let error = open().expect_err("a damaged file");
        assert!(
            matches!(error, Error::Damaged { .. } | Error::NewerVersion { .. }),
            "{name} {at}: {error}"
        );
        assert!(error.to_string().contains(name));
        flip_byte(&path, at);
    }
    let whole = fs::read(&path).expect("a file");
    for len in [0, 3, 8, 40, 63, 64, 65, whole.len() - 1] {
        fs::write(&path, &whole[..len]).expect("a file");
        assert!(matches!(open(), Err(Error::Damaged { .. })), "{name} cut to {len}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).expect("a file");
    assert!(matches!(open(), Err(Error::Damaged { .. })), "{name} with a byte more");
    fs::write(&path, whole).expect("a file");
    station.open();
}

/// A station whose beacons all had new batteries, so that only what was learned finds them.
fn station_that_learned() -> (Station, Vec<Beacon>, u64) {
    let (station, mut beacons) = station();
    beacons.truncate(20);
    let zero = i64::try_from(NOW).expect("a time");
    beacons.iter_mut().for_each(|beacon| beacon.zero_unix_s = zero);
    let mut resolver = station.open();
    for later in [100, 200] {
        for beacon in &beacons {
            assert!(ask(&mut resolver, beacon.sighting(NOW + later)).identification().is_some());
        }
    }
    resolver.close().expect("saved");
    // No longer found by what they send at first.
    let now = NOW + 3 * 3600;
    station.clock.set(now);
    (station, beacons, now)
}

/// Whatever byte of the clocks is damaged, one beacon's clock is lost at most, and it is
/// told. A header's damage loses none.
#[test]
fn a_damaged_byte_of_the_clocks_costs_one_beacon_its_clock() {
    let (station, beacons, now) = station_that_learned();
    let path = station.folder.join("beacons.clocks");
    let whole = fs::read(&path).expect("a file");
    assert_eq!(whole.len(), 52 + 40 * 68);
    for at in (0..52).step_by(3).chain((52..whole.len()).step_by(23)) {
        flip_byte(&path, at);
        let open =
            Resolver::open(&station.folder, station.options, Box::new(station.clock.clone()));
        match open {
            // What may be another program's file, or a newer one's, is not written over.
            Err(Error::Damaged { .. } | Error::NewerVersion { .. }) => assert!(at < 10, "{at}"),
            Err(error) => panic!("{at}: {error}"),
            Ok(mut resolver) => {
                resolver.advance().expect("windows");
                let told = resolver.take_events();
                assert!(matches!(told[..], [Event::ClocksDamaged { .. }]), "{at}: {told:?}");
                let is_lost = |beacon: &&Beacon| {
                    ask(&mut resolver, beacon.sighting(now)).identification().is_none()
                };
                let lost = beacons.iter().filter(is_lost).count();
                assert!(lost <= usize::from(at >= 52), "{at}: {lost} are lost");
            }
        }
        fs::write(&path, &whole).expect("a file");
    }
    // Half of it: what is there is used.
    fs::write(&path, &whole[..52 + 19 * 68 + 5]).expect("a file");
    let mut resolver = station.open();
    let told = resolver.take_events();
    assert!(matches!(told[..], [Event::ClocksDamaged { records: 21, .. }]), "{told:?}");
    resolver.advance().expect("windows");
    let found =
        |beacon: &&Beacon| ask(&mut resolver, beacon.sighting(now)).identification().is_some();
    assert_eq!(beacons.iter().filter(found).count(), 10);
}

/// A file with the name of a window is removed, or written over, only if the folder's
/// owner made it.
#[test]
fn files_of_strangers_stay() {
    let (station, beacons) = station();
    let present = NOW / 3600 * 3600;
    let strangers = [
        "window-123.hdx",
        ".window-123.hdx.GhIjKl.making",
        "window-1700000000.hdx",
        "window-x.hdx",
    ];
    let mut resolver = station.open();
    for name in strangers {
        fs::write(station.folder.join(name), b"of somebody else").expect("a file");
    }
    resolver.advance().expect("windows");
    all_found(&mut resolver, &beacons, NOW);
    resolver.close().expect("saved");
    station.clock.set(NOW + 90 * 86_400);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    drop(resolver);
    assert!(!station.folder.join(format!("window-{present}.hdx")).exists(), "it is ours");
    // At the place of a window of ours.
    let next = (NOW + 91 * 86_400) / 3600 * 3600;
    let place = station.folder.join(format!("window-{next}.hdx"));
    fs::write(&place, b"of somebody else").expect("a file");
    station.clock.set(next);
    let mut resolver = station.open();
    let refused = resolver.advance().expect_err("no place");
    assert!(matches!(refused, Error::ForeignFile { .. }), "{refused}");
    for name in strangers.map(str::to_owned).into_iter().chain([format!("window-{next}.hdx")]) {
        let bytes = fs::read(station.folder.join(&name)).expect("the file of a stranger");
        assert_eq!(bytes, b"of somebody else", "{name}");
    }
    fs::remove_file(&place).expect("a file");
    resolver.advance().expect("windows");
    all_found(&mut resolver, &beacons, next);
}

/// The record of windows may be lost: its windows are used, and none is removed by guess.
#[test]
fn a_damaged_record_of_windows_costs_room() {
    let (station, beacons) = station();
    station.open().advance().expect("windows");
    let record = station.folder.join("beacons.windows");
    let len = fs::read(&record).expect("a file").len();
    for at in 0..len {
        flip_byte(&record, at);
        let mut resolver = station.open();
        assert!(matches!(resolver.take_events()[..], [Event::WindowRecordDamaged { .. }]), "{at}");
        if at == 0 {
            resolver.advance().expect("windows");
            all_found(&mut resolver, &beacons, NOW);
            assert_eq!(station.windows().len(), 1);
        } else {
            drop(resolver);
            flip_byte(&record, at);
        }
    }
}

#[test]
fn a_damaged_window_is_told_and_built_again() {
    let (station, beacons) = station();
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    drop(resolver);
    for name in [station.windows()[0].as_str(), "epoch.hdx"] {
        for at in [0, 20, 300, 4100, 4999] {
            flip_byte(&station.folder.join(name), at);
            let mut resolver = station.open();
            resolver.advance().expect("windows");
            all_found(&mut resolver, &beacons, NOW);
            let events = resolver.take_events();
            // Between the header and the data are zeros that nobody reads.
            let told = matches!(events[..], [Event::WindowDamaged { .. }]);
            assert!(told || (at == 300 && events.is_empty()), "{name} {at}: {events:?}");
        }
    }
}

#[test]
fn the_clocks_of_another_folder_are_refused() {
    let ((one, _), (other, _)) = (station(), station());
    one.open().close().expect("saved");
    fs::copy(one.folder.join("beacons.clocks"), other.folder.join("beacons.clocks"))
        .expect("a copy");
    let opened = Resolver::open(&other.folder, other.options, Box::new(other.clock.clone()));
    assert!(matches!(opened, Err(Error::Damaged { .. })), "{opened:?}");
}

#[test]
fn a_disk_that_cannot_be_written_is_told() {
    let (station, beacons) = station();
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    // A folder in the place of the window's file cannot be replaced by a file.
    let next = NOW / 3600 * 3600 + 3600;
    let place = station.folder.join(format!("window-{next}.hdx"));
    fs::create_dir_all(place.join("full")).expect("a folder");
    station.clock.set(next - 5);
    resolver.advance().expect("the present is there");
    station.clock.set(next);
    assert!(matches!(resolver.advance(), Err(Error::Build(_))));
    assert!(matches!(
        resolver.take_events()[..],
        [Event::WindowDamaged { .. }, Event::NextWindowFailed { .. }, ..]
            | [Event::NextWindowFailed { .. }, ..]
    ));
    fs::remove_dir_all(&place).expect("a folder");
    resolver.advance().expect("windows");
    all_found(&mut resolver, &beacons, next);
}
