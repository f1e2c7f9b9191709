//! The margin: how likely a random packet is accepted.
//!
//! A packet is accepted if some device's key confirms its hint and that device's
//! tag verifies. Each factor is measured where chance can be seen, on short hints
//! and on tags of which only 16 bits are random; what the real ones come to is then
//! stated by the formula that the measured ones agree with.
use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum};
use hintdex_benches::fleet::{Fleet, PAYLOAD_LEN_BYTES};
use hintdex_benches::hash::fold;
use hintdex_benches::table;
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};
use hintdex_core::{LiveIndex, Options, Params};
use hintdex_host::SplitMix64;
use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{
    AssociatedData, DeviceId, Hint, HintKey, HintScheme, KeyId, KeySource, MAX_HINT_LEN_BYTES,
    MasterKey, Packet, PacketFormat, REPLAY_WINDOW_NONCES, Sealer, Slot, Suite, TAG_LEN_BYTES,
    TruncatedLen,
};
use rayon::prelude::*;

/// Hints that one task looks up, and that one call takes.
const HINTS_PER_TASK: usize = 1 << 14;
const HINTS_PER_CALL: usize = 256;
/// Hints that a pass over all keys looks for, as a station's scan does.
const HINTS_PER_PASS: usize = 32;
/// Tags that one task tries.
const TAGS_PER_TASK: u32 = 10_000;
/// Bits of a tag that are drawn: the length of tag at which chance can be seen.
const DRAWN_TAG_BITS: u32 = 16;
/// How many lookaheads ahead a station's scan for truncated hints reaches, beside
/// the nonces that its replay window remembers.
const SCAN_LOOKAHEADS: u32 = 16;
/// Tags that a station tries for one packet.
const MAX_CANDIDATES: f64 = 16.0;
/// Garbage of a year, at 1,000 packets a second.
const PACKETS_A_YEAR: f64 = 1000.0 * 365.25 * 86_400.0;

/// Measures how likely a random packet is accepted.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    /// Only this part
    #[arg(long)]
    only: Option<Only>,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
}

/// A part that is measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// The tags of every suite
    Suites,
    /// The false devices of carried hints
    Carry24,
}

/// How much is tried.
struct Work {
    /// Hints given to an index of each truncated scheme.
    hints: usize,
    /// Hints tried under every key.
    scanned_speck: usize,
    scanned_aes: usize,
    /// Tags tried under one key, and for each false device.
    tags: u32,
    tags_each: u32,
}

pub fn run(args: &Args) -> Outcome {
    let (devices, work) = if args.quick {
        let (hints, tags) = (1 << 18, 200_000);
        (20_000, Work { hints, scanned_speck: 256, scanned_aes: 256, tags, tags_each: 100 })
    } else {
        let (hints, tags) = (5 << 20, 10_000_000);
        let (scanned_speck, scanned_aes) = (1 << 16, 1 << 12);
        (1_000_000, Work { hints, scanned_speck, scanned_aes, tags, tags_each: 1000 })
    };
    let fleet = Fleet { devices, lookahead: 10, seed: args.seed };
    table::heading(
        "Margins",
        &format!("{devices} devices, lookahead {}; random hints, random tags", fleet.lookahead),
        args.seed,
    );
    let keys = MasterKey::new(&fleet.secret());
    let mut random = SplitMix64::new(args.seed ^ 0x6d61_7267_696e);
    let mut rows = Vec::new();
    let all = args.only.is_none();
    for len_bytes in [4, 6, 12].into_iter().filter(|_| all) {
        rows.extend(by_index(&fleet, scheme_of(len_bytes)?, &keys, &work, &mut random)?);
    }
    if all || args.only == Some(Only::Carry24) {
        let fleet = Fleet { lookahead: 16, ..fleet };
        rows.extend(by_index(&fleet, HintScheme::Carry24, &keys, &work, &mut random)?);
    }
    for (scheme, hints) in
        [(HintScheme::Speck64, work.scanned_speck), (HintScheme::Aes128, work.scanned_aes)]
            .into_iter()
            .filter(|_| all)
    {
        let passed = through_scan(&table_of(&fleet, scheme, &keys)?, hints, random.next_u64());
        let expected = hints as f64 * f64::from(devices) * chance(scheme);
        let what = format!("{scheme}: false devices of hints, every key tried");
        rows.push(Seen { what, tries: hints as f64, passed, expected });
    }
    let device = Match { slot: Slot(0), nonce: 0 };
    let suites = Suite::ALL.iter().filter(|_| args.only != Some(Only::Carry24));
    for suite in suites {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite: *suite };
        let passed = tags_of(&[device], format, &keys, work.tags, random.next_u64());
        let what = format!("{suite}: tags under one key, {DRAWN_TAG_BITS} bits of them random");
        let tries = f64::from(work.tags);
        rows.push(Seen { what, tries, passed, expected: tries * tag_chance() });
    }
    print_seen(&rows);
    if all {
        print_formulas(fleet.lookahead)?;
    }
    print_suites(fleet.lookahead)
}

