//! Windows of time: built before they begin, dropped whole when they have passed.
//!
//! Each step is one synced batch, and a crash between two steps leaves a state from which the
//! next step continues. The next opening removes a family without a record. The next
//! [`keep_spans`](LiveIndex::keep_spans) removes a record whose time has passed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::coverage::{LeanRecord, SnapshotId};
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{ADDED_KEY_PREFIX, META_FAMILY, WINDOW_KEY_PREFIX, epoch_key};
use crate::roll::WindowPlan;
use crate::time::Span;
use crate::window::Window;

/// The longest span of a window: a step of one second has 31 million nonces in it.
const MAX_SPAN_S: u64 = 366 * 86_400;

impl LiveIndex {
    /// The spans whose windows are missing or damaged, the present one first:
    /// [`keep_spans`](Self::keep_spans) would build them. Empty for counters, and before the
    /// first device.
    pub fn missing_spans(&self) -> Vec<Span> {
        if !self.params.nonces.is_clocked() || self.slot_count() == 0 {
            return Vec::new();
        }
        let declared = self.windows.declared();
        let mut needed = self.timing().needed_at(self.now_s());
        needed.retain(|span| {
            let is_there = |window: &Arc<Window>| window.span.as_ref() == Some(span);
            !declared.iter().any(|window| is_there(window) && !window.is_damaged())
        });
        needed
    }

    /// Whether a window is missing or has passed.
    pub fn is_span_due(&self) -> bool {
        !self.missing_spans().is_empty() || !self.passed_epochs().is_empty()
    }

    /// The spans of the windows, in order, each with the snapshot of a lean window.
    pub fn spans(&self) -> Vec<(Span, Option<SnapshotId>)> {
        let declared = self.windows.declared();
        let lean = |window: &Window| window.lean.map(|lean| lean.snapshot);
        let spans = declared.iter();
        let mut spans: Vec<_> =
            spans.filter_map(|window| Some((window.span.clone()?, lean(window)))).collect();
        spans.sort_unstable_by_key(|(span, _)| span.start);
        spans
    }

    /// Builds the windows that the present needs and drops those that have passed.
    ///
    /// Lookups and admissions go on meanwhile. After a pause of any length, or after the clock
    /// was set, the same call brings the windows to the present. Costs about 50 ns a hint of
    /// each window built; `report` counts slots.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or those of the store. After an error the old windows are in use.
    pub fn keep_spans(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        for span in self.missing_spans() {
            self.open_span(span, report)?;
        }
        self.drop_passed()
    }

    /// Builds the window of a span, unless there is a sound one.
    ///
    /// # Errors
    /// [`Error::NotForThisIndex`] for counters, and for a span that is empty or longer than a
    /// year; else those of [`keep_spans`](Self::keep_spans).
    pub fn open_span(&self, span: Span, report: Option<Report<'_>>) -> Result<(), Error> {
        self.open_span_with(span, report, |_| Ok(()))
    }

    /// Opens a lean window of a span, unless there is one, whose hints a snapshot holds.
    ///
    /// `build` builds the snapshot from the [coming nonces](crate::FleetView::coming_nonces) of the span and
    /// returns its id. Changes during the build go into the window, so no hint is lost. A
    /// caller that opens the index later attaches the snapshot, or
    /// [closes](Self::close_span) the window.
    ///
    /// # Errors
    /// Those of `build`, or those of the store.
    pub fn open_span_lean<E: From<Error> + Send>(
        &self,
        span: Span,
        report: Option<Report<'_>>,
        build: impl FnOnce() -> Result<SnapshotId, E> + Send,
    ) -> Result<(), E> {
        self.open_span_with(span, report, |plan| {
            let slots = plan.fleet.slot_count();
            plan.lean = Some(LeanRecord::of_span(build()?, slots));
            Ok(())
        })
    }

    fn open_span_with<E: From<Error> + Send>(
        &self,
        span: Span,
        report: Option<Report<'_>>,
        prepare: impl FnOnce(&mut WindowPlan<'_>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let refused = |why| Error::NotForThisIndex { call: "opening the window of a span", why };
        if !self.params.nonces.is_clocked() {
            return Err(refused("the nonces of this index are counters; roll it").into());
        }
        if span.is_empty() || span.end - span.start > MAX_SPAN_S {
            return Err(refused("a span must be 1 second to 366 days long").into());
        }
        self.maintain(|| {
            let declared = self.windows.declared();
            let of_span = || declared.iter().filter(|window| window.span.as_ref() == Some(&span));
            if of_span().any(|window| !window.is_damaged()) {
                return Ok(());
            }
            let replaced = of_span().map(|window| window.epoch).collect();
            let (fleet, span) = (self.fleet(), Some(span.clone()));
            let (coverage, lean, resumable) = (None, None, false);
            let mut plan = WindowPlan { fleet: &fleet, span, coverage, lean, replaced, resumable };
            self.open_window(&mut plan, WriteBatch::default(), report, prepare)?;
            self.count_roll();
            Ok(())
        })
    }

    /// Drops the windows that have passed. If the index was closed or idle for long, build the
    /// present ones first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn drop_passed(&self) -> Result<(), Error> {
        self.maintain(|| self.drop_windows(&self.passed_epochs()))
    }

    /// Drops the window of a span. Its hints are scanned for until it is rebuilt.
    ///
    /// # Errors
    /// Those of the store.
    pub fn close_span(&self, span: &Span) -> Result<(), Error> {
        self.maintain(|| {
            let declared = self.windows.declared();
            let of_span = declared.iter().filter(|window| window.span.as_ref() == Some(span));
            self.drop_windows(&of_span.map(|window| window.epoch).collect::<Vec<u32>>())
        })
    }

    /// The epochs of windows whose span has passed, or lies in a future that the clock left
    /// when it was set back.
    fn passed_epochs(&self) -> Vec<u32> {
        let (timing, now_s) = (self.timing(), self.now_s());
        let has_passed = |window: &&Arc<Window>| {
            window.span.as_ref().is_some_and(|span| !timing.is_kept(span, now_s))
        };
        self.windows.declared().iter().filter(has_passed).map(|window| window.epoch).collect()
    }

    fn drop_windows(&self, epochs: &[u32]) -> Result<(), Error> {
        if epochs.is_empty() {
            return Ok(());
        }
        let meta = self.store.family(META_FAMILY)?;
        let mut batch = WriteBatch::default();
        for epoch in epochs {
            batch.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, *epoch));
            batch.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, *epoch));
        }
        self.store.write_synced(batch)?;
        let gone = self.windows.write().replace(epochs, None);
        gone.into_iter().try_for_each(|window| self.store.drop_window(&window.family))
    }

    /// Puts the new number of slots into the windows' records.
    pub(crate) fn note_slots(&self, batch: &mut WriteBatch, slots: u32) -> Result<(), Error> {
        let meta = self.store.family(META_FAMILY)?;
        for window in self.windows.declared().iter() {
            window.slots.store(slots, Ordering::Relaxed);
            let record = window.record();
            record
                .check(slots, self.params.nonces.is_clocked())
                .map_err(|why| Error::unsound("a window record", why))?;
            batch.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        }
        Ok(())
    }
}
