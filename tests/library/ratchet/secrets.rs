//! Nothing of a past epoch can be computed from what a station with given chains holds: its files
//! and the memory of its process are searched for the old keys.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hintdex::device_chains_format as format;
use hintdex::wire::{Chain, DeviceId, HintScheme, KeyId};
use hintdex_tests::{Random, documents};

use super::world::{Kind, Traffic, World};

const BITS: u8 = 4;
const DEVICES: u32 = 12;
/// Each device sends so many packets, so its window ends in epoch 2.
const PACKETS: u64 = 100;
const FIRST_EPOCH: u32 = 2;

const QUIET: Traffic = Traffic { lost: 0, repeated: 0, leaps_per_mille: 0, leap_epochs: 1 };

/// Altered, so that a search does not find its own patterns.
const MASK: u8 = 0x5a;

/// Keys to search for, altered, by their first bytes.
#[derive(Default)]
struct Patterns(HashMap<[u8; 8], Vec<(Vec<u8>, String)>>);

impl Patterns {
    /// Adds the raw bytes and their hex digits.
    fn add(&mut self, bytes: &[u8], what: &str) {
        for form in [bytes.to_vec(), hex::encode(bytes).into_bytes()] {
            let masked: Vec<u8> = form.iter().map(|byte| byte ^ MASK).collect();
            let first = masked[..8].try_into().expect("keys are longer");
            self.0.entry(first).or_default().push((masked, what.to_owned()));
        }
    }

    /// Adds the chain key, the hint key and the packet key of an epoch.
    fn add_epoch(&mut self, device: u32, chain: &Chain) {
        let epoch = chain.epoch();
        self.add(chain.expose(), &format!("chain {epoch} of {device}"));
        self.add(chain.hint_key().expose(), &format!("hint key {epoch} of {device}"));
    }

    /// What of the keys occurs in altered bytes.
    fn find_in(&self, masked: &[u8], found: &mut Vec<String>) {
        for at in 0..masked.len().saturating_sub(7) {
            let first: [u8; 8] = masked[at..at + 8].try_into().expect("8 bytes");
            for (pattern, what) in self.0.get(&first).into_iter().flatten() {
                if masked[at..].starts_with(pattern) {
                    found.push(what.clone());
                }
            }
        }
    }

    /// What of the keys lies in the writable memory of this process, but for the stacks of threads:
    /// what the compiler spilled there is not wiped, and later calls of the thread overwrite it.
    fn in_memory(&self) -> Vec<String> {
        let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
        let memory = File::open("/proc/self/mem").expect("Linux");
        let mut part = vec![0; 1 << 20];
        let own = part.as_ptr_range();
        let own = own.start.addr() as u64..own.end.addr() as u64;
        let (mut found, mut guard_end) = (Vec::new(), 0);
        for line in maps.lines() {
            let (range, _) = line.split_once(' ').expect("a range first");
            let (start, end) = range.split_once('-').expect("two ends");
            let address = |hex| u64::from_str_radix(hex, 16).expect("hex");
            let (start, end) = (address(start), address(end));
            // A stack follows its guard page. So does an arena of the heap, which is aligned.
            let is_stack = guard_end == start && start % ARENA_LEN_BYTES != 0;
            if line.contains(" ---p") {
                guard_end = end;
            }
            if !line.contains(" rw") || line.contains("[v") || line.contains("[stack") || is_stack {
                continue;
            }
            // The memory of the copy is left out.
            for (mut at, end) in [(start, end.min(own.start)), (start.max(own.end), end)] {
                while at < end {
                    let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(part.len());
                    // Other tests free pages meanwhile; those behind the hole are read as well.
                    let read = memory.read_at(&mut part[..len], at).unwrap_or(0);
                    if read == 0 {
                        at = (at / PAGE_LEN_BYTES + 1) * PAGE_LEN_BYTES;
                        continue;
                    }
                    let len = read;
                    part[..len].iter_mut().for_each(|byte| *byte ^= MASK);
                    let known = found.len();
                    self.find_in(&part[..len], &mut found);
                    found[known..]
                        .iter_mut()
                        .for_each(|what| what.push_str(&format!(" in {line}")));
                    at += (len as u64).saturating_sub(128).max(1);
                }
            }
        }
        part.fill(0);
        found
    }

    /// What of the keys lies in the files of a folder.
    fn in_files(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for path in files_of(folder) {
            let mut bytes = fs::read(&path).expect("it can be read");
            bytes.iter_mut().for_each(|byte| *byte ^= MASK);
            self.find_in(&bytes, &mut found);
        }
        found
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_of(&path)) } else { files.push(path) }
    }
    files
}

/// A page, or a part of one.
const PAGE_LEN_BYTES: u64 = 4096;

/// The alignment of the arenas of glibc's heap.
const ARENA_LEN_BYTES: u64 = 64 << 20;

/// The chain of a device in an epoch.
fn chain_of(world: &World, device: u32, epoch: u32) -> Chain {
    let mut chain = super::world::first_chain(&world.kind, device);
    chain.advance_to(epoch);
    chain
}