/// What random hints find in an index of hints that cannot be reversed; of the shortest truncated
/// ones, too, how many of their packets random tags make pass.
fn by_index(
    fleet: &Fleet,
    scheme: HintScheme,
    keys: &MasterKey,
    work: &Work,
    random: &mut SplitMix64,
) -> Result<Vec<Seen>, Failure> {
    let folder = tempfile::tempdir()?;
    let params = Params::counters(scheme, fleet.lookahead);
    let path = folder.path().join("index");
    let index = LiveIndex::create(&path, Arc::new(keys.clone()), params, &Options::default())?;
    index.provision(&[fleet.range()], None)?;
    let table = table_of(fleet, scheme, keys)?;
    let (named, found) = through_index(&index, &table, work.hints, random.next_u64())?;
    let tries = work.hints as f64;
    let expected = tries * fleet.hint_count() as f64 * chance(scheme);
    println!(
        "{scheme}: the index named {:.6} slots a random hint; devices × lookahead / 2^bits is {:.6}.\n",
        named as f64 / tries,
        expected / tries
    );
    let what = format!("{scheme}: false devices of hints, by index and keys");
    let mut rows = vec![Seen { what, tries, passed: found.len(), expected }];
    if scheme.len_bytes() == TruncatedLen::MIN.bytes() {
        let passed = tags_of(&found, scheme.into(), keys, work.tags_each, random.next_u64());
        let tags_each = f64::from(work.tags_each);
        let what = format!("{scheme} and {DRAWN_TAG_BITS} bits of tag: packets that pass");
        let expected = expected * tags_each * tag_chance();
        rows.push(Seen { what, tries: tries * tags_each, passed, expected });
    }
    Ok(rows)
}

fn scheme_of(len_bytes: usize) -> Result<HintScheme, Failure> {
    let len = TruncatedLen::new(len_bytes).ok_or("no hint is truncated to that")?;
    Ok(HintScheme::Aes128Truncated(len))
}

/// The hint keys of the fleet.
fn table_of(fleet: &Fleet, scheme: HintScheme, keys: &MasterKey) -> Result<KeyTable, Failure> {
    let key = |device| keys.hint_key(KeyId::first(DeviceId(device)));
    let keys: Option<Vec<HintKey>> = (0..fleet.devices).into_par_iter().map(key).collect();
    let mut table = KeyTable::new(scheme);
    table.extend(keys.ok_or("a device has no key")?);
    Ok(table)
}

/// How many slots the index names for random hints, and which of them their keys
/// confirm.
fn through_index(
    index: &LiveIndex,
    table: &KeyTable,
    hints: usize,
    seed: u64,
) -> Result<(usize, Vec<Match>), Failure> {
    let scheme = table.scheme();
    let now = index.now_s()..=index.now_s();
    let search = table.within(|slot| index.expected_nonces(slot, &now));
    let one_call = |random: &mut SplitMix64| -> Result<(usize, Vec<Match>), Failure> {
        let hints = random_hints(scheme, HINTS_PER_CALL, random);
        let candidates = index.candidates_batch(&hints)?;
        let named = hints.iter().zip(&candidates);
        let pairs: Vec<(Slot, Hint)> =
            named.flat_map(|(hint, slots)| slots.iter().map(move |slot| (*slot, *hint))).collect();
        let mut found = Vec::new();
        search.confirm_each(&pairs, |_, of_hint| found.push(of_hint));
        Ok((pairs.len(), found))
    };
    let tasks = (0u64..).take(hints / HINTS_PER_TASK).collect::<Vec<_>>();
    let all: Vec<(usize, Vec<Match>)> = tasks
        .into_par_iter()
        .map(|task| {
            let mut random = of_task(seed, task);
            let calls = (0..HINTS_PER_TASK / HINTS_PER_CALL).map(|_| one_call(&mut random));
            calls.collect::<Result<Vec<_>, Failure>>()
        })
        .collect::<Result<Vec<_>, Failure>>()?
        .into_iter()
        .flatten()
        .collect();
    let named = all.iter().map(|(named, _)| named).sum();
    Ok((named, all.into_iter().flat_map(|(_, found)| found).collect()))
}

