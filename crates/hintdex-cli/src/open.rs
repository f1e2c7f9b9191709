//! Opening fleets, and notes about files that other users can read.

use std::path::Path;

use hintdex::{
    Durability, Exposed, HopKey, KeyAccess, SecretSource, Station, StationKey, StationOptions,
};

use crate::args::RunArgs;

/// Opens the fleet in the folder `path` and writes the station's notes to standard error.
pub fn station(
    path: &Path,
    durability: Durability,
    run: &RunArgs,
) -> Result<Station, hintdex::Error> {
    with_options(path, &run.station(durability), run)
}

/// [`station`] with other options than those of `run`.
pub fn with_options(
    path: &Path,
    options: &StationOptions,
    run: &RunArgs,
) -> Result<Station, hintdex::Error> {
    with_access(path, &run.secrets.access(), options, run)
}

/// [`with_options`] and other secrets than those of `run`.
pub fn with_access(
    path: &Path,
    access: &KeyAccess,
    options: &StationOptions,
    run: &RunArgs,
) -> Result<Station, hintdex::Error> {
    let station = Station::open_by(path, access, options, run.time.clock())?;
    write_notes("", &station);
    Ok(station)
}

/// Writes the station's notes since the last call to standard error. Each begins with `of`.
pub fn write_notes(of: &str, station: &Station) {
    for note in station.take_notes() {
        eprintln!("hintdex: note: {of}{note}");
    }
}

/// Reads a hop key, and warns if other users of the machine can read its file.
pub fn hop_key(source: &SecretSource) -> Result<HopKey, hintdex::Error> {
    note_exposed(source);
    HopKey::read(source)
}

/// Reads a station key, and warns as [`hop_key`] does.
pub fn station_key(source: &SecretSource) -> Result<StationKey, hintdex::Error> {
    note_exposed(source);
    StationKey::read(source)
}

fn note_exposed(source: &SecretSource) {
    if let Some(exposed) = source.exposed() {
        eprintln!("hintdex: note: {exposed}");
    }
}

/// Warns if other users of the machine can read a file or a folder.
pub fn warn_if_exposed(path: &Path) {
    if let Some(exposed) = Exposed::find(path) {
        eprintln!("hintdex: note: {exposed}");
    }
}

/// Warns of a folder, and of each file in it, that other users of the machine can read.
pub fn warn_if_exposed_in(folder: &Path) {
    for exposed in Exposed::find_in(folder) {
        eprintln!("hintdex: note: {exposed}");
    }
}
