//! The judgement of one arrival: its admission, the new state of its slot, and the nonces whose
//! hints must be added.
//!
//! A slot is set to its new state only if the state is sound by the rule of its reader.

use std::ops::Range;
use std::sync::PoisonError;

use hintdex_wire::{Freshness, Nonce, NonceKind, REPLAY_WINDOW_NONCES, ReplayWindow};

use super::request::{Admission, Arrival, Reach};
use crate::index::LiveIndex;
use crate::naming::Naming;
use crate::params::Params;
use crate::records::{ScheduleRecord, SlotRow, SlotState, StateRecord, Unsound};
use crate::states::Shard;
use crate::time::{
    ClockMove, ClockedJudgement, ClockedSlot, ScheduledJudgement, ScheduledSlot, Sighting, Timing,
    in_step,
};

/// The result of judging an arrival, and the changes that follow from it.
pub(super) struct Judgement {
    pub(super) admission: Admission,
    /// Whether the slot's row must be stored.
    pub(super) changed: bool,
    /// Nonces of a counter whose hints must be added.
    pub(super) new_nonces: Range<Nonce>,
    /// The offset bounds of a clock that is off step: the windows lack its coming hints.
    pub(super) off_step: Option<(i64, i64)>,
    /// The rows of the slot's late window that must be stored.
    pub(super) late: LateChange,
}

/// What an accepted packet changes in the rows of its slot's late window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum LateChange {
    #[default]
    Nothing,
    /// These blocks.
    Blocks(Range<u64>),
    /// All rows: the slot had none before.
    Begun,
    /// All rows, and the former ones are deleted: the setting has changed.
    Replaced,
}

impl Judgement {
    pub(super) const fn refused(admission: Admission) -> Self {
        let late = LateChange::Nothing;
        Self { admission, changed: false, new_nonces: 0..0, off_step: None, late }
    }
}

/// Whether a search for the arrival's device would have found the arrival's nonce.
pub(super) fn is_within(
    index: &LiveIndex,
    timing: &Timing,
    known: &SlotState,
    arrival: &Arrival<'_>,
    reach: Reach,
) -> bool {
    let received_s = index.station_time_s(arrival.received_unix_s);
    let expected = known.expected_nonces(&index.params, timing, &(received_s..=received_s));
    let nonce = arrival.nonce;
    if known.clock.is_some() {
        return expected.contains(&nonce) || nonce < reach.epoch_nonces;
    }
    let next = expected.start;
    let end = expected.end.max(next.saturating_add(reach.ahead_nonces));
    match index.params.ratchet.filter(|_| index.params.scheme.is_reversible()) {
        None => (next.saturating_sub(REPLAY_WINDOW_NONCES)..end).contains(&nonce),
        // The key of an epoch finds all its nonces.
        Some(bits) => {
            let epochs = [index.oldest_nonce(arrival.key, next), end.saturating_sub(1).max(next)];
            let [first, last] = epochs.map(|nonce| bits.epoch_of(nonce));
            (first..=last).contains(&bits.epoch_of(nonce))
        }
    }
}

/// Judges the nonce of a counter, and advances the slot at `place` from `state`.
///
/// # Errors
/// Why the new state is not sound; the slot is not changed then.
pub(super) fn judge_counter(
    params: &Params,
    shard: &mut Shard,
    place: usize,
    mut state: StateRecord,
    nonce: Nonce,
    received_s: u64,
) -> Result<Judgement, Unsound> {
    let mut window = state.window();
    match window.admit(nonce) {
        Freshness::Replay => return Ok(Judgement::refused(Admission::Replay)),
        Freshness::Stale => return Ok(Judgement::refused(Admission::Stale)),
        Freshness::Fresh => {}
    }
    let live_end = state.live_end(params, window.next().saturating_sub(1));
    let new_nonces = advance_counter(params, &mut state, &window, live_end);
    state.set_heard(received_s);
    state.check(params.max_nonce())?;
    shard.set_state(place, state);
    Ok(Judgement { changed: true, new_nonces, ..Judgement::refused(Admission::Accepted) })
}

