//! `hintdex decode`

mod decoder;
mod notices;
mod summary;
mod waiting;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hintdex::{HopKey, Station, StationOptions};
use indicatif::ProgressBar;

use crate::args::{DecodeArgs, Output, RunArgs};
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::input::{Batch, Lines, TrailingField, open};
use crate::open;
use crate::output::write_out;
use crate::progress;
use crate::timeline::Timeline;
use decoder::Decoder;
use summary::Hop;

pub fn run(args: &DecodeArgs, run: &RunArgs) -> Result<(), Failure> {
    let mut lines = Lines::new(open(&args.file)?);
    let hop_key = hop_key(args)?;
    let (station, timeline) = open_station(args, run)?;
    let bar = if io::stderr().is_terminal() {
        progress::bar("decoding", "packets")
    } else {
        ProgressBar::hidden()
    };
    let mut output = io::stdout().lock();
    let params = station.params();
    let trailing = match params.nonces.is_clocked() {
        _ if params.naming.is_schedule() => TrailingField::NeededTime,
        true => TrailingField::Time,
        false => TrailingField::Ignored,
    };
    let euis = euis_of(&args.index);
    let fleet_id = *station.fleet_id();
    let hop = hop_key.map(|key| Hop { key, fleet_id });
    let mut decoder = Decoder::new(station, timeline, euis, hop);
    let started = Instant::now();
    loop {
        let batch = lines
            .next_packets(trailing, decoder.timeout())
            .map_err(|error| Failure::io("reading packets", &args.file, &error))?;
        match batch {
            Batch::End => break,
            Batch::Silence => decoder.scan_waiting()?,
            Batch::Lines(batch) => {
                decoder.decode_lines(&batch)?;
                bar.inc(batch.len() as u64);
            }
        }
        if !write_out(&mut output, &decoder.text)? {
            decoder.summary.closed_early = true;
            break;
        }
        decoder.text.clear();
    }
    if !decoder.summary.closed_early {
        decoder.scan_all_waiting()?;
        write_out(&mut output, &decoder.text)?;
    }
    bar.finish_and_clear();
    decoder.summary.print(started.elapsed(), decoder.schedule_stats());
    match (decoder.summary.nothing_was_a_packet(), lines.first()) {
        (Some(reason), Some(first)) => Err(no_packets(&args.file, &format!("{first}: {reason}"))),
        _ => Ok(()),
    }
}

/// The hop key of `--output cose`.
fn hop_key(args: &DecodeArgs) -> Result<Option<HopKey>, Failure> {
    match (args.output, &args.hop_key) {
        (Output::Json, None) => Ok(None),
        (Output::Json, Some(_)) => Err(Failure::usage("--hop-key: it seals with --output cose")),
        (Output::Cose, None) => Err(Failure::usage("--output cose needs --hop-key SOURCE")),
        (Output::Cose, Some(source)) => Ok(Some(open::hop_key(source)?)),
    }
}

/// The EUIs of the fleet's devices. Without a sound map, verdicts carry ids alone: a station
/// does not stop for names.
fn euis_of(folder: &Path) -> HashMap<u32, u64> {
    let map = IdMap::open(folder);
    map.map_or_else(
        |failure| {
            eprintln!("hintdex: note: {failure}; verdicts carry no EUI");
            HashMap::new()
        },
        |map| map.euis(),
    )
}

/// Opens the fleet, attaches the snapshots, and reports what is wrong with clocks, snapshots
/// and devices.
fn open_station(args: &DecodeArgs, run: &RunArgs) -> Result<(Station, Arc<Timeline>), Failure> {
    let options = StationOptions {
        refill: true,
        roll_in_background: true,
        scan_core_share: args.scan_share.unwrap_or(f64::INFINITY),
        repeat_window_s: args.repeat_window.unwrap_or(StationOptions::REPEAT_WINDOW_S),
        ..args.form.of(run.station(args.sync.into()))
    };
    if args.snapshot.len() > 2 {
        return Err(Failure::usage("--snapshot: two are asked at most; give the newest two"));
    }
    let timeline = Arc::new(Timeline::new(run.time.clock()));
    let access = run.secrets.access();
    let station = Station::open_by(&args.index, &access, &options, timeline.clone())?;
    args.snapshot.iter().rev().try_for_each(|path| station.attach(path))?;
    if let Some(refused) = station.refused_snapshot() {
        eprintln!("hintdex: the fleet's own snapshot is not used: {refused}");
    }
    if station.params().nonces.is_clocked() {
        notices::report_clock(timeline.system_unix_s(), station.created_unix_s());
    }
    notices::report_out_of_service(&station);
    Ok((station, timeline))
}

/// The failure of an input in which no line is a packet.
fn no_packets(path: &Path, first: &str) -> Failure {
    let name = if path.as_os_str() == "-" { Path::new("standard input") } else { path };
    let message = format!(
        "no line is a packet; the first is {first}; give the hex digits of one packet a line"
    );
    Failure::data(name, &message)
}
