//! Measuring a whole station: its memory, and packets through it.

use std::time::Duration;

use hintdex::Station;
use hintdex::wire::{DeviceId, Hint, KeyId, KeySource, Sealer};
use rayon::prelude::*;

use super::process::{Measurement, Stopwatch, memory_now, options, print_and_wait};
use super::sample::{SAMPLE_LEN_HINTS, sample};
use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;

/// Hints or packets of one call, as in `decode`.
const BATCH_LEN_PACKETS: usize = 8192;

/// The most packets that are decoded: 4 s of one core.
const MAX_PACKETS: u32 = 1 << 18;

/// The payload of every packet: 20 bytes, the longest that the devices send.
const PAYLOAD: &[u8] = b"twenty bytes of load";

/// Measures a station after it has read everything it holds.
pub fn station(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let station = Station::open(&args.index, &options(run))?;
    let open_ms = watch.wall().as_secs_f64() * 1e3;
    station.warm_up()?;
    // A row has 128 to 256 hints and a block of the store 25 rows, so the random hints of
    // the sample read every block. They are computed in batches, so that they do not count
    // in the memory that is measured.
    let table = station.key_table()?;
    for first in (0..SAMPLE_LEN_HINTS).step_by(BATCH_LEN_PACKETS) {
        station.resolve(&sample(&table, args, first..first + BATCH_LEN_PACKETS)?)?;
    }
    let hints: Vec<Hint> = sample(&table, args, 0..BATCH_LEN_PACKETS)?;
    let watch = Stopwatch::start();
    let each = Duration::from_millis(args.each_ms);
    let mut done = 0;
    while watch.wall() < each {
        station.resolve(&hints)?;
        done += hints.len();
    }
    let (cpu_ns, wall_ns) = per(&watch, done);
    let mut memory = memory_now(before_bytes, None)?;
    let stats = station.stats()?;
    memory.block_cache_bytes = stats.cache_bytes;
    print_and_wait(&Measurement {
        hints: stats.hints,
        bytes: stats.disk_bytes(),
        open_ms,
        cpu_ns,
        wall_ns,
        memory,
        ..Measurement::default()
    })
}

/// Measures decoding: one packet of each device on one thread, then each device's next packet
/// on all threads.
pub fn decode(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let station = Station::open(&args.index, &options(run))?;
    station.warm_up()?;
    let (cpu_ns, wall_ns) = decode_on(&station, args.devices, args.nonce, 1)?;
    let threads = rayon::current_num_threads();
    let (batch_cpu_ns, batch_wall_ns) = decode_on(&station, args.devices, args.nonce + 1, threads)?;
    let memory = memory_now(before_bytes, None)?;
    print_and_wait(&Measurement {
        cpu_ns,
        wall_ns,
        batch_cpu_ns,
        batch_wall_ns,
        memory,
        ..Measurement::default()
    })
}

/// Nanoseconds a packet, of processor time and of wall time.
fn decode_on(
    station: &Station,
    devices: u32,
    nonce: u64,
    threads: usize,
) -> Result<(f64, f64), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Failure::usage(format!("threads: {error}")))?;
    let keys = station.key_source().as_ref();
    let count = devices.min(MAX_PACKETS);
    // The multiplier shares no factor with most numbers of devices, so ids are scattered.
    let id = |number: u32| u64::from(number) * 2_654_435_761 % u64::from(devices).max(1);
    let senders: Vec<u32> = (0..count).filter_map(|number| id(number).try_into().ok()).collect();
    let sealed = senders.par_iter().map(|id| seal(keys, *id, station, nonce));
    let packets: Option<Vec<Vec<u8>>> = sealed.collect();
    let packets = packets.ok_or_else(|| Failure::usage("a packet could not be sealed"))?;
    let watch = Stopwatch::start();
    for packets in packets.chunks(BATCH_LEN_PACKETS) {
        let verdicts = pool.install(|| station.decode_batch(packets))?;
        if verdicts.iter().all(|verdict| verdict.name() != "accepted") {
            return Err(Failure::usage("packets that this process sealed were not accepted"));
        }
    }
    Ok(per(&watch, packets.len()))
}

fn seal(keys: &dyn KeySource, id: u32, station: &Station, nonce: u64) -> Option<Vec<u8>> {
    let key = KeyId::first(DeviceId(id));
    let scheme = station.params().scheme;
    let mut sealer = Sealer::new(scheme, &keys.hint_key(key)?, keys.packet_key(key)?, nonce);
    let mut packet = vec![0; sealer.packet_len_bytes(PAYLOAD.len())];
    sealer.seal(PAYLOAD, &mut packet).ok()?;
    Some(packet)
}

fn per(watch: &Stopwatch, done: usize) -> (f64, f64) {
    let per = |took: Duration| took.as_secs_f64() * 1e9 / done.max(1) as f64;
    (per(watch.cpu()), per(watch.wall()))
}
