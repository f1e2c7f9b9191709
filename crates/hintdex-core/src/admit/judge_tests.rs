//! What becomes of a slot with one packet, and which hints follow.

use std::sync::Arc;

use hintdex_wire::{
    DeviceId, HintKey, HintScheme, KeyId, MasterKey, Nonce, NonceKind, ReplayWindow, Slot, StepLen,
};
use tempfile::TempDir;

use super::judge::{is_within, judge_clocked, judge_counter};
use super::{Admission, Arrival, Reach};
use crate::index::LiveIndex;
use crate::options::Options;
use crate::params::Params;
use crate::records::{SlotRow, SlotState, StateRecord};
use crate::states::{ShardGuard, StateTable};
use crate::time::{MAX_PAST_SESSIONS, MAX_PENDING, Pending, Timing};

const NOW: u64 = 1_800_000_000;
const LAST: Nonce = u32::MAX as Nonce;
const DAY: NonceKind = NonceKind::DayCounter;

fn steps() -> NonceKind {
    NonceKind::Step(StepLen::new(60).expect("1 to 86,400"))
}

fn index(nonces: NonceKind) -> (LiveIndex, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let scheme = HintScheme::Aes128.for_nonces(nonces).expect("hints have room");
    let params = Params { scheme, nonces, ..Params::counters(scheme, 16) };
    let keys = Arc::new(MasterKey::new(&[7; 32]));
    let path = folder.path().join("index");
    (LiveIndex::create(&path, keys, params, &Options::default()).expect("a new index"), folder)
}

/// A table of one slot that was provisioned at `NOW`.
fn table(params: &Params) -> StateTable {
    let table = StateTable::new();
    table.grow(1, SlotState::fresh(params, NOW));
    table
}

fn shard(table: &StateTable) -> ShardGuard<'_> {
    table.shard(0).expect("the shard of slot 0")
}

fn arrival(key: &HintKey, nonce: Nonce, received_unix_s: u64) -> Arrival<'_> {
    Arrival {
        slot: Slot(0),
        key: KeyId::first(DeviceId(0)),
        nonce,
        hint_key: Some(key),
        received_unix_s,
    }
}

#[test]
fn a_counter_moves_its_slot_on_and_adds_the_hints_that_follow() {
    let params = Params::counters(HintScheme::Aes128, 16);
    let table = table(&params);
    let mut shard = shard(&table);
    let mut judge = |nonce| {
        let before = shard.get(0).expect("slot 0").state;
        let taken = judge_counter(&params, &mut shard, 0, before, nonce, 0).expect("a sound state");
        let after = shard.get(0).expect("slot 0").state;
        assert_eq!(taken.changed, taken.admission == Admission::Accepted);
        assert_eq!(after != before, taken.changed);
        assert!(taken.off_step.is_none());
        (taken.admission, taken.new_nonces, after.live_nonces())
    };
    let accepted = Admission::Accepted;
    assert_eq!(judge(0), (accepted, 16..17, 1..17));
    assert_eq!(judge(5), (accepted, 17..22, 6..22));
    assert_eq!(judge(5), (Admission::Replay, 0..0, 6..22));
    assert_eq!(judge(3), (accepted, 22..22, 6..22));
    assert_eq!(judge(3), (Admission::Replay, 0..0, 6..22));
    // Past the live hints: those that were skipped are not made.
    assert_eq!(judge(100), (accepted, 101..117, 101..117));
    assert_eq!(judge(36), (Admission::Stale, 0..0, 101..117));
    assert_eq!(judge(37), (accepted, 117..117, 101..117));
    assert_eq!(judge(LAST - 3), (accepted, LAST - 2..LAST + 1, LAST - 2..LAST + 1));
    assert_eq!(judge(LAST), (accepted, LAST + 1..LAST + 1, LAST + 1..LAST + 1));
}

#[test]
fn a_nonce_past_the_last_one_leaves_its_slot_as_it_was() {
    let params = Params::counters(HintScheme::Aes128, 16);
    let table = table(&params);
    let mut shard = shard(&table);
    let before = shard.get(0).expect("slot 0").state;
    assert!(judge_counter(&params, &mut shard, 0, before, LAST + 1, 0).is_err());
    assert_eq!(shard.get(0).map(|known| known.state), Some(before));
}

