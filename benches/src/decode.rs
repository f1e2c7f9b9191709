//! `Station::decode_batch` beside the same scheme in Python, a dict as its index.
//!
//! Ours keeps every accepted packet through a crash of the process; the Python
//! peer keeps nothing. What ours takes on one core is its CPU time, that of
//! RocksDB's background threads included.
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use clap::Args as ClapArgs;
use hintdex::{Station, Verdict};
use hintdex_benches::fleet::{Fleet, PACKETS_PER_BATCH, Traffic, station_options};
use hintdex_benches::hash::fold;
use hintdex_benches::table::{self, Goal, Ratios};
use hintdex_benches::turns::{Clock, Stopwatch, Times, Took};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};

use crate::cryptography::Cryptography;

const ROUNDS: usize = 7;
const LEAN: &str = "decode_batch, lean";
const PYTHON: &str = "Python dict, PyCryptodome";
const PYTHON_FAST: &str = "Python dict, AES of PyCryptodome, HMAC of OpenSSL";

/// Measures what a packet costs.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Threads of ours; each number is an arm
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// What the block cache and the write buffers may take, in MiB
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
    /// The Python that has PyCryptodome
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Only ours
    #[arg(long)]
    no_python: bool,
}

pub fn run(args: &Args) -> Outcome {
    let fleet = Fleet {
        devices: if args.quick { 2_000 } else { 1_000_000 },
        lookahead: 10,
        seed: args.seed,
    };
    let (of_ours, of_python) = if args.quick { (8_192, 300) } else { (20 * 8_192, 8_000) };
    let folder = tempfile::tempdir()?;
    let station = fleet.provision(&folder.path().join("fleet"), args.memory_mib << 20)?;
    let packets = write_packets(&fleet, &station, of_python * (ROUNDS + 1), folder.path())?;
    let mut peers = Vec::new();
    if !args.no_python && has_pycryptodome(&args.python) {
        peers.push(Python::start(&args.python, PYTHON, &fleet, &packets, &[])?);
        peers.push(Python::start(&args.python, PYTHON_FAST, &fleet, &packets, &["--fast-hmac"])?);
    } else {
        println!("No PyCryptodome for {}: the peer is not shown.\n", args.python.display());
    }
    for peer in &mut peers {
        peer.wait_until_ready()?;
    }
    // The same fleet twice: with a full index, and in the usual form, which is lean.
    let options = station_options(args.memory_mib << 20);
    let lean = fleet.provision_as(&folder.path().join("lean"), &options)?;
    let mut stations = [("decode_batch", station, fleet.traffic()), (LEAN, lean, fleet.traffic())];
    let cryptography = Cryptography::of(&fleet, of_ours);
    let pools: Vec<(usize, rayon::ThreadPool)> = args
        .threads
        .iter()
        .map(|threads| {
            Ok((*threads, rayon::ThreadPoolBuilder::new().num_threads(*threads).build()?))
        })
        .collect::<Result<_, Failure>>()?;

    let mut times = Times::new(1);
    for round in 0..=ROUNDS {
        for (form, station, traffic) in &mut stations {
            for (threads, pool) in &pools {
                let turn = ours(station, pool, traffic, of_ours)?;
                let recorded = (round > 0).then_some(turn.each);
                times.record(&arm(form, *threads), recorded, turn.hash);
            }
        }
        cryptography.record(&mut times, round > 0)?;
        for peer in &mut peers {
            let turn = peer.decode(of_python)?;
            times.record(peer.name, (round > 0).then_some(turn.each), turn.hash);
        }
    }
    table::heading(
        "A packet",
        &format!(
            "{} devices × {} hints; packets of random devices, {of_ours} a round in batches of {PACKETS_PER_BATCH}, \
             safe through a crash of the process; Python: {of_python} a round, in memory only",
            fleet.devices, fleet.lookahead
        ),
        args.seed,
    );
    table::times(&times, "packet");
    let forms: Vec<&str> = stations.iter().map(|(form, ..)| *form).collect();
    print_ratios(&times, &forms, &args.threads);
    Ok(())
}

