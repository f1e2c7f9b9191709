//! Snapshots beside the live index: built from it, asked before it.
//!
//! A snapshot is the cheap long horizon, the live index the exact present. A
//! snapshot steers and nothing more: whatever it names is confirmed by key, and
//! what it does not know goes on to the live index. So attaching and replacing
//! one is a swap of a pointer that no lookup waits for.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use hintdex_core::{LiveIndex, Params, Report, SnapshotId, Span, Timing};
use hintdex_scan::{Match, Search};
use hintdex_snapshot::{
    BuildReport, Builder, CandidateBatch, Dial, Encoding, HintSource, ManifestKey, OpenError,
    Progress, Snapshot, SnapshotParams,
};
use hintdex_wire::{Hint, HintCipher, KeyId, KeySource, Nonce, Slot};

use crate::Error;

/// Snapshots that are asked at a time: the present one and the one before.
const MAX_ATTACHED: usize = 2;

/// Slots from which on a run of keys is tried faster than one by one.
const LEAST_GROUP_LEN_SLOTS: usize = 8;

/// What a snapshot is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildOptions {
    /// How hints are stored.
    pub encoding: Encoding,
    /// Bytes or tries.
    pub dial: Dial,
    /// [`Encoding::Sorted`]: bits of a hint that are checked beyond those that place it.
    pub check_bits: u8,
    /// How many coming nonces of each device it holds, where they are counters.
    pub horizon_nonces: u64,
    /// The station's time it is for, where nonces tell time: the present window's, if
    /// not given.
    pub span: Option<(u64, u64)>,
    /// What the build may take in memory, in bytes.
    pub memory_bytes: usize,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self {
            encoding: Encoding::Ribbon,
            dial: Dial::Tries(32),
            check_bits: 8,
            horizon_nonces: 64,
            span: None,
            memory_bytes: 256 << 20,
        }
    }
}

/// A snapshot that is being asked, and where it came from.
pub(crate) struct Attached {
    path: PathBuf,
    pub(crate) snapshot: Snapshot,
    /// Whether a lookup met a damaged block.
    damaged: AtomicBool,
}

impl Attached {
    /// The station's time it is for; empty where nonces tell no time.
    pub(crate) fn span(&self) -> &Span {
        &self.snapshot.params().time_unix_s
    }

    /// Whether a hint that is received at these times may be in it.
    pub(crate) fn is_asked(&self, timing: &Timing, times: &RangeInclusive<u64>) -> bool {
        self.span().is_empty() || timing.may_hold(self.span(), times)
    }

    /// Calls `found` with the index of each hint whose device the snapshot knows.
    ///
    /// A damaged block costs the hints that lie in it their shortcut.
    pub(crate) fn confirm<E>(
        &self,
        search: &Search<'_, E>,
        hints: &[Hint],
        mut found: impl FnMut(usize, Match),
    ) where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        let mut batch = CandidateBatch::default();
        if self.snapshot.candidates_batch(hints, &mut batch).is_err() {
            self.damaged.store(true, Ordering::Relaxed);
            // One by one, so that only the hints of that block go without.
            for (index, hint) in hints.iter().enumerate() {
                let ranges = self.snapshot.candidates(hint).into_iter().flatten();
                for matched in ranges
                    .flat_map(|range| search.confirm(Slot(range.start)..Slot(range.end), hint))
                {
                    found(index, matched);
                }
            }
            return;
        }
        // A slot alone is tried beside those of other hints, a group as a run of keys.
        let (mut single_owners, mut singles) = (Vec::new(), Vec::new());
        let (mut group_owners, mut groups) = (Vec::new(), Vec::new());
        for ((owner, hint), ranges) in hints.iter().enumerate().zip(batch.iter()) {
            for range in ranges {
                if range.len() < LEAST_GROUP_LEN_SLOTS {
                    singles.extend(range.clone().map(|slot| (Slot(slot), *hint)));
                    single_owners.extend(range.clone().map(|_| owner));
                } else {
                    groups.push((Slot(range.start)..Slot(range.end), *hint));
                    group_owners.push(owner);
                }
            }
        }
        let mut tell = |owners: &[usize], index: usize, matched| {
            owners.get(index).into_iter().for_each(|owner| found(*owner, matched));
        };
        search.confirm_each(&singles, |index, matched| tell(&single_owners, index, matched));
        search.confirm_ranges(&groups, |index, matched| tell(&group_owners, index, matched));
    }
}