#[test]
fn a_nonce_is_within_reach_from_the_replay_window_to_the_nonces_ahead() {
    let (index, _folder) = index(NonceKind::Counter);
    let timing = Timing::of(NonceKind::Counter);
    let key = HintKey::from_bytes([1; 16]);
    let known = |next: Nonce| {
        let mut state = StateRecord::fresh(16);
        if next > 0 {
            state.advance(&ReplayWindow::from_parts(next, 1), next + 16, LAST);
        }
        SlotState { state, clock: None, schedule: None }
    };
    let within = |next: Nonce, ahead_nonces: u64, nonce: Nonce| {
        let reach = Reach { ahead_nonces, epoch_nonces: 1 << 40 };
        is_within(&index, &timing, &known(next), &arrival(&key, nonce, NOW), reach)
    };
    assert!(within(0, 100, 0) && within(0, 100, 99) && !within(0, 100, 100));
    // The live hints reach further.
    assert!(within(0, 4, 15) && !within(0, 4, 16));
    assert!(!within(1000, 4, 935) && within(1000, 4, 936) && within(1000, 4, 1015));
    assert!(!within(1000, 4, 1016) && within(1000, 20, 1019) && !within(1000, 20, 1020));
}

#[test]
fn a_clocked_nonce_is_within_reach_at_its_time_and_at_the_epoch() {
    let (index, _folder) = index(steps());
    let timing = Timing::of(steps());
    let key = HintKey::from_bytes([1; 16]);
    let known = SlotState::fresh(&index.params, NOW);
    let within = |epoch_nonces: u64, nonce: Nonce, at: u64| {
        let reach = Reach { ahead_nonces: 1 << 40, epoch_nonces };
        is_within(&index, &timing, &known, &arrival(&key, nonce, at), reach)
    };
    let step = NOW / 60;
    assert!(within(0, step, NOW) && within(0, step - 1, NOW) && within(0, step + 1, NOW));
    assert!(!within(0, step - 2, NOW) && !within(0, step + 2, NOW));
    assert!(within(0, step + 100, NOW + 6000) && !within(0, step, NOW + 6000));
    assert!(within(10, 9, NOW) && !within(10, 10, NOW));
}

/// Judges packets of slot 0, one after the other.
struct Judge {
    index: LiveIndex,
    timing: Timing,
    table: StateTable,
    key: HintKey,
    _folder: TempDir,
}

/// What came of a packet: the admission, whether the row changed, the nonces whose hints are
/// added, and where the clock is if its hints are not in the windows.
type Came = (Admission, bool, std::ops::Range<Nonce>, Option<(i64, i64)>);

impl Judge {
    fn new(nonces: NonceKind) -> Self {
        let (index, folder) = index(nonces);
        let (timing, table) = (Timing::of(nonces), table(&index.params));
        Self { index, timing, table, key: HintKey::from_bytes([1; 16]), _folder: folder }
    }

    fn row(&self) -> SlotRow {
        shard(&self.table).row(0).expect("slot 0")
    }

    fn judge(&self, nonce: Nonce, at: u64) -> Came {
        let (row, mut shard) = (self.row(), shard(&self.table));
        let arrival = arrival(&self.key, nonce, at);
        let taken = judge_clocked(&self.index, &self.timing, &mut shard, 0, row, &arrival);
        let taken = taken.expect("a sound row");
        (taken.admission, taken.changed, taken.new_nonces, taken.off_step)
    }

    /// Slot, nonce, time and clock before and after of each move since this was asked last.
    fn moves(&self) -> Vec<(u32, Nonce, u64, i64, i64)> {
        let mut moves = self.index.clock_moves.lock().expect("no panics");
        let of = |moved: super::ClockMove| {
            let super::ClockMove { slot, nonce, received_unix_s, from_s, to_s } = moved;
            (slot.0, nonce, received_unix_s, from_s, to_s)
        };
        moves.drain(..).map(of).collect()
    }
}

