//! `hintdex inspect`

use hintdex::snapshot::{self, Snapshot, SnapshotStats};
use hintdex::wire::RatchetBits;
use hintdex::{Durability, KeptKey, Naming, Params, Section, Station, Stats, Timing};
use serde_json::json;

use crate::args::InspectArgs;
use crate::call::Call;
use crate::console::Console;
use crate::failure::Failure;
use crate::key;
use crate::naming_text::{hint_name, overhead_bytes, station_point, suite_name};
use crate::open;
use crate::settings_text::{settings_object, settings_text};
use crate::unix_time::time_text;

pub fn run(args: &InspectArgs, call: &Call<'_>) -> Result<(), Failure> {
    let path = call.console.path(&args.path)?;
    if path.is_file() {
        return inspect_snapshot(args, &call.console);
    }
    let station = open::station(&args.path, Durability::ProcessCrash, call)?;
    let stats = station.stats()?;
    let kept = Station::kept_key(&path).ok();
    let kept = kept.as_ref();
    let text = match args.json {
        true => to_json(&stats, &station, kept),
        false => to_table(&stats, &station, kept),
    };
    call.console.print(&text)
}

fn inspect_snapshot(args: &InspectArgs, console: &Console<'_>) -> Result<(), Failure> {
    let snapshot = Snapshot::open_unauthenticated(&args.path);
    let snapshot = snapshot.map_err(|error| Failure::data(&args.path, &error))?;
    open::warn_if_exposed(&args.path, console);
    let (stats, params) = (snapshot.stats(), snapshot.params());
    let text = if args.json {
        let section =
            |section: &snapshot::Section| json!({ "name": section.name, "bytes": section.bytes });
        let object = json!({
            "kind": "snapshot",
            "devices": stats.slots,
            "hints": stats.hints,
            "bytes": stats.bytes,
            "bits_per_hint": stats.bits_per_hint,
            "bound_bits_per_hint": stats.bound_bits_per_hint,
            "encoding": stats.encoding.name(),
            "value_bits": stats.value_bits,
            "tries": stats.tries,
            "evaluations": stats.evaluations,
            "duplicates": stats.duplicates,
            "horizon": params.horizon_nonces,
            "hint_scheme": params.hint_scheme.name(),
            "index_id": hex::encode(params.fleet_id),
            "built_unix_s": params.built_at_unix_s,
            "from_unix_s": params.time_unix_s.start,
            "to_unix_s": params.time_unix_s.end,
            "sections": stats.sections.iter().map(section).collect::<Vec<_>>(),
        });
        format!("{object}\n")
    } else {
        let per_hint = |bytes: u64| bytes as f64 * 8.0 / stats.hints.max(1) as f64;
        let row = |(name, bytes): (&str, u64)| {
            format!("{name:<16}{bytes:>16}{:>16.4}\n", per_hint(bytes))
        };
        let (encoding, bits) = encoding_and_bits(&stats);
        let mut text = format!(
            "snapshot of index {}\n\
             hints             {} of {} devices, {} ahead of each\n\
             encoding          {}\n\
             bits a hint       {}\n\n\
             {:<16}{:>16}{:>16}\n",
            hex::encode(params.fleet_id),
            stats.hints,
            stats.slots,
            params.horizon_nonces,
            encoding,
            bits,
            "in the file",
            "bytes",
            "bits a hint",
        );
        text.extend(stats.sections.iter().map(|section| row((section.name, section.bytes))));
        text += &row(("the file", stats.bytes));
        text
    };
    console.print(&text)
}

/// The encoding of a snapshot with its dial, and the bits of a hint.
fn encoding_and_bits(stats: &SnapshotStats) -> (String, String) {
    let (name, bits) = (stats.encoding.name(), stats.bits_per_hint);
    match stats.evaluations {
        Some(evaluations) => {
            (format!("{name}, {evaluations} evaluations a lookup"), format!("{bits:.4}"))
        }
        None => (
            format!("{name}, {} value bits, {} tries", stats.value_bits, stats.tries),
            format!("{bits:.4}, the bound for so many tries is {:.4}", stats.bound_bits_per_hint),
        ),
    }
}

