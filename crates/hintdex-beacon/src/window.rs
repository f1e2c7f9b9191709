//! A window: every identifier of a span of time, in one static file.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use hintdex_snapshot::{
    Builder, Dial, Encoding, HintSource, ManifestKey, OpenError, Snapshot, SnapshotParams,
};
use hintdex_wire::beacon::eddystone::EID_LEN_BYTES;
use hintdex_wire::{Hint, HintScheme, Slot, TruncatedLen};
use rayon::prelude::*;

use crate::records::BeaconRecord;
use crate::registry::Registry;
use crate::steps;
use crate::{Error, Event};

/// How the nonces of these snapshots are made: from clocks, by their beacons.
const NONCE_KIND: u8 = 128;

/// Identifiers that are added to a window at most, but for those of one beacon.
const MAX_EXTRA_IDENTIFIERS: usize = 1 << 20;

/// What a window is to hold and where.
pub struct Plan<'p> {
    pub path: PathBuf,
    pub registry: &'p Registry,
    /// The steps of each slot's beacon, in two ranges that have none in common.
    pub steps: &'p (dyn Fn(u32, &BeaconRecord) -> [Range<u64>; 2] + Sync),
    /// Names what the steps depend on beyond the registry.
    pub origin: [u8; 16],
    pub tries: u32,
    /// 0 for as many as there are processors.
    pub threads: usize,
}

/// The slots that may send an identifier in a span of time.
pub struct Window {
    path: PathBuf,
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
        Window { path: self.path.clone(), snapshot, extra: HashMap::new() }
    }

    fn build(&self, key: &ManifestKey) -> Result<Window, Error> {
        let source = Source::new(self);
        if source.count == 0 {
            remove_file(&self.path)?;
            return Ok(self.window(None));
        }
        let params = SnapshotParams {
            encoding: Encoding::Ribbon,
            dial: Dial::Tries(self.tries),
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
        let builder = Builder::new(params, key).threads(self.threads);
        builder.build(&source, &self.path).map_err(Error::Build)?;
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

/// What windows are asked for: the first eight bytes of an identifier.
fn scheme() -> HintScheme {
    TruncatedLen::new(EID_LEN_BYTES).map_or(HintScheme::Aes128, HintScheme::Aes128Truncated)
}

/// The identifiers of a plan, for the builder.
struct Source<'p> {
    plan: &'p Plan<'p>,
    count: u64,
}

impl<'p> Source<'p> {
    fn new(plan: &'p Plan<'p>) -> Self {
        let count = |(slot, row): (u32, &BeaconRecord)| {
            let [known, former] = (plan.steps)(slot, row);
            steps::count(&known) + steps::count(&former)
        };
        let rows = (0..plan.registry.len()).into_par_iter().zip(plan.registry.rows());
        Self { plan, count: rows.map(count).sum() }
    }
}

impl HintSource for Source<'_> {
    fn hint_count(&self) -> u64 {
        self.count
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            if let Some(row) = self.plan.registry.get(slot) {
                for steps in (self.plan.steps)(slot, row) {
                    steps::each_head(row, steps, |_, head| each(head, Slot(slot)));
                }
            }
        }
    }
}

/// The file's bytes are not those that were written: it has to be built again.
#[derive(Debug)]
pub struct Damaged(pub String);

impl Window {
    /// The first of the slots to try that `confirm` something of.
    pub fn find<T>(
        &self,
        head: u64,
        mut confirm: impl FnMut(u32) -> Option<T>,
    ) -> Result<Option<T>, Damaged> {
        if let (Some(snapshot), Some(hint)) =
            (&self.snapshot, Hint::read(scheme(), &head.to_be_bytes()))
        {
            let damaged = |damage: hintdex_snapshot::Damage| Damaged(damage.to_string());
            for slot in snapshot.candidates(&hint).map_err(damaged)?.flatten() {
                if let Some(found) = confirm(slot) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(self.extra.get(&head).and_then(|slot| confirm(*slot)))
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