#[test]
fn a_packet_of_the_expected_step_adds_no_hints() {
    let judge = Judge::new(steps());
    let step = NOW / 60;
    let refused = |admission, changed| (admission, changed, 0..0, None);
    assert_eq!(judge.judge(step, NOW), (Admission::Accepted, true, 0..0, None));
    let row = judge.row();
    assert_eq!(
        (row.known.state.live_nonces(), row.known.state.next_nonce()),
        (step + 1..step + 1, step + 1)
    );
    assert_eq!(row.known.clock.map(|clock| clock.session_first.get()), Some(step));
    assert_eq!(row.known.clock.map(|clock| clock.heard_unix_s.get()), Some(NOW));
    assert_eq!(judge.judge(step, NOW + 1), refused(Admission::Replay, false));
    assert_eq!(judge.judge(step - 100, NOW + 1), refused(Admission::Stale, true));
    assert_eq!(judge.judge(step + 100, NOW + 1), refused(Admission::Early, true));
    // The same packets again wait already.
    assert_eq!(judge.judge(step - 100, NOW + 2), refused(Admission::Stale, false));
    assert_eq!(judge.row().pending.len(), 2);
    for more in 1..=2 {
        assert_eq!(judge.judge(step + 200 * more, NOW + 2), refused(Admission::Early, true));
    }
    // One more takes the place of the oldest: as many wait, and the row has changed.
    assert_eq!(judge.row().pending.len(), 4);
    assert_eq!(judge.judge(step + 999, NOW + 2), refused(Admission::Early, true));
    assert_eq!((judge.row().pending.len(), judge.moves()), (4, vec![]));
}

#[test]
fn two_packets_that_agree_move_a_clock_and_are_reported() {
    let judge = Judge::new(steps());
    let step = NOW / 60;
    assert_eq!(judge.judge(step, NOW).0, Admission::Accepted);
    // Ten hours ahead.
    let ahead = step + 600;
    assert_eq!(judge.judge(ahead, NOW + 60).0, Admission::Early);
    let (admission, changed, counted, elsewhere) = judge.judge(ahead + 1, NOW + 120);
    assert_eq!((admission, changed, counted), (Admission::Accepted, true, 0..0));
    // The clock showed the step that begins 600 steps and 60 s after NOW; NOW begins one.
    let (low_s, high_s) = (36_000 - 60 - 1, 36_000 + 3);
    assert_eq!(elsewhere, Some((low_s, high_s)));
    assert_eq!(judge.moves(), [(0, ahead + 1, NOW + 120, 0, low_s + (high_s - low_s) / 2)]);
    assert_eq!(judge.row().past, std::slice::from_ref(&(step..step + 1)));
    assert_eq!(judge.row().known.clock.map(|clock| clock.session_first.get()), Some(ahead + 1));
    // It goes on there; its windows hold its hints by now.
    let (admission, _, _, elsewhere) = judge.judge(ahead + 2, NOW + 180);
    assert_eq!((admission, elsewhere), (Admission::Accepted, None));
    assert_eq!(judge.moves(), []);
}

/// The nonces of two packets are as far apart as the packets, but for a step, the tolerance
/// and the drift.
#[test]
fn two_packets_agree_up_to_the_tolerance() {
    let step = NOW / 60 + 10_000;
    let is_moved = |first_s: u64, second_s: u64, steps_apart: u64| {
        let judge = Judge::new(steps());
        assert_eq!(judge.judge(step, NOW + first_s).0, Admission::Early);
        let (admission, _, _, _) = judge.judge(step + steps_apart, NOW + second_s);
        assert_eq!(admission == Admission::Accepted, judge.moves().len() == 1);
        admission == Admission::Accepted
    };
    // 600 s are ten steps: two more or less are within a step and a minute.
    let agreed = |apart| is_moved(0, 600, apart);
    assert_eq!([7, 8, 12, 13].map(agreed), [false, true, true, false]);
    // Nor does a packet agree with one that was received after it, or with itself.
    assert!(is_moved(0, 0, 1) && !is_moved(0, 0, 0) && !is_moved(60, 0, 1));
    // 1499 s of drift in 166,666 steps are 24 steps more.
    let (elapsed_s, apart) = (9_999_960, 166_666);
    let agreed = |more: i64| is_moved(0, elapsed_s, u64::saturating_add_signed(apart, more));
    assert_eq!([-27, -26, 26, 27].map(agreed), [false, true, true, false]);
}

