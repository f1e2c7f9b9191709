//! The attached snapshots of a station, and which of them are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use hintdex_core::{LiveIndex, SnapshotId, Span, Timing};
use hintdex_snapshot::{Encoding, ManifestKey, OpenError, Snapshot, SnapshotParams};
use hintdex_wire::Slot;

use super::attached::Attached;
use crate::Error;

/// Snapshots that are asked at a time: the newest and its predecessor.
const MAX_ATTACHED: usize = 2;

/// The snapshots of a station.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// The newest first.
    attached: ArcSwap<Vec<Arc<Attached>>>,
}

impl Snapshots {
    /// Opens the snapshot in the file `path`, which belongs to the station alone, and asks it
    /// first from now on. It replaces a snapshot of the same path. Returns its id.
    pub(crate) fn attach(&self, index: &LiveIndex, path: &Path) -> Result<SnapshotId, Error> {
        let open = |path: &Path, key: &ManifestKey| Snapshot::open_own(path, key);
        self.attach_opened(index, path, open_of_fleet(index, path, open)?)
    }

    /// [`attach`](Self::attach) of a file that a user built at some time; `open` opens the
    /// file.
    pub(crate) fn attach_by(
        &self,
        index: &LiveIndex,
        path: &Path,
        open: fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
    ) -> Result<SnapshotId, Error> {
        let snapshot = open_given(index, path, open)?;
        self.attach_opened(index, path, snapshot)
    }

    /// [`attach`](Self::attach) of an opened snapshot, whose file is or will be `path`.
    pub(super) fn attach_opened(
        &self,
        index: &LiveIndex,
        path: &Path,
        snapshot: Snapshot,
    ) -> Result<SnapshotId, Error> {
        check_serves(index, snapshot.params())
            .map_err(|why| Error::SnapshotRefused { path: path.to_owned(), why })?;
        let new = Arc::new(Attached::new(path.to_owned(), snapshot));
        let (timing, now_s) = (index.timing(), index.now_s());
        self.attached.rcu(|before| {
            let others = before.iter().filter(|attached| attached.path() != path);
            // Without a span: the predecessor stays, and the snapshot that a lean window
            // needs. With spans: one snapshot for each span that has not passed.
            let needed = index.lean_snapshot();
            let kept = others.enumerate().filter(|(age, attached)| {
                if attached.span().is_empty() {
                    age + 1 < MAX_ATTACHED || Some(*attached.id()) == needed
                } else {
                    attached.span() != new.span() && !is_past(attached.span(), &timing, now_s)
                }
            });
            let kept = kept.map(|(_, attached)| attached.clone());
            std::iter::once(new.clone()).chain(kept).collect::<Vec<_>>()
        });
        Ok(*new.id())
    }

    /// Detaches the snapshots whose span has passed.
    pub(crate) fn detach_passed(&self, index: &LiveIndex) {
        let (timing, now_s) = (index.timing(), index.now_s());
        let has_passed = |attached: &Arc<Attached>| is_past(attached.span(), &timing, now_s);
        if self.attached.load().iter().any(has_passed) {
            self.attached.rcu(|before| {
                before.iter().filter(|attached| !has_passed(attached)).cloned().collect::<Vec<_>>()
            });
        }
    }

    /// Whether the snapshot with this id is attached, and no lookup met a damaged block in it.
    pub(crate) fn serves(&self, id: &SnapshotId) -> bool {
        let is_one = |attached: &Arc<Attached>| attached.id() == id;
        self.attached.load().iter().any(is_one) && !self.is_damaged(id)
    }

    /// Whether a lookup met a damaged block in this snapshot.
    pub(crate) fn is_damaged(&self, id: &SnapshotId) -> bool {
        let all = self.attached.load();
        all.iter().any(|attached| attached.id() == id && attached.is_damaged())
    }

    /// Whether lookups of an attached chain compute hints of `slot`. A slot whose part of the
    /// chain is damaged counts.
    pub(crate) fn need_key_of(&self, slot: Slot) -> bool {
        let needs = |attached: &Arc<Attached>| attached.snapshot.needs_key_of(slot).unwrap_or(true);
        self.attached.load().iter().any(needs)
    }