/// The snapshots of a station.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// The newest first.
    attached: ArcSwap<Vec<Arc<Attached>>>,
}

impl Snapshots {
    /// Opens the snapshot in the file `path`, which the station made and keeps to itself,
    /// and asks it first from now on, in place of one from the same path. Returns its id.
    pub(crate) fn attach(&self, index: &LiveIndex, path: &Path) -> Result<SnapshotId, Error> {
        self.attach_by(index, path, |path, key| Snapshot::open_own(path, key))
    }

    /// The same of any file, that is opened by `open`.
    pub(crate) fn attach_by(
        &self,
        index: &LiveIndex,
        path: &Path,
        open: fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
    ) -> Result<SnapshotId, Error> {
        let key = ManifestKey::of_fleet(index.key_source().as_ref());
        let snapshot =
            open(path, &key).map_err(|source| Error::Snapshot { path: path.to_owned(), source })?;
        check_serves(index, snapshot.params())
            .map_err(|why| Error::SnapshotRefused { path: path.to_owned(), why })?;
        let id = *snapshot.id();
        let damaged = AtomicBool::new(false);
        let new = Arc::new(Attached { path: path.to_owned(), snapshot, damaged });
        let (timing, now_s) = (index.timing(), index.now_s());
        self.attached.rcu(|before| {
            let others = before.iter().filter(|attached| attached.path != path);
            // The one before stays, and whichever the index leans on; of spans of time
            // those that are not past, one for each.
            let needed = index.lean_snapshot();
            let kept = others.enumerate().filter(|(age, attached)| {
                if attached.span().is_empty() {
                    age + 1 < MAX_ATTACHED || Some(*attached.snapshot.id()) == needed
                } else {
                    attached.span() != new.span() && !is_past(attached.span(), &timing, now_s)
                }
            });
            let kept = kept.map(|(_, attached)| attached.clone());
            std::iter::once(new.clone()).chain(kept).collect::<Vec<_>>()
        });
        Ok(id)
    }

    /// Lets go of the snapshots whose time has passed; gives their files.
    pub(crate) fn detach_passed(&self, index: &LiveIndex) -> Vec<PathBuf> {
        let (timing, now_s) = (index.timing(), index.now_s());
        let has_passed = |attached: &Attached| is_past(attached.span(), &timing, now_s);
        let all = self.attached.load();
        let passed: Vec<_> = all.iter().filter(|attached| has_passed(attached)).collect();
        let paths = passed.iter().map(|attached| attached.path.clone()).collect();
        if !passed.is_empty() {
            self.attached.rcu(|before| {
                before.iter().filter(|attached| !has_passed(attached)).cloned().collect::<Vec<_>>()
            });
        }
        paths
    }

    /// Whether a snapshot of this id is asked and no lookup met a damaged block in it.
    pub(crate) fn serves(&self, id: &SnapshotId) -> bool {
        let is_one = |attached: &Arc<Attached>| attached.snapshot.id() == id;
        self.attached.load().iter().any(is_one) && !self.is_damaged(id)
    }

    /// Whether a lookup met a damaged block in this snapshot.
    pub(crate) fn is_damaged(&self, id: &SnapshotId) -> bool {
        self.attached.load().iter().any(|attached| {
            attached.snapshot.id() == id && attached.damaged.load(Ordering::Relaxed)
        })
    }