/// How many devices random hints fit when every key is tried.
fn through_scan(table: &KeyTable, hints: usize, seed: u64) -> usize {
    let mut random = SplitMix64::new(seed);
    let passes = (0..hints / HINTS_PER_PASS).map(|_| {
        let hints = random_hints(table.scheme(), HINTS_PER_PASS, &mut random);
        table.confirm_all(&hints).iter().map(Vec::len).sum::<usize>()
    });
    passes.sum()
}

/// How many packets pass when each device in `devices` is sent `tags_each` with a
/// hint it confirms and a tag of which the first bits are random.
fn tags_of(
    devices: &[Match],
    format: PacketFormat,
    keys: &MasterKey,
    tags_each: u32,
    seed: u64,
) -> usize {
    let runs = devices.iter().flat_map(|device| {
        (0..tags_each).step_by(TAGS_PER_TASK as usize).map(move |first| (device, first))
    });
    let runs: Vec<_> = (0u64..).zip(runs).collect();
    let passed = runs.into_par_iter().map(|(task, (device, first))| {
        let tags = TAGS_PER_TASK.min(tags_each - first);
        tags_of_one(device, format, keys, tags, of_task(seed, task)).unwrap_or(0)
    });
    passed.sum()
}

fn tags_of_one(
    device: &Match,
    format: PacketFormat,
    keys: &MasterKey,
    tags: u32,
    mut random: SplitMix64,
) -> Option<usize> {
    // Devices were provisioned from 0 on, so that slots are their numbers.
    let id = KeyId::first(DeviceId(device.slot.0));
    let (hint_key, packet_key) = (keys.hint_key(id)?, keys.packet_key(id)?);
    let mut sealer = Sealer::new(format, &hint_key, packet_key.clone(), device.nonce);
    let mut payload = [0; PAYLOAD_LEN_BYTES];
    random.fill(&mut payload);
    let mut bytes = vec![0; sealer.packet_len_bytes(payload.len())];
    sealer.seal(&payload, &mut bytes).ok()?;
    // AES-SIV has its tag in front of the ciphertext.
    let tag_at = match format.suite {
        Suite::AesSiv => format.scheme.len_bytes(),
        suite => bytes.len() - suite.tag_len_bytes(),
    };
    let (mut passed, mut room) = (0, [0; PAYLOAD_LEN_BYTES]);
    for _ in 0..tags {
        random.fill(bytes.get_mut(tag_at..tag_at + DRAWN_TAG_BITS as usize / 8)?);
        let packet = Packet::parse(format, &bytes).ok()?;
        let opened = packet_key.open(&packet, device.nonce, AssociatedData::EMPTY, &mut room);
        passed += usize::from(opened.is_some());
    }
    Some(passed)
}

fn random_hints(scheme: HintScheme, count: usize, random: &mut SplitMix64) -> Vec<Hint> {
    let draw = |_| {
        let mut bytes = [0; MAX_HINT_LEN_BYTES];
        random.fill(&mut bytes);
        Hint::read(scheme, &bytes)
    };
    (0..count).filter_map(draw).collect()
}

/// The numbers of one task, whichever thread runs it.
fn of_task(seed: u64, task: u64) -> SplitMix64 {
    SplitMix64::new(fold(seed, task))
}

/// The chance that one key confirms a random hint for one nonce it may be of.
fn chance(scheme: HintScheme) -> f64 {
    (-f64::from(scheme.check_bits())).exp2()
}

fn tag_chance() -> f64 {
    (-f64::from(DRAWN_TAG_BITS)).exp2()
}

/// What was tried and how often it passed.
struct Seen {
    what: String,
    tries: f64,
    passed: usize,
    expected: f64,
}

