//! Calls from tasks of rayon's, beside rolls that fork tasks of their own: a thread that
//! waits for its tasks takes up others, and must not meet a lock that it holds. What does
//! not end would stop the tests, so each pool is tried in a process of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hintdex::ManualClock;
use hintdex::wire::{DeviceId, HintScheme, NonceKind, StepLen};
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions, Verdict};
use hintdex_tests::children::{self, End};
use hintdex_tests::{Devices, EndOnDrop, files};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::fleet::SECRET;

const DEVICES: u32 = 600;
/// The first of those that are added meanwhile.
const ADDED: u32 = 10_000;
/// Rolls by each of two threads, at most.
const ROLLS: u64 = 40;
const START: u64 = 1_795_392_000;

/// How long nothing may happen: a roll of this fleet takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a child is told.
const SETTING: &str = "setting.txt";

fn options() -> StationOptions {
    StationOptions {
        memory_bytes: 8 << 20,
        durability: Durability::ProcessCrash,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

/// So many devices that filling a table of their keys forks.
const MANY: u32 = 50_000;

/// Asks for the keys of many devices from tasks of rayon's global pool, none of which had
/// been derived before.
fn hear_first_from_tasks(folder: &Path) {
    let params = Params::counters(HintScheme::Aes128, 1);
    let key = folder.join("the.key");
    let station = Station::create(&folder.join("many"), Some(&key), params, &options());
    let station = station.expect("it can be made");
    // A provisioning derives them while it holds the locks of maintenance.
    let added = rayon::scope(|_| station.provision(&[DeviceRange::new(DeviceId(0), MANY)], None));
    added.expect("ids are free");
    drop(station);
    let station = Station::open(&folder.join("many"), &options()).expect("it opens");
    let devices = Devices::new(&SECRET);
    (0..64_u32).into_par_iter().with_max_len(1).for_each(|device| {
        if device % 8 == 7 {
            let range = DeviceRange::new(DeviceId(MANY + device), 1);
            station.provision(&[range], None).expect("ids are free");
        }
        let verdict = station.decode(&devices.packet(device, 0, b"first"));
        assert!(matches!(verdict.expect("it decodes"), Verdict::Accepted { .. }));
        children::report(folder, "heard");
    });
}

/// Retires, adds and hears devices from tasks of rayon's global pool while one thread of
/// this pool and one beside it roll.
fn retire_and_add_beside_rolls(folder: &Path) {
    let setting = fs::read_to_string(folder.join(SETTING)).expect("a setting");
    let (threads, kind) = setting.trim().split_once(' ').expect("two words");
    let threads = threads.parse().expect("a number");
    ThreadPoolBuilder::new().num_threads(threads).build_global().expect("it is the first");
    let nonces = NonceKind::from_name(kind).expect("a kind of nonces");
    let params = Params { nonces, ..Params::counters(HintScheme::Aes128, 16) };
    let key = folder.join("the.key");
    fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    if nonces == NonceKind::Counter {
        hear_first_from_tasks(folder);
    }
    let clock = Arc::new(ManualClock::new(START));
    let dir = folder.join("fleet");
    let station = Station::create_with(&dir, Some(&key), params, &options(), clock.clone());
    let station = station.expect("it can be made");
    station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("ids are free");
    let done = AtomicBool::new(false);
    let (station, clock, done) = (&station, &clock, &done);
    let roll = |number: u64| {
        // Where nonces tell time, another window each time.
        clock.set(START + 3600 * number);
        station.roll(None).expect("it rolls");
        children::report(folder, "rolled");
    };
    thread::scope(|scope| {
        let end = EndOnDrop(done);
        let rolling = |of: u64| {
            let numbers = (0..ROLLS).map(move |number| 2 * number + of);
            numbers.take_while(|_| !done.load(Ordering::Relaxed))
        };
        scope.spawn(move || rolling(0).for_each(roll));
        scope.spawn(move || rolling(1).for_each(|number| rayon::scope(|_| roll(number))));
        let devices = Devices::new(&SECRET);
        (0..DEVICES).into_par_iter().with_max_len(1).for_each(|device| {
            match device % 3 {
                0 => station.retire(DeviceId(device)).expect("it is there"),
                1 => {
                    let range = DeviceRange::new(DeviceId(ADDED + device), 1);
                    station.provision(&[range], None).expect("ids are free");
                }
                _ => {
                    let packet = devices.packet(device, 7, b"meanwhile");
                    station.decode(&packet).expect("it decodes");
                }
            }
            children::report(folder, "called");
        });
        drop(end);
    });
    // All of it is there.
    station.roll(None).expect("it rolls");
    station.verify(None).expect("it is sound");
    let stats = station.stats().expect("it can be asked");
    let third = u64::from(DEVICES / 3);
    assert_eq!((stats.slots, stats.retired_slots), (u64::from(DEVICES) + third, third));
    if nonces == NonceKind::Counter {
        let senders = Devices::new(&SECRET);
        let added = (1..DEVICES).step_by(3).map(|device| senders.packet(ADDED + device, 0, b""));
        let verdicts = station.decode_batch(&added.collect::<Vec<_>>()).expect("it decodes");
        assert!(verdicts.iter().all(|said| matches!(said, Verdict::Accepted { .. })));
    }
    children::report(folder, "all is there");
}

/// Run by the other one in processes of their own; there is nothing to do in this one.
#[test]
#[ignore = "run by another test"]
fn one_pool_in_a_process_of_its_own() {
    children::folder().iter().for_each(|folder| retire_and_add_beside_rolls(folder));
}

#[test]
fn retiring_and_adding_from_tasks_beside_rolls_ends() {
    let minutes = NonceKind::Step(StepLen::new(60).expect("1 to 86,400"));
    let kinds = [NonceKind::Counter, minutes];
    let settings = [1, 2, 4].into_iter().flat_map(|threads| {
        kinds.iter().map(move |kind| format!("{threads} {kind}")).collect::<Vec<_>>()
    });
    let outcomes: Vec<(String, End, Vec<String>)> = thread::scope(|scope| {
        let running: Vec<_> = settings
            .map(|setting| {
                scope.spawn(move || {
                    let folder = files::folder_in_memory();
                    fs::write(folder.path().join(SETTING), &setting).expect("a file");
                    let name = "forks::one_pool_in_a_process_of_its_own";
                    let end = children::run(name, folder.path(), PATIENCE);
                    let errors = fs::read_to_string(folder.path().join("errors.txt"));
                    let mut last = children::reports(folder.path());
                    last.drain(..last.len().saturating_sub(1));
                    last.extend(errors.ok().filter(|errors| !errors.is_empty()));
                    (setting, end, last)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let is_right = |(_, end, last): &&(String, End, Vec<String>)| {
        *end == End::Done && last.iter().any(|line| line == "all is there")
    };
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !is_right(outcome)).collect();
    assert!(wrong.is_empty(), "threads and nonces, how it ended, the last report: {wrong:#?}");
}
