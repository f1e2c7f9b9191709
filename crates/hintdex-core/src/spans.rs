//! Windows of time: built before they begin, dropped whole when they have passed.
//!
//! Each step is one synced batch, and a crash between any two leaves a state that the
//! next one goes on from: a family without a record is removed at opening, a record
//! whose time has passed at the next [`keep_spans`](LiveIndex::keep_spans).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::held::{LeftTo, SnapshotId};
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{ADDED_KEY_PREFIX, META_FAMILY, WINDOW_KEY_PREFIX, epoch_key};
use crate::roll::Plan;
use crate::time::Span;
use crate::window::Window;

/// The longest time a window is for: a step of a second has 31 million nonces in it.
const MOST_SPAN_S: u64 = 366 * 86_400;

impl LiveIndex {
    /// The spans of time whose windows are missing or damaged, the present one first: what
    /// [`keep_spans`](Self::keep_spans) would build. Empty where nonces tell no time,
    /// and before the first device.
    pub fn missing_spans(&self) -> Vec<Span> {
        if !self.params.nonces.tells_time() || self.slot_count() == 0 {
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
        !self.missing_spans().is_empty() || !self.passed().is_empty()
    }

    /// The spans whose windows are there, in order, each with the snapshot it is left to.
    pub fn spans(&self) -> Vec<(Span, Option<SnapshotId>)> {
        let declared = self.windows.declared();
        let left_to = |window: &Window| window.left_to.map(|left_to| left_to.snapshot);
        let spans = declared.iter();
        let mut spans: Vec<_> =
            spans.filter_map(|window| Some((window.span.clone()?, left_to(window)))).collect();
        spans.sort_unstable_by_key(|(span, _)| span.start);
        spans
    }

    /// Builds the windows that the present needs, drops those that have passed.
    ///
    /// Lookups and admissions go on meanwhile, and after a pause of any length, or a
    /// clock that was set, the same call brings the windows to the present. Costs some
    /// 50 ns a hint of each window built; `report` counts slots.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or what the store says; what was there stays then.
    pub fn keep_spans(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        for span in self.missing_spans() {
            self.open_span(span, report)?;
        }
        self.drop_passed()
    }

    /// Builds the window of a span, unless it is there and whole.
    ///
    /// # Errors
    /// [`Error::NotForThisIndex`] where nonces tell no time, and of a span that is empty or
    /// longer than a year; else those of [`keep_spans`](Self::keep_spans).
    pub fn open_span(&self, span: Span, report: Option<Report<'_>>) -> Result<(), Error> {
        self.open_span_as(span, report, |_| Ok(()))
    }

    /// Opens the window of a span, unless it is there, and leaves all of it to a snapshot:
    /// `make` builds that of what is [coming](Self::coming_nonces) in the span and gives
    /// its id. What changes meanwhile goes into the window, so that nothing is missed.
    /// Whoever opens the index later attaches the snapshot, or [closes](Self::close_span)
    /// the window.
    ///
    /// # Errors
    /// What `make` says, or what the store says.
    pub fn open_span_beside<E: From<Error> + Send>(
        &self,
        span: Span,
        report: Option<Report<'_>>,
        make: impl FnOnce() -> Result<SnapshotId, E> + Send,
    ) -> Result<(), E> {
        self.open_span_as(span, report, |plan| {
            let slots = plan.fleet.slot_count();
            plan.left_to = Some(LeftTo { snapshot: make()?, slots, horizon_nonces: u32::MAX });
            Ok(())
        })
    }

    fn open_span_as<E: From<Error> + Send>(
        &self,
        span: Span,
        report: Option<Report<'_>>,
        prepare: impl FnOnce(&mut Plan<'_>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let refused = |why| Error::NotForThisIndex { call: "opening the window of a span", why };
        if !self.params.nonces.tells_time() {
            return Err(refused("nonces of this index tell no time; roll it").into());
        }
        if span.is_empty() || span.end - span.start > MOST_SPAN_S {
            return Err(refused("a span is 1 second to 366 days long").into());
        }
        self.maintain(|| {
            let declared = self.windows.declared();
            let of_span = || declared.iter().filter(|window| window.span.as_ref() == Some(&span));
            if of_span().any(|window| !window.is_damaged()) {
                return Ok(());
            }
            let replaced = of_span().map(|window| window.epoch).collect();
            let (fleet, span) = (self.fleet(), Some(span.clone()));
            let (held, left_to, may_go_on) = (None, None, false);
            let plan = Plan { fleet: &fleet, span, held, left_to, replaced, may_go_on };
            self.open_window(plan, WriteBatch::default(), report, prepare)?;
            self.count_roll();
            Ok(())
        })
    }

    /// Drops the windows that have passed. An index that was alone with them for long
    /// has its next ones built first.
    ///
    /// # Errors
    /// What the store says.
    pub fn drop_passed(&self) -> Result<(), Error> {
        self.maintain(|| self.drop_windows(&self.passed()))
    }

    /// Drops the window of a span: what it holds is scanned for until it is built again.
    ///
    /// # Errors
    /// What the store says.
    pub fn close_span(&self, span: &Span) -> Result<(), Error> {
        self.maintain(|| {
            let declared = self.windows.declared();
            let of_span = declared.iter().filter(|window| window.span.as_ref() == Some(span));
            self.drop_windows(&of_span.map(|window| window.epoch).collect::<Vec<u32>>())
        })
    }

    /// The epochs of windows whose time has passed, or lies in a future that a clock
    /// which was set back has left behind.
    fn passed(&self) -> Vec<u32> {
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
        let gone = self.windows.alone().replace(epochs, None);
        gone.into_iter().try_for_each(|window| self.store.drop_window(&window.family))
    }

    /// Notes in the windows' records that they hold the slots of a grown fleet, too.
    pub(crate) fn note_slots(&self, batch: &mut WriteBatch, slots: u32) -> Result<(), Error> {
        let meta = self.store.family(META_FAMILY)?;
        for window in self.windows.declared().iter() {
            window.slots.store(slots, Ordering::Relaxed);
            let record = window.record();
            record
                .check(slots, self.params.nonces.tells_time())
                .map_err(|why| Error::unsound("a window record", why))?;
            batch.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        }
        Ok(())
    }
}
