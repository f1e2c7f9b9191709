//! Judging one arrival: what becomes of its slot, and which hints that adds.
//!
//! A slot is set to its new state only if that passes the rule of its reader.

use std::ops::Range;
use std::sync::PoisonError;

use hintdex_wire::{Freshness, Nonce, NonceKind, REPLAY_WINDOW_NONCES, ReplayWindow};

use super::{Admission, Arrival, ClockMove, Reach};
use crate::index::LiveIndex;
use crate::params::Params;
use crate::records::{SlotRow, SlotState, StateRecord, Unsound};
use crate::states::Shard;
use crate::time::{Judged, SlotTime, Timing, in_step};

/// What a judged arrival asks for.
pub(super) struct Taken {
    pub(super) admission: Admission,
    /// Whether there is a row to store.
    pub(super) changed: bool,
    /// New nonces that follow from a counter.
    pub(super) counted: Range<Nonce>,
    /// Where the device's clock is, if its coming hints are not in the windows.
    pub(super) elsewhere: Option<(i64, i64)>,
}

impl Taken {
    const fn refused(admission: Admission) -> Self {
        Self { admission, changed: false, counted: 0..0, elsewhere: None }
    }
}

/// Whether the nonce of an arrival is where a search for its device would have gone.
pub(super) fn is_within(
    index: &LiveIndex,
    timing: &Timing,
    known: &SlotState,
    arrival: &Arrival<'_>,
    reach: Reach,
) -> bool {
    let received_s = index.believed_s(arrival.received_unix_s);
    let expected = index.params.expected(known, timing, &(received_s..=received_s));
    let nonce = arrival.nonce;
    if known.clock.is_some() {
        return expected.contains(&nonce) || nonce < reach.epoch_nonces;
    }
    let next = expected.start;
    let first = next.saturating_sub(REPLAY_WINDOW_NONCES);
    (first..expected.end.max(next.saturating_add(reach.ahead_nonces))).contains(&nonce)
}

/// Judges the nonce of a counter, and moves the slot at `place` on from `state`.
///
/// # Errors
/// Why the new state is not sound; the slot stays as it was.
pub(super) fn judge_counter(
    params: &Params,
    shard: &mut Shard,
    place: usize,
    mut state: StateRecord,
    nonce: Nonce,
) -> Result<Taken, Unsound> {
    let mut window = state.window();
    match window.admit(nonce) {
        Freshness::Replay => return Ok(Taken::refused(Admission::Replay)),
        Freshness::Stale => return Ok(Taken::refused(Admission::Stale)),
        Freshness::Fresh => {}
    }
    let live_end = params.live_end(&state, window.next().saturating_sub(1));
    let counted = count_on(params, &mut state, &window, live_end);
    state.check(params.max_nonce())?;
    shard.set_state(place, state);
    Ok(Taken { admission: Admission::Accepted, changed: true, counted, elsewhere: None })
}

/// Moves a state on to `window`, whose hints were live up to `live_end`, and lets the live
/// hints reach the lookahead ahead; returns the nonces whose hints the index lacks.
///
/// Nothing new is made for a late packet, and less and less near the last nonce.
fn count_on(
    params: &Params,
    state: &mut StateRecord,
    window: &ReplayWindow,
    live_end: Nonce,
) -> Range<Nonce> {
    let max_nonce = params.max_nonce();
    let end = window.next().saturating_add(params.lookahead.into()).max(live_end);
    state.advance(window, end, max_nonce);
    live_end.max(window.next())..state.live_nonces().end
}

/// [`count_on`] where nonces tell time.
fn count_on_clocked(
    params: &Params,
    state: &mut StateRecord,
    window: &ReplayWindow,
    judged: Judged,
) -> Range<Nonce> {
    match (params.nonces, judged) {
        // Another life: no hint that was live is.
        (NonceKind::DayCounter, Judged::Moved) => count_on(params, state, window, 0),
        (NonceKind::DayCounter, _) => {
            let live_end = params.live_end(state, window.next().saturating_sub(1));
            count_on(params, state, window, live_end)
        }
        _ => {
            state.advance(window, 0, params.max_nonce());
            0..0
        }
    }
}

/// Judges a nonce that tells time, and moves the slot at `place` on from `row`.
///
/// # Errors
/// Why the new row is not sound; the slot stays as it was.
pub(super) fn judge_clocked(
    index: &LiveIndex,
    timing: &Timing,
    shard: &mut Shard,
    place: usize,
    mut row: SlotRow,
    arrival: &Arrival<'_>,
) -> Result<Taken, Unsound> {
    let (params, kind) = (&index.params, index.params.nonces);
    let now_s = index.believed_s(arrival.received_unix_s);
    let waited = (row.pending.len(), row.pending.last().copied());
    let SlotRow { known, past, late, pending } = &mut row;
    let Some(record) = &mut known.clock else { return Err("it has no clock") };
    let mut window = known.state.window();
    let mut clock = record.clock();
    let before_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    let mut life_first = record.life_first.get();
    let judged = SlotTime {
        window: &mut window,
        life_first: &mut life_first,
        clock: &mut clock,
        past,
        late,
        pending,
    }
    .judge(kind, timing, arrival.nonce, now_s);
    let is_elsewhere = match judged {
        Judged::Accepted { elsewhere } => elsewhere,
        Judged::Moved => true,
        refused => {
            let admission = match refused {
                Judged::Replay => Admission::Replay,
                Judged::Early => Admission::Early,
                _ => Admission::Stale,
            };
            // A packet that waits for another is stored, too: the station may be off in between.
            let changed = (row.pending.len(), row.pending.last().copied()) != waited;
            row.check(params)?;
            shard.set_row(place, row);
            return Ok(Taken { changed, ..Taken::refused(admission) });
        }
    };
    let now_at_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    record.set_clock(&clock);
    record.life_first = life_first.into();
    let counted = count_on_clocked(params, &mut known.state, &window, judged);
    row.check(params)?;
    shard.set_row(place, row);
    if judged == Judged::Moved {
        let moved = ClockMove {
            slot: arrival.slot,
            nonce: arrival.nonce,
            received_unix_s: now_s,
            from_s: middle(before_s),
            to_s: middle(now_at_s),
        };
        index.clock_moves.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
    }
    // A device that stays in step has its hints in every window already.
    let stays = judged != Judged::Moved && in_step(now_at_s, timing) && in_step(before_s, timing);
    let elsewhere = (is_elsewhere && !stays).then_some(now_at_s);
    Ok(Taken { admission: Admission::Accepted, changed: true, counted, elsewhere })
}

/// The middle of an interval.
const fn middle((low_s, high_s): (i64, i64)) -> i64 {
    low_s.saturating_add(high_s.saturating_sub(low_s) / 2)
}
