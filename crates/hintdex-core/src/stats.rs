//! The contents of an index, and their cost.

use std::fs;
use std::sync::atomic::Ordering;

use hintdex_wire::{HintScheme, KeyId, NonceKind, Slot};
use rocksdb::properties::{
    CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_TABLE_READERS_MEM, TOTAL_SST_FILES_SIZE,
};

use crate::Error;
use crate::coverage::SnapshotId;
use crate::index::LiveIndex;
use crate::records::{
    META_FAMILY, OUTBOX_FAMILY, POINTS_FAMILY, SLOTS_FAMILY, STATES_FAMILY, epoch_of_family,
};
use crate::time::{Span, Timing};
use crate::window::present_window;

/// A part of an index, and its cost.
///
/// See the example of [`LiveIndex`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The part: `hints`, `states`, `slots`, `meta`, `log` or `other`; of a station also
    /// `snapshot`.
    pub name: &'static str,
    /// The length of its files.
    pub disk_bytes: u64,
    /// Bytes in write buffers that are not in its files yet, but in the log.
    pub buffered_bytes: u64,
}

/// The contents of an index, and their cost, at one moment.
///
/// See the example of [`LiveIndex`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The random id of the index.
    pub index_id: [u8; 16],
    /// The hint scheme.
    pub scheme: HintScheme,
    /// The kind of nonces.
    pub nonces: NonceKind,
    /// The nonces of a device, or of each day, whose hints are in the index; without meaning
    /// for time steps.
    pub lookahead: u32,
    /// The time of the index's creation, in seconds since 1970.
    pub created_unix_s: u64,
    /// Devices with a key that is not retired.
    pub devices: u64,
    /// Provisioned slots, retired and free ones included.
    pub slots: u64,
    /// Retired slots, free ones included.
    pub retired_slots: u64,
    /// Live hints: those that an honest device may send next, in the windows or in the snapshot
    /// of a lean window.
    pub hints: u64,
    /// Entries of all windows: live ones, stale ones, and those that were added twice.
    pub entries: u64,
    /// The time parameters; `None` for counters.
    pub timing: Option<Timing>,
    /// The spans of the windows, in order; empty for counters.
    pub spans: Vec<Span>,
    /// The epoch of the current window; 0 before the first provisioning.
    pub epoch: u32,
    /// The snapshot that holds the hints the current window lacks, if the window is lean.
    pub lean_snapshot: Option<SnapshotId>,
    /// The bits of a hint that select its bucket.
    pub prefix_bits: u8,
    /// The bits of a hint that its entry carries.
    pub suffix_bits: u8,
    /// The parts of the index.
    pub sections: Vec<Section>,
    /// Memory of the states, in bytes.
    pub states_memory_bytes: u64,
    /// Memory of cached rows and of the block cache, write buffers included, in bytes.
    pub cache_bytes: u64,
    /// Memory of the store's table readers, outside the block cache, in bytes.
    pub tables_memory_bytes: u64,
    /// Rolls since the index was opened.
    pub rolls: u64,
}

impl Stats {
    /// The length of all files.
    pub fn disk_bytes(&self) -> u64 {
        self.sections.iter().map(|section| section.disk_bytes).sum()
    }

    /// The bytes of the files that hold the live hints: the windows, and the snapshots of lean
    /// windows.
    pub fn hint_bytes(&self) -> u64 {
        let snapshot =
            if self.lean_snapshot.is_some() { self.section_bytes("snapshot") } else { 0 };
        self.section_bytes("hints") + snapshot
    }

    /// The length of a section's files; 0 if there is no such section.
    pub fn section_bytes(&self, name: &str) -> u64 {
        self.sections
            .iter()
            .filter(|section| section.name == name)
            .map(|section| section.disk_bytes)
            .sum()
    }
}

