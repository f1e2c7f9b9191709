//! What a call of `hintdex decode` names is checked and opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hintdex::{GroupError, HopKey, Station, StationGroup, StationOptions};
use hintdex_server::control::Listener;

use super::euis::Euis;
use super::fleets::Fleets;
use super::notices;
use super::summary::{Hop, Labels};
use crate::args::{DecodeArgs, Output};
use crate::call::Call;
use crate::control::{self, in_use};
use crate::failure::Failure;
use crate::open;
use crate::timeline::Timeline;

/// The least memory of a station, as for `--memory`.
const MIN_MEMORY_BYTES: usize = 1 << 20;

/// Opens every fleet of the call, and returns the labels of their verdicts.
pub fn open(args: &DecodeArgs, call: &Call<'_>) -> Result<(Fleets, Vec<Labels>), Failure> {
    check_folders(&args.index)?;
    check_snapshots(args)?;
    let hop_keys = hop_keys(args, call)?;
    let timeline = Arc::new(Timeline::new(call.run.time.clock()));
    let options = options(args, call);
    let is_mixed = args.index.len() > 1;
    let (mut stations, mut prefixes, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (folder, hop_key) in args.index.iter().zip(hop_keys) {
        let of = if is_mixed { format!("{}: ", folder.display()) } else { String::new() };
        let station = open_station(folder, &of, args, call, &options, &timeline)?;
        labels.push(Labels {
            folder: is_mixed.then(|| folder.to_string_lossy().into_owned()),
            nonces: station.params().nonces,
            euis: Euis::of(folder),
            hop: hop_key.map(|key| Hop { key, fleet_id: *station.fleet_id() }),
        });
        stations.push(station);
        prefixes.push(of);
    }
    let group = StationGroup::new(stations).map_err(|error| no_group(&error, &args.index))?;
    Ok((Fleets::new(group, prefixes, timeline), labels))
}

/// Listens for commands on each fleet. A fleet whose socket cannot be made is decoded all the same.
pub fn listen(args: &DecodeArgs, fleets: &Fleets, labels: &[Labels]) -> Vec<Listener> {
    let (mut listeners, folders) = (Vec::new(), args.index.iter().enumerate());
    for ((number, folder), labels) in folders.zip(labels) {
        let group = fleets.group.clone();
        let (folder, changes) = (folder.clone(), labels.euis.changes().clone());
        match control::listen("decode", control::Fleet { folder, group, number, changes }) {
            Ok(listener) => listeners.push(listener),
            Err(error) => eprintln!("hintdex: note: {error}; other commands wait for the end"),
        }
    }
    listeners
}

/// The options of each station. What bounds the call is shared evenly.
fn options(args: &DecodeArgs, call: &Call<'_>) -> StationOptions {
    let fleets = args.index.len().max(1);
    let of_call = call.run.station(args.sync.into());
    StationOptions {
        memory_bytes: (of_call.memory_bytes / fleets).max(MIN_MEMORY_BYTES),
        refill: true,
        roll_in_background: true,
        repeat_window_s: args.repeat_window.unwrap_or(StationOptions::REPEAT_WINDOW_S),
        // The reader is this call, and what it cannot write it does not accept: no bound is needed.
        outbox_payloads: args.has_outbox().then_some(u64::MAX),
        scan_core_share: args.scan_share.unwrap_or(f64::INFINITY) / fleets as f64,
        ..args.form.of(of_call)
    }
}

/// Opens a fleet, attaches the snapshots, and reports what is wrong with clocks, snapshots
/// and devices. Messages begin with `of`.
fn open_station(
    folder: &Path,
    of: &str,
    args: &DecodeArgs,
    call: &Call<'_>,
    options: &StationOptions,
    timeline: &Arc<Timeline>,
) -> Result<Station, Failure> {
    let access = call.run.secrets.access();
    let opened = Station::open_by(folder, &access, options, timeline.clone());
    let station = opened.map_err(|error| in_use(folder, error))?;
    args.snapshot.iter().rev().try_for_each(|path| station.attach(path))?;
    if let Some(refused) = station.refused_snapshot() {
        eprintln!("hintdex: {of}the fleet's own snapshot is not used: {refused}");
    }
    if station.params().nonces.is_clocked() {
        notices::report_clock(of, timeline.system_unix_s(), station.created_unix_s());
    }
    notices::report_out_of_service(of, &station);
    Ok(station)
}

/// Refuses more folders than a group has stations, and a folder that is named twice.
fn check_folders(folders: &[PathBuf]) -> Result<(), Failure> {
    let most = StationGroup::MAX_STATIONS;
    if folders.len() > most {
        let why = format!("--index: {} folders; a call takes {most} at most", folders.len());
        return Err(Failure::usage(why));
    }
    // A missing folder is reported when it is opened.
    let place = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let places: Vec<PathBuf> = folders.iter().map(place).collect();
    for (second, place) in places.iter().enumerate() {
        if let Some(first) = places.iter().take(second).position(|other| other == place) {
            return Err(Failure::usage(format!(
                "{} are one folder; name each fleet once",
                both(folders, first, second)
            )));
        }
    }
    Ok(())
}

/// Two of the folders, as given.
fn both(folders: &[PathBuf], first: usize, second: usize) -> String {
    let shown = |at: usize| folders.get(at).map_or_else(String::new, |at| at.display().to_string());
    format!("--index {} and --index {}", shown(first), shown(second))
}

fn no_group(error: &GroupError, folders: &[PathBuf]) -> Failure {
    match error {
        GroupError::SameFleet { first, second } => Failure::usage(format!(
            "{} hold the same fleet: one is a copy of the other; leave the older copy out",
            both(folders, *first, *second)
        )),
        other => Failure::usage(other.to_string()),
    }
}

fn check_snapshots(args: &DecodeArgs) -> Result<(), Failure> {
    match (args.index.len(), args.snapshot.len()) {
        (_, 0) => Ok(()),
        (2.., _) => Err(Failure::usage(
            "--snapshot is of one fleet; with several --index, omit --snapshot: each fleet asks \
             its own snapshot",
        )),
        (_, 3..) => Err(Failure::usage("--snapshot: two are asked at most; give the newest two")),
        _ => Ok(()),
    }
}

/// The hop key of each fleet with `--output cose`, and none without.
fn hop_keys(args: &DecodeArgs, call: &Call<'_>) -> Result<Vec<Option<HopKey>>, Failure> {
    let (fleets, keys) = (args.index.len(), args.hop_key.len());
    match (args.output, keys) {
        (Output::Json, 0) => return Ok(args.index.iter().map(|_| None).collect()),
        (Output::Json, _) => {
            return Err(Failure::usage("--hop-key: it seals with --output cose"));
        }
        (Output::Cose, 0) => return Err(Failure::usage("--output cose needs --hop-key SOURCE")),
        (Output::Cose, _) if keys != fleets => {
            return Err(Failure::usage(format!(
                "--hop-key: {keys} given, {fleets} needed: one for each --index, in the same order"
            )));
        }
        (Output::Cose, _) => {}
    }
    let mut hop_keys: Vec<HopKey> = Vec::new();
    for (source, folder) in args.hop_key.iter().zip(&args.index) {
        let key = open::hop_key(source, &call.console)?;
        if hop_keys.iter().any(|other| key.is_same(other)) {
            return Err(Failure::usage(format!(
                "--hop-key: the key for {} is also that of another fleet; two fleets under one hop \
                 key repeat nonces: give each fleet a key of its own",
                folder.display()
            )));
        }
        hop_keys.push(key);
    }
    Ok(hop_keys.into_iter().map(Some).collect())
}
