//! The EUIs of a fleet's devices, as verdicts name them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;
use crate::id_map::IdMap;

/// The EUI of each device of a fleet that has one.
pub struct Euis {
    folder: PathBuf,
    euis: HashMap<u32, u64>,
    /// How many commands may have changed the fleet, and how many of them `euis` has seen.
    changes: Arc<AtomicU64>,
    seen_changes: u64,
}

impl Euis {
    /// The EUIs of the fleet in `folder`. Without a sound map, verdicts carry ids alone: a station
    /// does not stop for names.
    pub fn of(folder: &Path) -> Self {
        let mut of_fleet = Self {
            folder: folder.to_owned(),
            euis: HashMap::new(),
            changes: Arc::default(),
            seen_changes: 0,
        };
        of_fleet.read();
        of_fleet
    }

    /// The count of the commands that may have changed the fleet. Each such command increments the
    /// count.
    pub const fn changes(&self) -> &Arc<AtomicU64> {
        &self.changes
    }

    /// Reads the EUIs again if a command may have changed them.
    pub fn refresh(&mut self) {
        let changes = self.changes.load(Ordering::Acquire);
        if changes != self.seen_changes {
            self.seen_changes = changes;
            self.read();
        }
    }

    /// The EUI of a device.
    pub fn of_device(&self, device: u32) -> Option<u64> {
        self.euis.get(&device).copied()
    }

    fn read(&mut self) {
        match IdMap::open(&self.folder) {
            Ok(map) => self.euis = map.euis(),
            Err(failure) => self.report(&failure),
        }
    }

    fn report(&self, failure: &Failure) {
        let kept = if self.euis.is_empty() { "no EUI" } else { "the EUIs read before" };
        eprintln!("hintdex: note: {failure}; verdicts carry {kept}");
    }
}
