//! The fleets of a station of the service, opened as a group.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use hintdex::wire::NonceKind;
use hintdex::{Clock, Station, StationGroup, StationOptions};

use crate::ServeError;
use crate::config::FixedConfig;

/// Reads the EUIs of a fleet's devices from its folder.
pub type EuisOf = fn(&Path) -> Result<HashMap<u32, u64>, String>;

/// What a fleet's payloads are labelled with.
#[derive(Debug)]
pub struct Fleet {
    /// The name of its folder.
    pub name: String,
    /// The kind of its nonces: clocked nonces yield a time.
    pub nonces: NonceKind,
    /// The EUIs of its devices, if it has an id map.
    pub euis: HashMap<u32, u64>,
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
        ..StationOptions::default()
    };
    let (mut stations, mut fleets, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for folder in &config.folders {
        let station = Station::open_by(folder, &config.access, &options, clock.clone())?;
        if let Some(refused) = station.refused_snapshot() {
            tracing::warn!("{}: the fleet's own snapshot is not used: {refused}", folder.display());
        }
        for (device, why) in station.out_of_service().into_iter().take(5) {
            tracing::warn!("{}: device {device} is out of service: {why}", folder.display());
        }
        let short = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let whole = folder.to_string_lossy().into_owned();
        let name = short.filter(|name| names.insert(name.clone())).unwrap_or(whole);
        let euis = euis_of(folder).unwrap_or_else(|why| {
            tracing::warn!("{why}; payloads carry no EUI");
            HashMap::new()
        });
        fleets.push(Fleet { name, nonces: station.params().nonces, euis });
        stations.push(station);
    }
    let group =
        StationGroup::new(stations).map_err(|error| ServeError::usage(error.to_string()))?;
    Ok((group, fleets))
}