impl LiveIndex {
    /// The contents of the index, and their cost. Walks over the states: 1 ms a million slots.
    ///
    /// # Errors
    /// Those of the store or of the file system.
    pub fn stats(&self) -> Result<Stats, Error> {
        let totals = self.states.totals();
        let mut tables_memory_bytes = 0;
        let mut sections = Vec::new();
        let declared = self.windows.declared();
        let of_windows = declared.iter().map(|window| window.family.clone());
        let families = [META_FAMILY, SLOTS_FAMILY, STATES_FAMILY].map(String::from);
        let points = self.params.naming.has_points().then(|| POINTS_FAMILY.into());
        let outbox = self.outbox().map(|_| OUTBOX_FAMILY.into());
        for family in of_windows.chain(families).chain(points).chain(outbox) {
            let (disk_bytes, buffered_bytes) = (
                self.property(&family, TOTAL_SST_FILES_SIZE)?,
                self.property(&family, CUR_SIZE_ALL_MEM_TABLES)?,
            );
            tables_memory_bytes += self.property(&family, ESTIMATE_TABLE_READERS_MEM)?;
            sections.push(Section { name: section_name(&family), disk_bytes, buffered_bytes });
        }
        let of_tables: u64 = sections.iter().map(|section| section.disk_bytes).sum();
        let (log_bytes, all_bytes) = self.file_bytes()?;
        let other_bytes = all_bytes.saturating_sub(log_bytes + of_tables);
        for (name, disk_bytes) in [("log", log_bytes), ("other", other_bytes)] {
            sections.push(Section { name, disk_bytes, buffered_bytes: 0 });
        }
        let hints = self.count_hints(totals.hints);
        let spans = self.spans().into_iter().map(|(span, _)| span).collect();
        let current = present_window(&declared, self.now_s()).and_then(|at| declared.get(at));
        Ok(Stats {
            index_id: self.index_id,
            scheme: self.params.scheme,
            nonces: self.params.nonces,
            lookahead: self.params.lookahead,
            created_unix_s: self.created_unix_s,
            devices: self.count_devices(totals.slots - totals.retired),
            slots: totals.slots,
            retired_slots: totals.retired,
            hints,
            entries: declared.iter().map(|window| window.entry_count()).sum(),
            timing: self.params.nonces.is_clocked().then_some(self.timing()),
            spans,
            epoch: current.map_or(0, |window| window.epoch),
            lean_snapshot: current.and_then(|window| window.lean).map(|lean| lean.snapshot),
            prefix_bits: current.map_or(0, |window| window.geometry.prefix_bits()),
            suffix_bits: current.map_or(0, |window| window.geometry.suffix_bits()),
            sections,
            states_memory_bytes: self.states.memory_bytes() as u64,
            cache_bytes: self.store.cache_usage_bytes() as u64,
            tables_memory_bytes,
            rolls: self.rolls.load(Ordering::Relaxed),
        })
    }

    /// The number of devices with a key that is not retired, of which there are `keys`.
    fn count_devices(&self, keys: u64) -> u64 {
        let fleet = self.fleet();
        if !fleet.has_generations() {
            return keys;
        }
        let is_retired = |slot: Slot| self.is_retired(slot);
        let is_oldest = |(slot, key): &(Slot, KeyId)| {
            let peers = fleet.slots(key.device);
            let mut older = peers.iter().take_while(|peer| *peer != slot);
            !is_retired(*slot) && older.all(|peer| is_retired(*peer))
        };
        fleet.keys(0..fleet.slot_count()).filter(is_oldest).count() as u64
    }

    /// The number of live hints: the sum over the states, or over all windows of time.
    fn count_hints(&self, of_states: u64) -> u64 {
        if !self.params.nonces.is_clocked() {
            return of_states;
        }
        let fleet = self.fleet();
        let spans = self.spans().into_iter();
        spans.map(|(span, _)| self.live_in(&fleet, Some(span)).count_hints()).sum()
    }

    fn property(&self, family: &str, name: &rocksdb::properties::PropName) -> Result<u64, Error> {
        let value = self.store.db().property_int_value_cf(&self.store.family(family)?, name);
        Ok(value.map_err(Error::store("reading a property"))?.unwrap_or(0))
    }

    /// The length of the write-ahead log, and of all files of the store.
    fn file_bytes(&self) -> Result<(u64, u64), Error> {
        let path = self.store.path();
        let mut totals = (0, 0);
        for entry in fs::read_dir(path).map_err(Error::io("listing a folder", path))? {
            let entry = entry.map_err(Error::io("listing a folder", path))?;
            // The store dropped this file meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            let is_log = entry.path().extension().is_some_and(|extension| extension == "log");
            totals.0 += if is_log { metadata.len() } else { 0 };
            totals.1 += metadata.len();
        }
        Ok(totals)
    }
}

fn section_name(family: &str) -> &'static str {
    match family {
        META_FAMILY => "meta",
        SLOTS_FAMILY => "slots",
        STATES_FAMILY => "states",
        POINTS_FAMILY => "points",
        OUTBOX_FAMILY => "outbox",
        name if epoch_of_family(name).is_some() => "hints",
        _ => "other",
    }
}