/// Ours beside the peers: what one core does by CPU time, what two do by the wall.
fn print_ratios(times: &Times, forms: &[&str], threads: &[usize]) {
    let mut ratios = Ratios::default();
    for (form, threads) in forms.iter().flat_map(|form| threads.iter().map(move |at| (form, at))) {
        let name = &arm(form, *threads);
        let (clock, goal) = match threads {
            1 => (Clock::Cpu, Goal::AtLeast(12.0)),
            2 => (Clock::Wall, Goal::AtLeast(25.0)),
            _ => (Clock::Wall, Goal::None),
        };
        ratios.rate(clock, times, name, PYTHON, goal);
        ratios.rate(clock, times, name, PYTHON_FAST, Goal::None);
        if clock == Clock::Cpu {
            ratios.rate(Clock::Wall, times, name, PYTHON, Goal::None);
        }
    }
    ratios.print();
}

fn arm(form: &str, threads: usize) -> String {
    format!("{form}, threads: {threads}")
}

/// A turn of an arm: what a packet took, and what was decoded.
struct Turn {
    each: Took,
    hash: u64,
}

fn ours(
    station: &Station,
    pool: &rayon::ThreadPool,
    traffic: &mut Traffic,
    count: usize,
) -> Result<Turn, Failure> {
    let packets = traffic.packets(count, station.key_source().as_ref());
    let started = Stopwatch::start();
    let mut hash = 0;
    let mut accepted = 0;
    for batch in packets.chunks(PACKETS_PER_BATCH) {
        for verdict in pool.install(|| station.decode_batch(batch))? {
            if let Verdict::Accepted { device, nonce, .. } = verdict {
                accepted += 1;
                hash = fold(hash, u64::from(device.0) << 32 | nonce);
            }
        }
    }
    let took = started.took();
    all_accepted(accepted, count)?;
    Ok(Turn { each: took.each(u32::try_from(count)?), hash })
}

fn all_accepted(accepted: usize, count: usize) -> Outcome {
    if accepted == count {
        Ok(())
    } else {
        Err(format!("{accepted} of {count} good packets were accepted").into())
    }
}

/// Writes the first packets of the fleet for the peer, a line of hex each.
fn write_packets(
    fleet: &Fleet,
    station: &Station,
    count: usize,
    folder: &Path,
) -> Result<PathBuf, Failure> {
    let path = folder.join("packets.hex");
    let mut text = String::new();
    for packet in fleet.traffic().packets(count, station.key_source().as_ref()) {
        text.extend(packet.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    std::fs::write(&path, text)?;
    Ok(path)
}

fn has_pycryptodome(python: &Path) -> bool {
    let tried = Command::new(python).args(["-c", "import Crypto"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// The peer, in a process of its own that decodes when it is told to.
struct Python {
    name: &'static str,
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(
        python: &Path,
        name: &'static str,
        fleet: &Fleet,
        packets: &Path,
        flags: &[&str],
    ) -> Result<Self, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compare/python/dict_scheme.py");
        let secret: String = fleet.secret().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut process = Command::new(python)
            .arg(script)
            .args([secret, fleet.devices.to_string(), fleet.lookahead.to_string()])
            .arg(packets)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().ok_or("no pipe to the peer")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no pipe from the peer")?);
        Ok(Self { name, process, orders, answers })
    }

    /// Waits until its dict is filled.
    fn wait_until_ready(&mut self) -> Outcome {
        self.answer("ready").map(drop)
    }

    fn decode(&mut self, count: usize) -> Result<Turn, Failure> {
        writeln!(self.orders, "{count}")?;
        let answer = self.answer("done")?;
        let mut words = answer.split_whitespace();
        let mut word = || words.next().ok_or("the peer's answer is too short");
        let mut seconds =
            || -> Result<_, Failure> { Ok(Duration::from_secs_f64(word()?.parse()?)) };
        let took = Took { wall: seconds()?, cpu: seconds()? };
        all_accepted(word()?.parse()?, count)?;
        Ok(Turn { each: took.each(u32::try_from(count)?), hash: word()?.parse()? })
    }

    /// The rest of its next line, which begins with `kind`.
    fn answer(&mut self, kind: &str) -> Result<String, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let rest = line.strip_prefix(kind).ok_or_else(|| format!("the peer said {line:?}"))?;
        Ok(rest.to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It is done with, whatever it is doing; that it may be gone is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