    /// The files of the attached snapshots, the newest first.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.attached.load().iter().map(|attached| attached.path.clone()).collect()
    }

    /// The attached snapshots, the newest first.
    pub(crate) fn attached(&self) -> Guard<Arc<Vec<Arc<Attached>>>> {
        self.attached.load()
    }

    /// Builds a snapshot of what is coming and publishes it as `path`.
    pub(crate) fn rebuild(
        &self,
        index: &LiveIndex,
        coming: &Coming,
        path: &Path,
        options: &RebuildOptions,
        report: Option<Report<'_>>,
    ) -> Result<BuildReport, Error> {
        let params = SnapshotParams {
            encoding: options.encoding,
            dial: options.dial,
            check_bits: options.check_bits,
            hint_scheme: coming.params.scheme,
            nonce_kind: coming.params.nonces.number(),
            horizon_nonces: coming.longest_nonces(),
            slots: 0..coming.slot_count,
            fleet_id: *index.id(),
            origin: coming.digest(),
            built_at_unix_s: index.now_s(),
            time_unix_s: coming.span.clone().unwrap_or_default(),
        };
        let key = ManifestKey::of_fleet(index.key_source().as_ref());
        let progress = |Progress { hints_done, hints_all }| {
            if let Some(report) = report {
                report(hints_done, hints_all);
            }
        };
        Builder::new(params, &key)
            .memory_bytes(options.memory_bytes as u64)
            .threads(rayon::current_num_threads())
            .progress(&progress)
            .build(coming, path)
            .map_err(Error::Rebuild)
    }
}

/// Why a sound snapshot cannot serve an index, if it cannot.
fn check_serves(index: &LiveIndex, params: &SnapshotParams) -> Result<(), &'static str> {
    if params.fleet_id != *index.id() || params.hint_scheme != index.params().scheme {
        return Err("the snapshot is of another fleet");
    }
    let is_clocked = index.params().nonces.is_clocked();
    if is_clocked && is_past(&params.time_unix_s, &index.timing(), index.now_s()) {
        return Err("the time it was built for has passed");
    }
    if params.slots.end > index.slot_count() {
        return Err("the snapshot has devices that this index has not");
    }
    if index.has_new_keys_since(Slot(params.slots.end)) {
        return Err("devices have new keys since the snapshot was built");
    }
    Ok(())
}

/// Whether a span of time is of no use any longer.
fn is_past(span: &Span, timing: &Timing, now_s: u64) -> bool {
    !span.is_empty() && span.end.saturating_add(timing.before_s.into()) <= now_s
}

/// What is coming from each device, frozen: packets go on while a build asks again.
pub(crate) struct Coming {
    keys: Arc<dyn KeySource>,
    params: Params,
    /// The station's time they are of, where nonces tell time.
    span: Option<Span>,
    slot_count: u32,
    ids: Vec<KeyId>,
    /// In the order of slots; none of a retired one, several where a span has several days.
    runs: Vec<(Slot, Range<Nonce>)>,
}

impl Coming {
    /// The next nonces of every counter, or those of a span of time, the present one if
    /// none is given.
    pub(crate) fn of(index: &LiveIndex, horizon_nonces: u64, span: Option<Span>) -> Self {
        let params = index.params();
        let span = match (params.nonces.is_clocked(), span) {
            (false, _) => None,
            (true, Some(span)) => Some(span),
            (true, None) => Some(index.timing().span_at(index.now_s())),
        };
        let ids = index.keys(Slot(0)..Slot(index.slot_count()));
        let slot_count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let mut runs = index.coming_nonces(horizon_nonces, span.as_ref());
        // Devices may have been added in between.
        runs.retain(|(slot, _)| slot.0 < slot_count);
        Self { keys: index.key_source().clone(), params, span, slot_count, ids, runs }
    }

    /// By slot, the first nonce it has; `None` for a retired one.
    pub(crate) fn first_nonces(&self) -> Vec<Option<Nonce>> {
        let mut first = vec![None; self.ids.len()];
        for (slot, nonces) in &self.runs {
            first.get_mut(slot.index()).into_iter().for_each(|place| *place = Some(nonces.start));
        }
        first
    }

