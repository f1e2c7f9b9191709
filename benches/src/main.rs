//! What hintdex costs, measured beside its peers: see the crate's documentation.
#![forbid(unsafe_code)]

mod cryptography;
mod decode;
mod flood;
mod lookup;
mod margins;
mod provision;
mod sizes;
mod suites;
mod waits;
mod windows;

use clap::{Parser, Subcommand};
use hintdex_benches::Outcome;

/// Measures hintdex beside its peers, in turns.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// A lookup, beside a bare RocksDB get and beside a row a hint
    Lookup(lookup::Args),
    /// Provisioning, beside a hash map that takes ready-made hints
    Provision(provision::Args),
    /// A packet, beside the same scheme in Python
    Decode(decode::Args),
    /// Garbage as fast as it comes, mixed with real packets
    Flood(flood::Args),
    /// How likely a random packet is accepted
    Margins(margins::Args),
    /// Bytes on disk and in memory
    Sizes(sizes::Args),
    /// A packet of every suite, beside the bare primitive
    Suites(suites::Args),
    /// What a lookup waits for while windows change
    Waits(waits::Args),
    /// Beacons of a minute's step: windows of time, beside a hash map
    Windows(windows::Args),
}

fn main() -> Outcome {
    match Cli::parse().bench {
        Bench::Lookup(args) => lookup::run(&args),
        Bench::Provision(args) => provision::run(&args),
        Bench::Decode(args) => decode::run(&args),
        Bench::Flood(args) => flood::run(&args),
        Bench::Margins(args) => margins::run(&args),
        Bench::Sizes(args) => sizes::run(&args),
        Bench::Suites(args) => suites::run(&args),
        Bench::Waits(args) => waits::run(&args),
        Bench::Windows(args) => windows::run(&args),
    }
}
