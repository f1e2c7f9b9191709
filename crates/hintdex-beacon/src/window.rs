//! A window: every identifier of a span of time, in one static file.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use hintdex_snapshot::{Builder, Dial, Encoding, ManifestKey, OpenError, Snapshot, SnapshotParams};
use hintdex_wire::{Hint, Nonce, Slot};
use rayon::prelude::*;

use crate::point_hints::{BeaconHints, StepOrigin, scheme};
use crate::records::BeaconRecord;
use crate::registry::Registry;
use crate::steps;
use crate::{Error, Event};

/// How the nonces of these snapshots are made: from clocks, by their beacons.
const NONCE_KIND: u8 = 128;

/// Identifiers that are added to a window at most, but for those of one beacon.
const MAX_EXTRA_IDENTIFIERS: usize = 1 << 20;

/// The memory of a build: this, or so much an identifier if that is more.
const MIN_BUILD_MEMORY_BYTES: u64 = 1 << 30;
const BUILD_MEMORY_BYTES_PER_IDENTIFIER: u64 = 8;

/// What a window is to hold and where.
pub struct Plan<'p> {
    pub path: PathBuf,
    pub registry: &'p Registry,
    /// The steps of each slot's beacon, in two ranges that have none in common.
    pub steps: &'p (dyn Fn(u32, &BeaconRecord) -> [Range<u64>; 2] + Sync),
    /// Names what the steps depend on beyond the registry.
    pub origin: [u8; 16],
    /// The moment whose steps take the fewest bits.
    pub step_origin: StepOrigin,
    /// Identifiers that a lookup computes on average.
    pub evaluations: u32,
    /// 0 for as many as there are processors.
    pub threads: usize,
}

/// The slots that may send an identifier in a span of time, and in which step each does.
pub struct Window {
    path: PathBuf,
    step_origin: StepOrigin,
    /// None of a window in which nobody sends anything.
    snapshot: Option<Snapshot>,
    /// Slots by heads of identifiers that were not expected when the file was built.
    extra: HashMap<u64, u32>,
}

impl Plan<'_> {
    /// The window of an earlier run, if it was built of the same; else a new one.
    pub fn open_or_build(&self, events: &mut Vec<Event>) -> Result<Window, Error> {
        let key = self.registry.window_key();
        match Snapshot::open_own(&self.path, &key) {
            Ok(snapshot) if snapshot.params().origin == self.origin => match snapshot.verify() {
                Ok(()) => return Ok(self.window(Some(snapshot))),
                Err(damage) => events.push(self.damaged(damage.to_string())),
            },
            Ok(_) => {}
            Err(OpenError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => events.push(self.damaged(error.to_string())),
        }
        self.build(&key)
    }

    fn damaged(&self, what: String) -> Event {
        Event::WindowDamaged { path: self.path.clone(), what }
    }

    fn window(&self, snapshot: Option<Snapshot>) -> Window {
        let (path, step_origin) = (self.path.clone(), self.step_origin);
        Window { path, step_origin, snapshot, extra: HashMap::new() }
    }

    /// The steps of all beacons as points, in the order of slots.
    fn runs(&self) -> Vec<(Slot, Range<Nonce>)> {
        let rows = (0..self.registry.len()).into_par_iter().zip(self.registry.rows());
        let runs = rows.flat_map_iter(|(slot, row)| {
            let steps = (self.steps)(slot, row).into_iter();
            let steps = steps.filter(|steps| !steps.is_empty());
            steps.map(move |steps| (Slot(slot), self.step_origin.nonces(row, &steps)))
        });
        runs.collect()
    }

    fn build(&self, key: &ManifestKey) -> Result<Window, Error> {
        let runs = self.runs();
        if runs.is_empty() {
            remove_file(&self.path)?;
            return Ok(self.window(None));
        }
        let params = SnapshotParams {
            encoding: Encoding::Chain,
            dial: Dial::Evaluations(self.evaluations),
            check_bits: 0,
            hint_scheme: scheme(),
            nonce_kind: NONCE_KIND,
            horizon_nonces: 0,
            slots: 0..self.registry.len(),
            fleet_id: *self.registry.folder_id(),
            origin: self.origin,
            built_at_unix_s: 0,
            time_unix_s: 0..0,
        };
        let count: u64 = runs.iter().map(|(_, steps)| steps::count(steps)).sum();
        let memory_bytes = count.saturating_mul(BUILD_MEMORY_BYTES_PER_IDENTIFIER);
        let hints = BeaconHints::new(self.registry, self.step_origin);
        Builder::new(params, key)
            .threads(self.threads)
            .memory_bytes(memory_bytes.max(MIN_BUILD_MEMORY_BYTES))
            .build_chain(&runs, &hints, &self.path)
            .map_err(Error::Build)?;
        let open = || {
            let snapshot = Snapshot::open_own(&self.path, key)?;
            // Checked now, lookups need not check.
            let verified = snapshot.verify();
            verified.map_err(|damage| OpenError::Damaged {
                what: "data",
                offset_bytes: damage.offset_bytes(),
            })?;
            Ok(snapshot)
        };
        let snapshot =
            open().map_err(|source| Error::Window { path: self.path.clone(), source })?;
        Ok(self.window(Some(snapshot)))
    }
}

/// The file's bytes are not those that were written: it has to be built again.
#[derive(Debug)]
pub struct Damaged(pub String);

impl Window {
    /// Calls `found` with the index of each of `heads` that the file has, and with the slot and
    /// the step whose identifier begins with that head.
    pub fn find(
        &self,
        registry: &Registry,
        heads: &[u64],
        mut found: impl FnMut(usize, u32, u64),
    ) -> Result<(), Damaged> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let hints = heads.iter().map(|head| Hint::read(scheme(), &head.to_be_bytes()));
        let hints: Vec<_> = hints.map(|hint| hint.unwrap_or(Hint::ZERO)).collect();
        let source = BeaconHints::new(registry, self.step_origin);
        let looked_up = snapshot.points(&source, &hints, |at, slot, nonce| {
            if let Some(row) = registry.get(slot.0) {
                found(at, slot.0, self.step_origin.step_of(row, nonce));
            }
        });
        looked_up.map_err(|damage| Damaged(damage.to_string()))
    }

    /// The slot that was added with an identifier of this head.
    pub fn extra(&self, head: u64) -> Option<u32> {
        self.extra.get(&head).copied()
    }

    /// Adds steps of a beacon that were not expected when the file was built, up to
    /// a bound: what does not fit waits for the next window.
    pub fn add(&mut self, slot: u32, row: &BeaconRecord, steps: Range<u64>) {
        if self.extra.len() < MAX_EXTRA_IDENTIFIERS {
            steps::each_head(row, steps, |_, head| {
                self.extra.insert(head, slot);
            });
        }
    }

    /// Identifiers in the file, and its length in bytes.
    pub fn size(&self) -> (u64, u64) {
        let stats = self.snapshot.as_ref().map(Snapshot::stats);
        stats.map_or((0, 0), |stats| (stats.hints, stats.bytes))
    }

    /// Forgets the window and removes its file.
    pub fn remove(self) -> Result<(), Error> {
        let Self { path, snapshot, .. } = self;
        drop(snapshot);
        remove_file(&path)
    }
}

/// Removes a file that may be gone already.
pub fn remove_file(path: &std::path::Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}