fn print_seen(rows: &[Seen]) {
    println!("| what | tries | seen | expected | seen / expected | 95 % interval of the mean | |");
    println!("| --- | ---: | ---: | ---: | ---: | --- | --- |");
    for Seen { what, tries, passed, expected } in rows {
        let (low, high) = poisson_interval(*passed);
        let fits = if (low..=high).contains(expected) { "fits" } else { "DIFFERS" };
        let ratio = *passed as f64 / expected;
        let ratio = if *expected < 1.0 { String::new() } else { format!("{ratio:.3}") };
        let expected =
            if *expected < 0.01 { format!("{expected:.1e}") } else { format!("{expected:.2}") };
        let (tries, seen) = (table::thousands(*tries), table::thousands(*passed as f64));
        println!(
            "| {what} | {tries} | {seen} | {expected} | {ratio} | {low:.1} to {high:.1} | {fits} |"
        );
    }
    println!();
}

/// Between which means `seen` events are what one would expect, 19 times of 20:
/// Byar's approximation of the exact interval, off by under 1 % from 1 event on.
fn poisson_interval(seen: usize) -> (f64, f64) {
    let bound = |count: f64, deviations: f64| {
        let inner = 1.0 - 1.0 / (9.0 * count) + deviations / (3.0 * count.sqrt());
        count * inner.powi(3)
    };
    let low = if seen == 0 { 0.0 } else { bound(seen as f64, -1.96) };
    (low, bound(seen as f64 + 1.0, 1.96))
}

/// Prints what the formula says of whole tags.
fn print_formulas(lookahead: u32) -> Outcome {
    println!(
        "With the whole tag, by formula: 2^-(64 + check bits − log2(devices × nonces tried of each)), but at most \
         {MAX_CANDIDATES} tags a packet; a year is 1,000 garbage packets a second.\n"
    );
    println!(
        "| hint | check bits | nonces of a device | devices | false devices a packet | chance a packet | accepted a year |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let (index, scan) = (f64::from(lookahead), scan_nonces(lookahead));
    let row = |scheme: HintScheme, nonces: f64, devices: f64| {
        let named = devices * nonces * chance(scheme);
        let bits = TAG_LEN_BYTES as f64 * 8.0 - named.min(MAX_CANDIDATES).log2();
        let nonces = if scheme.is_reversible() { "any".to_owned() } else { format!("{nonces}") };
        println!(
            "| {scheme} | {} | {nonces} | 10^{} | {named:.1e} | 2^-{bits:.1} = {:.1e} | {:.1e} |",
            scheme.check_bits(),
            devices.log10(),
            (-bits).exp2(),
            (-bits).exp2() * PACKETS_A_YEAR
        );
    };
    for devices in [1e6, 1e8] {
        row(HintScheme::Aes128, 1.0, devices);
        row(HintScheme::Speck64, 1.0, devices);
        for len_bytes in [4, 6, 8, 12] {
            let scheme = scheme_of(len_bytes)?;
            row(scheme, index, devices);
            row(scheme, scan, devices);
        }
    }
    println!();
    Ok(())
}

/// The nonces of a device that a scan for truncated hints tries.
fn scan_nonces(lookahead: u32) -> f64 {
    (REPLAY_WINDOW_NONCES + u64::from(lookahead * SCAN_LOOKAHEADS)) as f64
}

/// Prints what the formula says of every suite, with a million devices.
fn print_suites(lookahead: u32) -> Outcome {
    println!(
        "Every suite with 10^6 devices, by the same formula; the tags tried are the lookahead's.\n"
    );
    println!("| suite | tag bits | hint | chance a packet | accepted a year |");
    println!("| --- | ---: | --- | ---: | ---: |");
    for suite in Suite::ALL {
        for scheme in [HintScheme::Aes128, HintScheme::Speck64, scheme_of(4)?] {
            let nonces = if scheme.is_reversible() { 1.0 } else { f64::from(lookahead) };
            let named = 1e6 * nonces * chance(scheme);
            let tag_bits = suite.tag_len_bytes() as f64 * 8.0;
            let bits = tag_bits - named.min(MAX_CANDIDATES).log2();
            println!(
                "| {suite} | {tag_bits} | {scheme} | 2^-{bits:.1} = {:.1e} | {:.1e} |",
                (-bits).exp2(),
                (-bits).exp2() * PACKETS_A_YEAR
            );
        }
    }
    println!();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::poisson_interval;

    #[test]
    fn intervals_are_those_of_the_tables() {
        for (seen, low, high) in
            [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
        {
            let (found_low, found_high) = poisson_interval(seen);
            assert!((found_low - low).abs() < 0.05, "{seen}: {found_low}");
            assert!((found_high / high - 1.0).abs() < 0.03, "{seen}: {found_high}");
        }
    }
}