    /// The dial of the newest attached chain in `folder`.
    pub(crate) fn evaluations_in(&self, folder: &Path) -> Option<u32> {
        let all = self.attached.load();
        let mut inside = all.iter().filter(|attached| attached.path().parent() == Some(folder));
        inside.find_map(|attached| attached.snapshot.params().evaluations())
    }

    /// The length of the files of the attached snapshots in `folder`.
    pub(crate) fn file_bytes_in(&self, folder: &Path) -> u64 {
        let all = self.attached.load();
        let inside = all.iter().filter(|attached| attached.path().parent() == Some(folder));
        inside.map(|attached| attached.snapshot.stats().bytes).sum()
    }

    /// The paths of the attached snapshots, the newest first.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.attached.load().iter().map(|attached| attached.path().to_owned()).collect()
    }

    /// The attached snapshots, the newest first.
    pub(crate) fn attached(&self) -> Guard<Arc<Vec<Arc<Attached>>>> {
        self.attached.load()
    }
}

/// A snapshot for some lookups alone, from a file that a user built at some time: not attached,
/// and asked as if it were.
pub(crate) fn open_for_lookups(index: &LiveIndex, path: &Path) -> Result<Arc<Attached>, Error> {
    let open = |path: &Path, key: &ManifestKey| Snapshot::open_in_memory(path, key);
    let snapshot = open_given(index, path, open)?;
    check_serves(index, snapshot.params())
        .map_err(|why| Error::SnapshotRefused { path: path.to_owned(), why })?;
    Ok(Arc::new(Attached::new(path.to_owned(), snapshot)))
}

/// [`open_of_fleet`] of a file that a user built at some time. Slots may have other keys since:
/// those of the station's own snapshots have not.
fn open_given(
    index: &LiveIndex,
    path: &Path,
    open: impl Fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
) -> Result<Snapshot, Error> {
    let snapshot = open_of_fleet(index, path, open)?;
    let SnapshotParams { slots, built_at_unix_s, .. } = snapshot.params();
    if index.has_reused_slots(Slot(slots.end), *built_at_unix_s) {
        let why = "slots have new keys since the snapshot was built";
        return Err(Error::SnapshotRefused { path: path.to_owned(), why });
    }
    Ok(snapshot)
}

/// Opens the snapshot in the file `path` by the key of the index's fleet.
pub(super) fn open_of_fleet(
    index: &LiveIndex,
    path: &Path,
    open: impl Fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
) -> Result<Snapshot, Error> {
    let key = ManifestKey::of_fleet(index.key_source().as_ref());
    open(path, &key).map_err(|source| Error::Snapshot { path: path.to_owned(), source })
}

/// Why a fleet whose keys move on has no snapshot of the encoding `chain`.
pub(crate) const NO_CHAINS: &str = "a chain computes past hints, and the keys of this fleet move on \
     with their nonces; build a ribbon, dense or sorted snapshot";

/// Why a sound snapshot cannot serve an index, if it cannot.
fn check_serves(index: &LiveIndex, params: &SnapshotParams) -> Result<(), &'static str> {
    if params.fleet_id != *index.id() || params.hint_scheme != index.params().scheme {
        return Err("the snapshot is of another fleet");
    }
    if params.encoding == Encoding::Chain && index.params().ratchet.is_some() {
        return Err(NO_CHAINS);
    }
    let is_clocked = index.params().nonces.is_clocked();
    if is_clocked && is_past(&params.time_unix_s, &index.timing(), index.now_s()) {
        return Err("the span that it was built for has passed");
    }
    if params.slots.end > index.slot_count() {
        return Err("the snapshot holds devices that this index lacks");
    }
    Ok(())
}

/// Whether a span of time has passed, with the time for late packets.
fn is_past(span: &Span, timing: &Timing, now_s: u64) -> bool {
    // The last span there is ends with time itself and never passes.
    let asked_until = span.end.checked_add(timing.before_s.into());
    !span.is_empty() && span.end < u64::MAX && asked_until.is_some_and(|end| end <= now_s)
}
