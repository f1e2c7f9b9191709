//! Trying keys, beside the `aes` crate's loop over the devices.
//!
//! ```text
//! cargo run --release --bin scan -- [scan] [lookups] [threads] [forwards]
//!     [--devices 1000000] [--turns 9] [--only ARMS]
//! ```
//!
//! Everything is measured in turns within one run: the machine's moods hit ours
//! and the peer's alike. One thread is measured by its CPU time, which does not
//! count the turns of others; two threads by the wall.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use aes::cipher::{Array, BlockCipherDecrypt, KeyInit};
use aes::{Aes128, Aes128Dec};
use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, IdentityTable, KeyTable, ResolvableAddress};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Slot, TruncatedLen};
use rustix::time::{ClockId, clock_gettime};

const SEED: u64 = 4;

/// Slots of a table that is in the second-level cache, where the gathering of
/// keys from memory does not show.
const CACHED: usize = 1 << 14;

/// Pairs of a batch of lookups.
const PAIRS: usize = 256;

fn key(device: usize) -> HintKey {
    let number = |seed| u128::from(SplitMix64::new(seed).next_u64());
    let half = |salt: u64| number(SEED ^ salt ^ (device as u64) << 8);
    HintKey::from_bytes((half(1) << 64 | half(2)).to_be_bytes())
}

fn hint(scheme: HintScheme, device: usize) -> Hint {
    HintCipher::new(scheme, &key(device)).hint(7).unwrap()
}

/// What is measured: a name, how many (device, hint) it tries, and the work.
struct Arm<'a> {
    name: String,
    tries: usize,
    work: Box<dyn FnMut() + 'a>,
}

/// CPU time of this process's threads, or time by the wall.
fn now(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Nanoseconds a try, of each turn.
type Times = BTreeMap<String, Vec<f64>>;

fn measure(turns: usize, clock: ClockId, arms: &mut Vec<Arm<'_>>) -> Times {
    // The peers and what `--only` asks for.
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    let only = only.unwrap_or_default();
    arms.retain(|arm| arm.name.starts_with('`') || arm.name.contains(&only));
    let mut times = Times::new();
    for turn in 0..=turns {
        for arm in arms.iter_mut() {
            let start = now(clock);
            (arm.work)();
            let ns = (now(clock) - start).as_secs_f64() * 1e9 / arm.tries as f64;
            // The first turn warms up.
            if turn > 0 {
                times.entry(arm.name.clone()).or_default().push(ns);
            }
        }
    }
    times
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The least and the middle time of each arm, and how many times as fast as
/// `peer` it is: by the least times, and by the middle of the turns.
fn print(title: &str, times: &Times, arms: &[Arm<'_>], peer: &str) {
    println!("\n{title}\n\n| | ns a try, least | median | × {peer}, least | median of turns |");
    println!("| --- | --- | --- | --- | --- |");
    for arm in arms {
        let (own, peer) = (&times[&arm.name], &times[peer]);
        let turns = own.iter().zip(peer).map(|(own, peer)| peer / own).collect();
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            arm.name,
            least(own),
            median(own.clone()),
            least(peer) / least(own),
            median(turns)
        );
    }
}

/// The peer everything is compared with: the fastest of `by_the_crate`.
const PEER: &str = "`aes` 0.8, `Aes128Dec`";

/// The peers: a schedule and a block for each device, by the `aes` crate of this
/// generation and of the one before. `Aes128Dec` keeps half of the schedule.
fn by_the_crate(keys: &[HintKey], hint: Hint) -> Vec<Arm<'_>> {
    fn arm<'a>(
        name: &str,
        keys: &'a [HintKey],
        decrypt: impl Fn(&[u8; 16]) -> [u8; 16] + 'a,
    ) -> Arm<'a> {
        let work = move || {
            let fits = |key: &&HintKey| decrypt(key.expose()).starts_with(&[0; 12]);
            assert_eq!(black_box(keys.iter().filter(fits).count()), 1);
        };
        Arm { name: name.into(), tries: keys.len(), work: Box::new(work) }
    }
    let block = *hint.as_bytes();
    vec![
        arm("`aes` 0.9, `Aes128`", keys, move |key| {
            let mut block = Array(block);
            Aes128::new(key.into()).decrypt_block(&mut block);
            block.0
        }),
        arm("`aes` 0.9, `Aes128Dec`", keys, move |key| {
            let mut block = Array(block);
            Aes128Dec::new(key.into()).decrypt_block(&mut block);
            block.0
        }),
        arm(PEER, keys, move |key| {
            use aes_0_8::cipher::{BlockDecrypt, KeyInit};
            let mut block = block.into();
            aes_0_8::Aes128Dec::new(key.into()).decrypt_block(&mut block);
            block.into()
        }),
    ]
}

