//! Opening fleets, and notes about files that other users can read.

use std::ops::Deref;
use std::path::Path;

use hintdex::{
    Durability, Exposed, HopKey, KeyAccess, SecretSource, Station, StationKey, StationOptions,
};

use crate::call::Call;
use crate::console::Console;
use crate::control::in_use;
use crate::failure::Failure;

/// The station of a command: opened by the command, or the one that runs.
pub enum Opened<'a> {
    Own(Box<Station>),
    Running(&'a Station),
}

impl Deref for Opened<'_> {
    type Target = Station;

    fn deref(&self) -> &Station {
        match self {
            Self::Own(station) => station,
            Self::Running(station) => station,
        }
    }
}

/// Opens the fleet in the folder `path` and writes the station's notes to standard error. In the
/// process of a running station, returns that station.
pub fn station<'a>(
    path: &Path,
    durability: Durability,
    call: &Call<'a>,
) -> Result<Opened<'a>, Failure> {
    with_options(path, &call.run.station(durability), call)
}

/// [`station`] with other options than those of the call.
pub fn with_options<'a>(
    path: &Path,
    options: &StationOptions,
    call: &Call<'a>,
) -> Result<Opened<'a>, Failure> {
    with_access(path, &call.run.secrets.access(), options, call)
}

/// [`with_options`] and other secrets than those of the call.
pub fn with_access<'a>(
    path: &Path,
    access: &KeyAccess,
    options: &StationOptions,
    call: &Call<'a>,
) -> Result<Opened<'a>, Failure> {
    if let Some(station) = call.running_in(path)? {
        return Ok(Opened::Running(station));
    }
    let opened = Station::open_by(path, access, options, call.run.time.clock());
    let station = opened.map_err(|error| in_use(path, error))?;
    write_notes("", &station, &call.console);
    Ok(Opened::Own(Box::new(station)))
}

/// Writes the station's notes since the last call to standard error. Each begins with `of`.
pub fn write_notes(of: &str, station: &Station, console: &Console<'_>) {
    for note in station.take_notes() {
        console.report(&format!("note: {of}{note}"));
    }
}

/// Reads a hop key, and warns if other users of the machine can read its file.
pub fn hop_key(source: &SecretSource, console: &Console<'_>) -> Result<HopKey, hintdex::Error> {
    note_exposed(source, console);
    HopKey::read(source)
}

/// Reads a station key, and warns as [`hop_key`] does.
pub fn station_key(
    source: &SecretSource,
    console: &Console<'_>,
) -> Result<StationKey, hintdex::Error> {
    note_exposed(source, console);
    StationKey::read(source)
}

fn note_exposed(source: &SecretSource, console: &Console<'_>) {
    if let Some(exposed) = source.exposed() {
        console.report(&format!("note: {exposed}"));
    }
}

/// Warns if other users of the machine can read a file or a folder.
pub fn warn_if_exposed(path: &Path, console: &Console<'_>) {
    if let Some(exposed) = Exposed::find(path) {
        console.report(&format!("note: {exposed}"));
    }
}

/// Warns of a folder, and of each file in it, that other users of the machine can read.
pub fn warn_if_exposed_in(folder: &Path, console: &Console<'_>) {
    for exposed in Exposed::find_in(folder) {
        console.report(&format!("note: {exposed}"));
    }
}