/// The bits of the files for each live hint; 0 for an index without hints.
fn bits_per_hint(stats: &Stats) -> f64 {
    match stats.hints {
        0 => 0.0,
        hints => stats.hint_bytes() as f64 * 8.0 / hints as f64,
    }
}

fn to_json(stats: &Stats, station: &Station, kept: Option<&KeptKey>) -> String {
    let section = |section: &Section| json!({ "name": section.name, "bytes": section.disk_bytes });
    let object = json!({
        "kind": "index",
        "devices": stats.devices,
        "hints": stats.hints,
        "bytes": stats.disk_bytes(),
        "bits_per_hint": bits_per_hint(stats),
        "hint_scheme": hint_name(&station.params()),
        "nonce": stats.nonces.to_string(),
        "lookahead": stats.lookahead,
        "derivation": station.params().derivation.name(),
        "suite": suite_name(&station.params()),
        "schedule": schedule_json(&station.params()),
        "station_point": station_point(&station.params()),
        "associated_data": station.params().associated_data.to_string(),
        "lead": station.params().lead.map(|lead| lead.to_string()),
        "overhead_bytes": overhead_bytes(&station.params()),
        "ratchet_bits": station.params().ratchet.map(RatchetBits::bits),
        "settings": settings_object(&station.fleet_settings()),
        "timing": stats.timing.map(timing_json),
        "spans": stats.spans.iter().map(|span| json!([span.start, span.end])).collect::<Vec<_>>(),
        "slots": stats.slots,
        "retired_slots": stats.retired_slots,
        "entries": stats.entries,
        "epoch": stats.epoch,
        "left_to_snapshot": stats.lean_snapshot.map(hex::encode),
        "prefix_bits": stats.prefix_bits,
        "suffix_bits": stats.suffix_bits,
        "master_key": kept.map(key::to_json),
        "index_id": hex::encode(stats.index_id),
        "created_unix_s": stats.created_unix_s,
        "restored_from_unix_s": station.restored().map(|restored| restored.made_unix_s),
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

fn timing_json(timing: Timing) -> serde_json::Value {
    json!({
        "span_s": timing.span_s,
        "lead_s": timing.lead_s,
        "before_s": timing.before_s,
        "after_s": timing.after_s,
        "max_drift_ppm": timing.max_drift_ppm,
    })
}

/// The timing and the windows of an index with clocked nonces; empty for counter nonces.
fn time(stats: &Stats) -> String {
    let Some(timing) = stats.timing else { return String::new() };
    let mut text = format!(
        "\n  windows of       {} s, built {} s ahead; clocks {} s behind to {} s ahead, drift {} ppm",
        timing.span_s, timing.lead_s, timing.before_s, timing.after_s, timing.max_drift_ppm
    );
    text.extend(stats.spans.iter().map(|span| {
        format!("\n  window from      {} to {}", time_text(span.start), time_text(span.end))
    }));
    text
}

/// The suite of the packets, what they carry beside the payload, and their associated data.
fn packets(params: &Params) -> String {
    let data = match params.associated_data.borrow().bytes() {
        [] => String::new(),
        _ => format!(", associated data {}", params.associated_data),
    };
    let lead = params.lead.map_or_else(String::new, |lead| format!(", behind the lead {lead}"));
    let station = station_point(params);
    let station = station.map_or_else(String::new, |point| format!(", for the station {point}"));
    let (suite, overhead_bytes) = (suite_name(params), overhead_bytes(params));
    format!("{suite}, {overhead_bytes} bytes around the payload{lead}{data}{station}")
}

/// The delays of the packets and the tolerance of their times, where packets follow a schedule.
fn schedule_json(params: &Params) -> Option<serde_json::Value> {
    let Naming::Schedule { schedule, tolerance, .. } = params.naming else { return None };
    Some(json!({
        "min_ms": schedule.min_ms(),
        "max_ms": schedule.max_ms(),
        "jitter_ms": tolerance.jitter_ms,
        "max_drift_ppm": tolerance.max_drift_ppm,
    }))
}

/// The hints of the packets, if they have some.
fn hints(stats: &Stats, params: &Params) -> String {
    if let Naming::Schedule { schedule, head, tolerance } = params.naming {
        let head = head.map_or_else(
            || "none".to_owned(),
            |head| format!("{head} of {} bytes in front", head.len_bytes()),
        );
        return format!(
            "{head}: packets follow a schedule of {} to {} ms, give or take {} ms and {} ppm",
            schedule.min_ms(),
            schedule.max_ms(),
            tolerance.jitter_ms,
            tolerance.max_drift_ppm
        );
    }
    if !params.naming.has_index() {
        return "none: no index is needed to find the device of a packet".to_owned();
    }
    let (scheme, len_bytes) = (stats.scheme, stats.scheme.len_bytes());
    format!("{scheme} of {len_bytes} bytes, {} ahead of each device", stats.lookahead)
}

/// The settings of the fleet; those of devices are in `hintdex device list`.
fn fleet_settings(station: &Station) -> String {
    let settings = station.fleet_settings();
    if settings.is_empty() { "the usual ones".to_owned() } else { settings_text(&settings) }
}

/// The backup that the fleet was restored from, if it was.
fn restored(station: &Station) -> String {
    station.restored().map_or_else(String::new, |restored| {
        format!("restored from     a backup of {}\n", time_text(restored.made_unix_s))
    })
}

fn to_table(stats: &Stats, station: &Station, kept: Option<&KeptKey>) -> String {
    let (unit, units) = match station.params().naming.has_index() {
        true => ("bytes a hint", stats.hints),
        false => ("bytes a device", stats.devices),
    };
    let per_unit = |bytes: u64| bytes as f64 / units.max(1) as f64;
    let mut text = format!(
        "live index {}\n\
         hints             {}\n\
         packets           {}\n\
         nonces            {}{}\n\
         keys              derived with {}{}; {}\n\
         settings          {}\n{}\
         devices           {} ({} retired)\n\
         live hints        {}\n\
         entries           {} (stale ones until the next roll{})\n\
         window            epoch {}, {} prefix bits, {} suffix bits\n\
         bits a hint       {:.2}\n\n\
         {:<16}{:>16}{:>16}\n",
        hex::encode(stats.index_id),
        hints(stats, &station.params()),
        packets(&station.params()),
        stats.nonces,
        time(stats),
        station.params().derivation,
        station.params().ratchet.map_or_else(String::new, |bits| {
            format!(", moving on after {} nonces", bits.epoch_nonces())
        }),
        kept.map_or_else(String::new, key::describe),
        fleet_settings(station),
        restored(station),
        stats.devices,
        stats.retired_slots,
        stats.hints,
        stats.entries,
        stats.lean_snapshot.map_or("", |_| "; the fleet's snapshot holds the others"),
        stats.epoch,
        stats.prefix_bits,
        stats.suffix_bits,
        bits_per_hint(stats),
        "on disk",
        "bytes",
        unit,
    );
    let row =
        |(name, bytes): (&str, u64)| format!("{name:<16}{bytes:>16}{:>16.3}\n", per_unit(bytes));
    text.extend(stats.sections.iter().map(|section| row((section.name, section.disk_bytes))));
    text += &row(("all files", stats.disk_bytes()));
    text += "\nin memory now\n";
    let memory = [
        ("states", stats.states_memory_bytes),
        ("key table", station.table_memory_bytes() as u64),
        ("rows, block cache", stats.cache_bytes),
        ("block tables", stats.tables_memory_bytes),
    ];
    text.extend(memory.map(row));
    text
}