fn schemes() -> [HintScheme; 2] {
    [HintScheme::Aes128, HintScheme::Speck64]
}

fn tables(devices: usize) -> Vec<KeyTable> {
    let keys: Vec<_> = (0..devices).map(key).collect();
    let mut tables = Vec::new();
    for scheme in schemes() {
        for backend in Backend::ALL.iter().rev() {
            if let Ok(mut table) = KeyTable::with_backend(scheme, *backend) {
                table.extend(keys.clone());
                tables.push(table);
            }
        }
    }
    tables
}

fn named(table: &KeyTable, what: &str) -> String {
    format!("{} {}{what}", table.scheme(), table.backend())
}

/// One core, everybody, one hint and sixteen.
fn full_scan(keys: &[HintKey], tables: &[KeyTable], turns: usize) {
    let devices = keys.len();
    // A tenth of them: a turn of the crate's loop is long enough.
    let few = &keys[..devices / 10];
    let mut arms = by_the_crate(few, hint(HintScheme::Aes128, few.len() / 2));
    for table in tables {
        let tried = if table.backend() == Backend::Portable { devices / 10 } else { devices };
        let range = Slot(0)..Slot(tried as u32);
        let one = hint(table.scheme(), tried / 2);
        arms.push(Arm {
            name: named(table, ""),
            tries: tried,
            work: Box::new(move || assert_eq!(table.confirm(range.clone(), &one).len(), 1)),
        });
        let sixteen: Vec<_> = (0..16).map(|n| hint(table.scheme(), n * devices / 16)).collect();
        arms.push(Arm {
            name: named(table, ", 16 hints"),
            tries: 16 * devices,
            work: Box::new(move || {
                assert!(table.confirm_all(&sixteen).iter().all(|found| found.len() == 1));
            }),
        });
    }
    let times = measure(turns, ClockId::ThreadCPUTime, &mut arms);
    print("## Everybody, one core", &times, &arms, PEER);
}

/// What lookups end with: pairs, groups of 32, and one of each.
fn lookups(keys: &[HintKey], tables: &[KeyTable], turns: usize) {
    const ROUNDS: usize = 400;
    let mut arms = by_the_crate(&keys[..1 << 15], hint(HintScheme::Aes128, 99));
    for table in tables.iter().filter(|table| table.backend() != Backend::Portable) {
        // In cache, also the list of pairs is, as it is in a batch of lookups.
        let places = [("in cache", CACHED, 25), ("all over", keys.len(), 1)];
        for (place, span, repeats) in places {
            let at = move |n: usize| {
                (SplitMix64::new(n as u64).next_u64() % (span as u64 - 64)) as usize
            };
            let pairs: Vec<_> = (0..PAIRS * ROUNDS / repeats)
                .map(|n| (Slot(at(n) as u32), hint(table.scheme(), at(n))))
                .collect();
            let groups: Vec<_> = pairs[..pairs.len() / 8]
                .iter()
                .map(|(slot, hint)| (Slot(slot.0 & !31)..Slot((slot.0 & !31) + 32), *hint))
                .collect();
            let each = pairs.clone();
            arms.push(Arm {
                name: named(table, &format!(", pairs {place}")),
                tries: repeats * pairs.len(),
                work: Box::new(move || {
                    let mut found = 0;
                    for pairs in (0..repeats).flat_map(|_| each.chunks(PAIRS)) {
                        table.confirm_each(pairs, |_, _| found += 1);
                    }
                    assert_eq!(found, repeats * each.len());
                }),
            });
            arms.push(Arm {
                name: named(table, &format!(", one pair {place}")),
                tries: pairs.len(),
                work: Box::new(move || {
                    let found = pairs.iter();
                    let found = found.filter_map(|(slot, hint)| table.confirm_slot(*slot, hint));
                    assert_eq!(found.count(), pairs.len());
                }),
            });
            arms.push(Arm {
                name: named(table, &format!(", groups of 32 {place}")),
                tries: 32 * repeats * groups.len(),
                work: Box::new(move || {
                    let mut found = 0;
                    for groups in (0..repeats).flat_map(|_| groups.chunks(PAIRS)) {
                        table.confirm_ranges(groups, |_, _| found += 1);
                    }
                    assert_eq!(found, repeats * groups.len());
                }),
            });
        }
    }
    let times = measure(turns, ClockId::ThreadCPUTime, &mut arms);
    print("## Lookups, one core, a try is a (slot, hint)", &times, &arms, PEER);
}