    /// How many nonces the slot with the most of them has.
    fn longest_nonces(&self) -> u64 {
        self.runs.iter().map(|(_, nonces)| nonces.end - nonces.start).max().unwrap_or(0)
    }

    /// What tells this picture of the fleet from any other.
    fn digest(&self) -> [u8; 16] {
        let runs = self.runs.iter().flat_map(|(slot, nonces)| {
            [u64::from(slot.0), nonces.start, nonces.end].map(u64::to_le_bytes)
        });
        let context: Vec<u8> = b"coming:".iter().copied().chain(runs.flatten()).collect();
        self.keys.check_value(&context)
    }
}

impl HintSource for Coming {
    fn hint_count(&self) -> u64 {
        // Saturates: the builder refuses so many, and a wrapped sum would look small.
        let lens = self.runs.iter().map(|(_, nonces)| nonces.end - nonces.start);
        lens.fold(0, u64::saturating_add)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let first = self.runs.partition_point(|(slot, _)| slot.0 < slots.start);
        let runs = self.runs.get(first..).unwrap_or_default().iter();
        for (slot, nonces) in runs.take_while(|(slot, _)| slot.0 < slots.end) {
            let id = self.ids.get(slot.index());
            if let Some(key) = id.and_then(|id| self.keys.hint_key(*id)) {
                let cipher = HintCipher::new(self.params.scheme, &key);
                cipher.each_hint(nonces.clone(), |hint| each(hint.head(), *slot));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_core::{DeviceRange, Options};
    use hintdex_wire::{CheckValue, DeviceId, HintKey, HintScheme, MasterKey, PacketKey};

    use super::*;

    /// Keys of any generation: a device's first ones under another master key each.
    struct Generations;

    impl Generations {
        fn master(generation: u16) -> MasterKey {
            let [low, high] = generation.to_le_bytes();
            let mut secret = [7; 32];
            let [first, second, ..] = &mut secret;
            (*first, *second) = (low, high);
            MasterKey::new(&secret)
        }
    }

    impl KeySource for Generations {
        fn hint_key(&self, key: KeyId) -> Option<HintKey> {
            Self::master(key.generation).hint_key(KeyId::first(key.device))
        }

        fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
            Self::master(key.generation).packet_key(KeyId::first(key.device))
        }

        fn check_value(&self, context: &[u8]) -> CheckValue {
            Self::master(0).check_value(context)
        }
    }

    #[test]
    fn a_snapshot_from_before_a_change_of_keys_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let params = Params::counters(HintScheme::Aes128, 4);
        let options = Options { memory_bytes: 4 << 20, ..Options::default() };
        let path = folder.path().join("index");
        let index = LiveIndex::create(&path, Arc::new(Generations), params, &options);
        let index = index.expect("it can be made");
        let devices = |first, generation| DeviceRange {
            generation,
            ..DeviceRange::new(DeviceId(first), 100)
        };
        index.provision(&[devices(0, 0)], None).expect("ids are free");
        let (snapshots, file) = (Snapshots::default(), folder.path().join("fleet.hdx"));
        let rebuild = RebuildOptions::default();
        let build = || {
            let coming = Coming::of(&index, rebuild.horizon_nonces, None);
            snapshots.rebuild(&index, &coming, &file, &rebuild, None).expect("it is built");
        };
        build();
        snapshots.attach(&index, &file).expect("it is this fleet's");
        // Other devices do not change anybody's keys; new keys of old ones do.
        index.provision(&[devices(500, 0)], None).expect("ids are free");
        snapshots.attach(&index, &file).expect("it is still right");
        index.provision(&[devices(0, 1)], None).expect("a new generation");
        let refused = snapshots.attach(&index, &file);
        assert!(matches!(refused, Err(Error::SnapshotRefused { .. })), "{refused:?}");
        build();
        snapshots.attach(&index, &file).expect("it has the new keys");
    }
}