/// Advances a state to `window` and extends its live hints, which ended at `live_end`, to the
/// lookahead. Returns the nonces whose hints the index lacks.
///
/// A late packet adds no nonces, and packets near the last nonce add fewer.
pub(super) fn advance_counter(
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

/// [`advance_counter`] for clocked nonces.
fn advance_clocked(
    params: &Params,
    state: &mut StateRecord,
    window: &ReplayWindow,
    judged: ClockedJudgement,
) -> Range<Nonce> {
    match (params.nonces, judged) {
        // A new session: none of the hints that were live are.
        (NonceKind::DayCounter, ClockedJudgement::Moved) => {
            advance_counter(params, state, window, 0)
        }
        (NonceKind::DayCounter, _) => {
            let live_end = state.live_end(params, window.next().saturating_sub(1));
            advance_counter(params, state, window, live_end)
        }
        _ => {
            state.advance(window, 0, params.max_nonce());
            0..0
        }
    }
}

/// Judges a clocked nonce, and advances the slot at `place` from `row`.
///
/// # Errors
/// Why the new row is not sound; the slot is not changed then.
pub(super) fn judge_clocked(
    index: &LiveIndex,
    timing: &Timing,
    shard: &mut Shard,
    place: usize,
    mut row: SlotRow,
    arrival: &Arrival<'_>,
) -> Result<Judgement, Unsound> {
    let (params, kind) = (&index.params, index.params.nonces);
    let now_s = index.station_time_s(arrival.received_unix_s);
    let waited = (row.pending.len(), row.pending.last().copied());
    let SlotRow { known, past, late, pending, .. } = &mut row;
    let Some(record) = &mut known.clock else { return Err("it lacks a clock") };
    let mut window = known.state.window();
    let mut clock = record.clock();
    let before_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    let mut session_first = record.session_first.get();
    let judged = ClockedSlot {
        window: &mut window,
        session_first: &mut session_first,
        clock: &mut clock,
        past,
        late,
        pending,
    }
    .judge(kind, timing, arrival.nonce, now_s);
    let is_off_step = match judged {
        ClockedJudgement::Accepted { off_step } => off_step,
        ClockedJudgement::Moved => true,
        refused => {
            let admission = match refused {
                ClockedJudgement::Replay => Admission::Replay,
                ClockedJudgement::Early => Admission::Early,
                _ => Admission::Stale,
            };
            // A packet that became pending is stored: the station may stop before the second one.
            let changed = (row.pending.len(), row.pending.last().copied()) != waited;
            row.check(params)?;
            shard.set_row(place, row);
            return Ok(Judgement { changed, ..Judgement::refused(admission) });
        }
    };
    let now_at_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    record.set_clock(&clock);
    record.session_first = session_first.into();
    let new_nonces = advance_clocked(params, &mut known.state, &window, judged);
    row.check(params)?;
    shard.set_row(place, row);
    if judged == ClockedJudgement::Moved {
        let moved = ClockMove {
            slot: arrival.slot,
            nonce: arrival.nonce,
            received_unix_s: now_s,
            from_s: midpoint(before_s),
            to_s: midpoint(now_at_s),
        };
        index.clock_moves.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
    }
    // Every window already holds the hints of a device that stays in step.
    let stays =
        judged != ClockedJudgement::Moved && in_step(now_at_s, timing) && in_step(before_s, timing);
    let off_step = (is_off_step && !stays).then_some(now_at_s);
    let accepted = Judgement::refused(Admission::Accepted);
    Ok(Judgement { changed: true, new_nonces, off_step, ..accepted })
}

/// Judges the nonce of a packet of a schedule, and advances the slot at `place`.
///
/// # Errors
/// Why the new row is not sound; the slot is not changed then.
pub(super) fn judge_scheduled(
    params: &Params,
    shard: &mut Shard,
    place: usize,
    nonce: Nonce,
    seen: Sighting,
) -> Result<Judgement, Unsound> {
    let Naming::Schedule { tolerance, .. } = params.naming else {
        return Err("it has the clock of a schedule, and packets have hints");
    };
    let mut row = shard.row(place).ok_or("there is no such slot")?;
    let waited = row.pending.last().copied();
    let SlotRow { known, pending, .. } = &mut row;
    let mut window = known.state.window();
    let mut clock = known.schedule.and_then(|record| record.clock());
    let mut slot = ScheduledSlot { window: &mut window, clock: &mut clock, pending };
    let judged = slot.judge(nonce, seen, tolerance);
    let admission = match judged {
        ScheduledJudgement::Accepted => Admission::Accepted,
        ScheduledJudgement::Replay => Admission::Replay,
        ScheduledJudgement::Stale => Admission::Stale,
        ScheduledJudgement::Early => Admission::Early,
    };
    let is_accepted = admission == Admission::Accepted;
    if is_accepted {
        known.schedule = Some(ScheduleRecord::of(clock.as_ref()));
        known.state.advance(&window, 0, params.max_nonce());
        known.state.set_heard(seen.received_ms / 1000);
    }
    // A packet that became pending is stored: the station may stop before the second one.
    let changed = is_accepted || row.pending.last().copied() != waited;
    row.check(params)?;
    shard.set_row(place, row);
    Ok(Judgement { changed, ..Judgement::refused(admission) })
}

/// The midpoint of an interval of offsets.
const fn midpoint((low_s, high_s): (i64, i64)) -> i64 {
    low_s.saturating_add(high_s.saturating_sub(low_s) / 2)
}