/// One thread and two, by the wall.
fn threads(tables: &[KeyTable], devices: usize, turns: usize) {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let pools = [pool(1), pool(2)];
    for table in tables.iter().filter(|table| table.backend() == Backend::best(table.scheme())) {
        let hints = [hint(table.scheme(), devices - 1)];
        let mut arms = Vec::new();
        for (pool, name) in pools.iter().zip(["one thread", "two threads"]) {
            arms.push(Arm {
                name: name.into(),
                tries: 8 * devices,
                work: Box::new(move || {
                    pool.install(|| {
                        (0..8).for_each(|_| assert_eq!(table.confirm_all(&hints)[0].len(), 1));
                    });
                }),
            });
        }
        let times = measure(turns, ClockId::Monotonic, &mut arms);
        print(&format!("## Threads, {}, by the wall", table.scheme()), &times, &arms, "one thread");
    }
}

/// Hints and addresses that are computed forwards.
fn forwards(keys: &[HintKey], turns: usize) {
    let scheme = HintScheme::Aes128Truncated(TruncatedLen::new(6).unwrap());
    let address = ResolvableAddress::from_bytes([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa]).unwrap();
    let addresses = [address; 16];
    let mut arms = by_the_crate(&keys[..1 << 15], hint(HintScheme::Aes128, 99));
    for backend in Backend::ALL.iter().rev().filter(|backend| **backend != Backend::Portable) {
        let (Ok(mut table), Ok(mut identities)) =
            (KeyTable::with_backend(scheme, *backend), IdentityTable::with_backend(*backend))
        else {
            continue;
        };
        let keys = keys[..keys.len() / 10].to_vec();
        table.extend(keys.clone());
        identities.extend(keys);
        let (len, hint) = (table.len(), hint(scheme, 50));
        arms.push(Arm {
            name: format!("{scheme} {backend}, 16 nonces a slot"),
            tries: 16 * len,
            work: Box::new(move || {
                let search = table.within(|_| 0..16);
                let everybody = Slot(0)..Slot(len as u32);
                assert!(!search.confirm(everybody, &hint).is_empty());
            }),
        });
        let identities = std::rc::Rc::new(identities);
        for (addresses, name) in [(&addresses[..1], "one address"), (&addresses, "16 addresses")] {
            let identities = identities.clone();
            arms.push(Arm {
                name: format!("{name}, {backend}"),
                tries: addresses.len() * len,
                work: Box::new(move || drop(black_box(identities.resolve(addresses)))),
            });
        }
    }
    let times = measure(turns, ClockId::ThreadCPUTime, &mut arms);
    print("## Forwards, one core, a try is a (key, nonce)", &times, &arms, PEER);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, or: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(or)
    };
    let (devices, turns) = (number("--devices", 1_000_000), number("--turns", 9));
    let has = |name: &str| args.iter().skip(1).any(|arg| arg == name);
    let all = !["scan", "lookups", "threads", "forwards"].into_iter().any(has);
    println!("seed {SEED}, {devices} devices, {turns} turns");
    let keys: Vec<_> = (0..devices).map(key).collect();
    let tables = tables(devices);
    if all || has("threads") {
        threads(&tables, devices, turns);
    }
    // From here on one core: the searches that use all threads have this one.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    pool.install(|| {
        if all || has("scan") {
            full_scan(&keys, &tables, turns);
        }
        if all || has("lookups") {
            lookups(&keys, &tables, turns);
        }
        if all || has("forwards") {
            forwards(&keys, turns);
        }
    });
}
