//! What an index holds and what it costs.

use std::fs;
use std::sync::atomic::Ordering;

use hintdex_wire::{HintScheme, NonceKind};
use rocksdb::properties::{
    CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_TABLE_READERS_MEM, TOTAL_SST_FILES_SIZE,
};

use crate::Error;
use crate::held::SnapshotId;
use crate::index::LiveIndex;
use crate::records::{META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, epoch_of_family};
use crate::time::{Span, Timing};
use crate::window::present;

/// A part of an index and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is: `hints`, `states`, `slots`, `meta`, `log` or `other`.
    pub name: &'static str,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes of it that are in write buffers and not in its files yet; the log
    /// has them.
    pub buffered_bytes: u64,
}

/// What an index holds and what it costs, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The index's own random id.
    pub index_id: [u8; 16],
    /// How hints are computed.
    pub scheme: HintScheme,
    /// How nonces are made.
    pub nonces: NonceKind,
    /// Hints a device has in the index, or of each day; steps come by the clock alone.
    pub lookahead: u32,
    /// When the index was made, in seconds since 1970.
    pub created_unix_s: u64,
    /// Keys that were provisioned, retired ones included.
    pub slots: u64,
    /// Keys that were retired.
    pub retired_slots: u64,
    /// Live hints: those that an honest device may send next, in the window or in
    /// the snapshot it is left to.
    pub hints: u64,
    /// Entries of all windows: live hints, stale ones, and added twice.
    pub entries: u64,
    /// How the index goes with time, where nonces tell it.
    pub timing: Option<Timing>,
    /// The spans of the windows, where nonces tell time, in order.
    pub spans: Vec<Span>,
    /// The number of the current window; 0 before the first provisioning.
    pub epoch: u32,
    /// The snapshot that holds what the current window lacks, if one does.
    pub left_to: Option<SnapshotId>,
    /// Bits of a hint that name its bucket.
    pub prefix_bits: u8,
    /// Bits of a hint that its entry carries.
    pub suffix_bits: u8,
    /// What the files hold, part by part.
    pub sections: Vec<Section>,
    /// Bytes of the states in memory.
    pub states_memory_bytes: u64,
    /// Bytes of rows in memory and of the block cache in use, write buffers included.
    pub cache_bytes: u64,
    /// Bytes of the store's tables of blocks, outside the cache.
    pub tables_memory_bytes: u64,
    /// Rolls since the index was opened.
    pub rolls: u64,
}

impl Stats {
    /// Bytes of all files.
    pub fn disk_bytes(&self) -> u64 {
        self.sections.iter().map(|section| section.disk_bytes).sum()
    }

    /// Bytes of a section's files; 0 if there is none of that name.
    pub fn section_bytes(&self, name: &str) -> u64 {
        self.sections
            .iter()
            .filter(|section| section.name == name)
            .map(|section| section.disk_bytes)
            .sum()
    }
}

impl LiveIndex {
    /// What the index holds and what it costs. A walk over the states, 1 ms a
    /// million slots.
    ///
    /// # Errors
    /// What the store or the file system says.
    pub fn stats(&self) -> Result<Stats, Error> {
        let totals = self.states.totals();
        let mut tables_memory_bytes = 0;
        let mut sections = Vec::new();
        let declared = self.windows.declared();
        let of_windows = declared.iter().map(|window| window.family.clone());
        let families = [META_FAMILY, SLOTS_FAMILY, STATES_FAMILY].map(String::from);
        for family in of_windows.chain(families) {
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
        let current = present(&declared, self.now_s()).and_then(|at| declared.get(at));
        Ok(Stats {
            index_id: self.index_id,
            scheme: self.params.scheme,
            nonces: self.params.nonces,
            lookahead: self.params.lookahead,
            created_unix_s: self.created_unix_s,
            slots: totals.slots,
            retired_slots: totals.retired,
            hints,
            entries: declared.iter().map(|window| window.entry_count()).sum(),
            timing: self.params.nonces.tells_time().then_some(self.timing()),
            spans,
            epoch: current.map_or(0, |window| window.epoch),
            left_to: current.and_then(|window| window.left_to).map(|left_to| left_to.snapshot),
            prefix_bits: current.map_or(0, |window| window.geometry.prefix_bits()),
            suffix_bits: current.map_or(0, |window| window.geometry.suffix_bits()),
            sections,
            states_memory_bytes: self.states.memory_bytes() as u64,
            cache_bytes: self.store.cache_usage_bytes() as u64,
            tables_memory_bytes,
            rolls: self.rolls.load(Ordering::Relaxed),
        })
    }

    /// The live hints: those the states tell, or those of all windows of time.
    fn count_hints(&self, of_states: u64) -> u64 {
        if !self.params.nonces.tells_time() {
            return of_states;
        }
        let fleet = self.fleet();
        let spans = self.spans().into_iter();
        spans.map(|(span, _)| self.live_in(&fleet, Some(span)).count_hints()).sum()
    }

    fn property(&self, family: &str, name: &rocksdb::properties::PropName) -> Result<u64, Error> {
        let value = self.store.db().property_int_value_cf(&self.store.family(family)?, name);
        Ok(value.map_err(Error::store("asking for a property"))?.unwrap_or(0))
    }

    /// Bytes of the write-ahead log and of all files of the store.
    fn file_bytes(&self) -> Result<(u64, u64), Error> {
        let path = self.store.path();
        let mut totals = (0, 0);
        for entry in fs::read_dir(path).map_err(Error::io("listing a folder", path))? {
            let entry = entry.map_err(Error::io("listing a folder", path))?;
            // A file the store just dropped is no longer part of the index.
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
        name if epoch_of_family(name).is_some() => "hints",
        _ => "other",
    }
}
