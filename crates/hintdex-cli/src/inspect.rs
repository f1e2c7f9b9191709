//! `hintdex inspect`

use std::io::{self, Write};

use hintdex::{Durability, Section, Station, Stats};
use serde_json::json;

use crate::args::{InspectArgs, RunArgs};
use crate::failure::Failure;

pub fn run(args: &InspectArgs, run: &RunArgs) -> Result<(), Failure> {
    let station = Station::open(&args.path, &run.station(Durability::ProcessCrash))?;
    let stats = station.stats()?;
    let text = if args.json { to_json(&stats, &station) } else { to_table(&stats, &station) };
    // A reader that closed the pipe wanted no more.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Bits of the index's files a live hint; 0 for an index without one.
fn bits_per_hint(stats: &Stats) -> f64 {
    if stats.hints == 0 {
        0.0
    } else {
        stats.section_bytes("hints") as f64 * 8.0 / stats.hints as f64
    }
}

fn to_json(stats: &Stats, station: &Station) -> String {
    let section = |section: &Section| json!({ "name": section.name, "bytes": section.disk_bytes });
    let object = json!({
        "kind": "index",
        "devices": stats.slots - stats.retired_slots,
        "hints": stats.hints,
        "bytes": stats.disk_bytes(),
        "bits_per_hint": bits_per_hint(stats),
        "hint_scheme": stats.scheme.name(),
        "lookahead": stats.lookahead,
        "slots": stats.slots,
        "retired_slots": stats.retired_slots,
        "entries": stats.entries,
        "epoch": stats.epoch,
        "prefix_bits": stats.prefix_bits,
        "suffix_bits": stats.suffix_bits,
        "index_id": hex::encode(stats.index_id),
        "created_unix_s": stats.created_unix_s,
        "sections": stats.sections.iter().map(section).collect::<Vec<_>>(),
        "memory": {
            "states_bytes": stats.states_memory_bytes,
            "key_table_bytes": station.table_memory_bytes(),
            "cache_bytes": stats.cache_bytes,
            "tables_bytes": stats.tables_memory_bytes,
        },
    });
    format!("{object}\n")
}

fn to_table(stats: &Stats, station: &Station) -> String {
    let per_hint = |bytes: u64| bytes as f64 / stats.hints.max(1) as f64;
    let mut text = format!(
        "live index {}\n\
         hints             {} of {} bytes, {} ahead of each device\n\
         devices           {} ({} retired)\n\
         live hints        {}\n\
         entries           {} (stale ones until the next roll)\n\
         window            epoch {}, {} prefix bits, {} suffix bits\n\
         bits a hint       {:.2}\n\n\
         {:<16}{:>16}{:>16}\n",
        hex::encode(stats.index_id),
        stats.scheme,
        stats.scheme.len_bytes(),
        stats.lookahead,
        stats.slots - stats.retired_slots,
        stats.retired_slots,
        stats.hints,
        stats.entries,
        stats.epoch,
        stats.prefix_bits,
        stats.suffix_bits,
        bits_per_hint(stats),
        "on disk",
        "bytes",
        "bytes a hint",
    );
    let row =
        |(name, bytes): (&str, u64)| format!("{name:<16}{bytes:>16}{:>16.3}\n", per_hint(bytes));
    text.extend(stats.sections.iter().map(|section| row((section.name, section.disk_bytes))));
    text += &row(("all files", stats.disk_bytes()));
    text += "\nin memory now\n";
    let memory = [
        ("states", stats.states_memory_bytes),
        ("key table", station.table_memory_bytes() as u64),
        ("block cache", stats.cache_bytes),
        ("block tables", stats.tables_memory_bytes),
    ];
    text.extend(memory.map(row));
    text
}
