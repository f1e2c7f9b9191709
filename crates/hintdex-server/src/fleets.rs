//! The fleets of a station of the service, opened as a group.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hintdex::wire::NonceKind;
use hintdex::{Clock, IndexError, Station, StationGroup, StationOptions};

use crate::ServeError;
use crate::config::FixedConfig;
use crate::control::{Connection, ControlError, Listener};

/// Reads the EUIs of a fleet's devices from its folder.
///
/// See the [example of the crate](crate).
pub type EuisOf = fn(&Path) -> Result<HashMap<u32, u64>, String>;

/// Listens for commands on a fleet of the service.
///
/// See the [example of the crate](crate).
pub type ListenOn = fn(OpenFleet) -> Result<Listener, ControlError>;

/// A fleet that the service has open, for commands of other processes.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug)]
pub struct OpenFleet {
    /// The folder of the fleet.
    pub folder: PathBuf,
    /// The stations that hear the same packets.
    pub group: Arc<StationGroup>,
    /// The place of the fleet's station among them.
    pub number: usize,
    /// How many commands may have changed the fleet.
    pub changes: Arc<AtomicU64>,
}

/// What a fleet's payloads are labelled with.
#[derive(Debug)]
pub struct Fleet {
    /// The name of its folder.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The kind of its nonces: clocked nonces yield a time.
    pub nonces: NonceKind,
    /// How many commands may have changed the fleet, and so its EUIs.
    pub changes: Arc<AtomicU64>,
    euis_of: EuisOf,
    /// The EUIs of its devices, and the number of changes when they were read.
    euis: Mutex<(u64, Arc<HashMap<u32, u64>>)>,
}

impl Fleet {
    /// The labels of the fleet in `folder`.
    pub fn new(name: String, folder: &Path, nonces: NonceKind, euis_of: EuisOf) -> Self {
        let euis = Mutex::new((0, Arc::new(read_euis(folder, euis_of))));
        let (folder, changes) = (folder.to_owned(), Arc::default());
        Self { name, folder, nonces, changes, euis_of, euis }
    }

    /// The EUIs of the fleet's devices. They are read again after a command may have changed them.
    pub fn euis(&self) -> Arc<HashMap<u32, u64>> {
        // The EUIs change as a whole.
        let mut euis = self.euis.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.load(Ordering::Acquire);
        if euis.0 != changes {
            *euis = (changes, Arc::new(read_euis(&self.folder, self.euis_of)));
        }
        euis.1.clone()
    }
}

fn read_euis(folder: &Path, euis_of: EuisOf) -> HashMap<u32, u64> {
    euis_of(folder).unwrap_or_else(|why| {
        tracing::warn!("{why}; payloads carry no EUI");
        HashMap::new()
    })
}

/// Opens the fleets of a station. Their order is that of the configuration.
///
/// # Errors
/// A fleet cannot be opened, or two folders hold the same fleet.
pub fn open(
    config: &FixedConfig,
    clock: &Arc<dyn Clock>,
    euis_of: EuisOf,
) -> Result<(StationGroup, Vec<Fleet>), ServeError> {
    let options = StationOptions {
        memory_bytes: config.memory_bytes,
        durability: config.durability,
        scan_core_share: config.scan_core_share / config.folders.len().max(1) as f64,
        repeat_window_s: config.repeat_window_s.unwrap_or(StationOptions::REPEAT_WINDOW_S),
        outbox_payloads: Some(config.outbox_payloads),
        ..StationOptions::default()
    };
    let (mut stations, mut fleets, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for folder in &config.folders {
        let station = Station::open_by(folder, &config.access, &options, clock.clone());
        let station = station.map_err(|error| in_use(folder, error))?;
        if let Some(refused) = station.refused_snapshot() {
            tracing::warn!("{}: the fleet's own snapshot is not used: {refused}", folder.display());
        }
        for (device, why) in station.out_of_service().into_iter().take(5) {
            tracing::warn!("{}: device {device} is out of service: {why}", folder.display());
        }
        let short = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let whole = folder.to_string_lossy().into_owned();
        let name = short.filter(|name| names.insert(name.clone())).unwrap_or(whole);
        fleets.push(Fleet::new(name, folder, station.params().nonces, euis_of));
        stations.push(station);
    }
    let group =
        StationGroup::new(stations).map_err(|error| ServeError::usage(error.to_string()))?;
    Ok((group, fleets))
}

/// Names the process that has the fleet open, if it listens.
fn in_use(folder: &Path, error: hintdex::Error) -> ServeError {
    if !matches!(error, hintdex::Error::Index(IndexError::InUse { .. })) {
        return error.into();
    }
    match Connection::open(folder) {
        Ok(Some(connection)) => {
            let holder = connection.holder();
            ServeError::usage(format!(
                "{}: process {} has this index open: hintdex {}; stop that process first",
                folder.display(),
                holder.process_id,
                holder.command,
            ))
        }
        _ => error.into(),
    }
}