/// The cells of every record of the file of chains: the epoch, and whether the cell is empty.
fn cells(dir: &Path) -> Vec<Vec<Option<u32>>> {
    let bytes = fs::read(dir.join("device.chains")).expect("it is there");
    let end = |fields: &[(&str, usize, usize)]| fields.last().map_or(0, |(_, at, len)| at + len);
    let (header, record, cell) = (format::header(), format::record(), format::cell());
    let (_, first, _) = record.iter().find(|(name, ..)| *name == "cells").expect("it has cells");
    let cell_len = end(&cell);
    let of_record = |record: &[u8]| {
        let cells = record[*first..*first + 2 * cell_len].chunks(cell_len);
        let epoch = |cell: &[u8]| {
            let is_empty = cell.iter().all(|byte| *byte == 0);
            let epoch = u32::from_be_bytes(cell[..4].try_into().expect("4 bytes"));
            (!is_empty).then_some(epoch)
        };
        cells.map(epoch).collect()
    };
    bytes[end(&header)..].chunks(end(&record)).map(of_record).collect()
}

fn world(is_given: bool) -> World {
    let scheme = HintScheme::Aes128;
    World::new(Kind { scheme, bits: BITS, lookahead: 16, is_given, devices: DEVICES, salt: 77 })
}

fn send(world: &mut World) {
    let mut random = Random::new(5);
    for _ in 0..PACKETS / 10 {
        let mut batch = Vec::new();
        for device in 0..DEVICES {
            for _ in 0..10 {
                batch.extend(world.packet(device, &QUIET, &mut random));
            }
        }
        world.decode(&batch);
    }
}

#[test]
fn nothing_of_a_past_epoch_is_left_in_files_or_memory() {
    let mut world = world(true);
    let (mut past, mut present) = (Patterns::default(), Patterns::default());
    for device in 0..DEVICES {
        for epoch in 0..FIRST_EPOCH {
            past.add_epoch(device, &chain_of(&world, device, epoch));
        }
        present.add(chain_of(&world, device, FIRST_EPOCH).expose(), "a present chain");
    }
    // What the file holds of the first chains, sealed.
    let before = fs::read(world.dir().join("device.chains")).expect("it was written");
    let mut sealed = Patterns::default();
    for record in before[128..].chunks(128) {
        sealed.add(&record[12..60], "a sealed first chain");
    }
    assert_eq!(sealed.in_files(&world.dir()).len(), DEVICES as usize);

    send(&mut world);
    assert_eq!(past.in_memory(), [""; 0]);
    assert!(present.in_memory().len() >= DEVICES as usize, "the search finds what is there");
    world.station().roll(None).expect("it rolls");
    world.close();
    assert_eq!(past.in_memory(), [""; 0]);
    assert_eq!(present.in_memory(), [""; 0], "a closed station holds nothing");

    // Nothing in the clear, no sealed first chain in any file, and one cell a record.
    assert_eq!(past.in_files(&world.dir()), [""; 0]);
    assert_eq!(present.in_files(&world.dir()), [""; 0]);
    assert_eq!(sealed.in_files(&world.dir()), [""; 0]);
    let cells = cells(&world.dir());
    assert_eq!(cells.len(), DEVICES as usize);
    for record in cells {
        let epochs: Vec<u32> = record.iter().flatten().copied().collect();
        assert_eq!(epochs, [FIRST_EPOCH]);
    }

    // With the master key in hand, the program itself computes nothing of the past.
    world.reopen();
    for device in 0..DEVICES {
        let key = KeyId::first(DeviceId(device));
        let chain = |epoch| world.station().key_source().chain(key, epoch);
        assert!((0..FIRST_EPOCH).all(|epoch| chain(epoch).is_none()));
        let now = chain(FIRST_EPOCH).expect("its packets may still come");
        assert_eq!(now.expose(), chain_of(&world, device, FIRST_EPOCH).expose());
    }
}

/// A master key always leads back, and the guide says so.
#[test]
fn a_station_that_derives_can_go_back() {
    let mut world = world(false);
    send(&mut world);
    world.reopen();
    for device in 0..DEVICES {
        let key = KeyId::first(DeviceId(device));
        for epoch in 0..8 {
            let chain = world.station().key_source().chain(key, epoch).expect("it is derived");
            assert_eq!(chain.expose(), chain_of(&world, device, epoch).expose());
        }
    }
    // The file holds where the chains are, so that an opening need not walk.
    let cells = cells(&world.dir());
    assert_eq!(cells.len(), DEVICES as usize);
    assert!(cells.iter().flatten().flatten().all(|epoch| *epoch == FIRST_EPOCH));
}

#[test]
fn the_document_has_the_bytes_of_the_file() {
    let document = include_str!("../../../docs/format/device-chains.md");
    let here = [format::header(), format::record(), format::cell()].into_iter().flatten();
    documents::check(document, here, format::MAGIC_AND_VERSION);
}