#[test]
fn a_day_s_counter_adds_the_hints_that_follow_in_its_day() {
    let judge = Judge::new(DAY);
    let accepted = |counted| (Admission::Accepted, true, counted, None);
    let noon = NOW / 86_400 * 86_400 + 43_200;
    let day = DAY.first_of(noon / 86_400);
    // The first sixteen of a day are in its window.
    assert_eq!(judge.judge(day + 2, noon), accepted(day + 16..day + 19));
    assert_eq!(judge.judge(day + 4, noon), accepted(day + 19..day + 21));
    assert_eq!(judge.judge(day + 3, noon), accepted(day + 21..day + 21));
    let next = day + (1 << 32);
    assert_eq!(judge.judge(next, noon + 86_400), accepted(next + 16..next + 17));
    assert_eq!(judge.row().known.state.live_nonces(), next + 1..next + 17);
    // Another life: no hint of it is in the index.
    let far = day + (100 << 32);
    assert_eq!(judge.judge(far + 5, noon + 86_400).0, Admission::Early);
    let (admission, _, counted, elsewhere) = judge.judge(far + 6, noon + 86_460);
    assert_eq!((admission, counted), (Admission::Accepted, far + 7..far + 23));
    assert!(elsewhere.is_some());
    assert_eq!(judge.moves().len(), 1);
}

/// The late window after a day of silence is that of this day, and empty.
#[test]
fn a_day_of_silence_has_an_empty_late_window() {
    let judge = Judge::new(DAY);
    let noon = NOW / 86_400 * 86_400 + 43_200;
    let day = DAY.first_of(noon / 86_400);
    assert_eq!(judge.judge(day + 2, noon).0, Admission::Accepted);
    assert_eq!(judge.row().late, Some(ReplayWindow::from_parts(day - (1 << 32), 0)));
    assert_eq!(judge.judge(day + (2 << 32), noon + 2 * 86_400).0, Admission::Accepted);
    assert_eq!(judge.row().late, Some(ReplayWindow::from_parts(day + (1 << 32), 0)));
    assert_eq!(judge.judge(day + (3 << 32), noon + 3 * 86_400).0, Admission::Accepted);
    assert_eq!(judge.row().late, Some(ReplayWindow::from_parts(day + (2 << 32) + 1, 1)));
}

#[test]
fn a_row_that_would_not_be_sound_leaves_its_slot_as_it_was() {
    let judge = Judge::new(steps());
    let before = judge.row();
    let is_refused = |row: SlotRow, nonce: Nonce| {
        let arrival = arrival(&judge.key, nonce, NOW);
        let mut shard = shard(&judge.table);
        judge_clocked(&judge.index, &judge.timing, &mut shard, 0, row, &arrival).is_err()
    };
    let step = NOW / 60;
    // It has no clock.
    assert!(is_refused(SlotRow::of(SlotState { clock: None, ..before.known }), step));
    // More packets wait than a row can have, and more lives are past.
    let mut waiting = before.clone();
    waiting.pending = vec![Pending { nonce: 7, received_s: NOW }; MAX_PENDING + 1];
    assert!(is_refused(waiting, step + 100));
    let mut lived = before.clone();
    lived.past = (0..=MAX_PAST_SESSIONS as Nonce).map(|at| 10 * at..10 * at + 1).collect();
    assert!(is_refused(lived, step));
    assert_eq!(judge.row(), before);
}

/// A receiver whose clock was never set stamps packets with 1970: they count as of the time
/// at which the index was made.
#[test]
fn a_time_before_the_index_was_made_is_taken_for_that_time() {
    let judge = Judge::new(steps());
    let made = judge.index.created_unix_s();
    let known = SlotState::fresh(&judge.index.params, made);
    let within = |nonce: Nonce, at: u64| {
        let reach = Reach { ahead_nonces: 0, epoch_nonces: 0 };
        let arrival = arrival(&judge.key, nonce, at);
        is_within(&judge.index, &judge.timing, &known, &arrival, reach)
    };
    assert!(within(made / 60, 17) && !within(0, 17));
}
