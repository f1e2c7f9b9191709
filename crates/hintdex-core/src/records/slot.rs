//! The row of a slot: its state, and for clocked nonces its clock and the records behind it.

use hintdex_wire::{NonceKind, ReplayWindow};
use smallvec::SmallVec;
use zerocopy::little_endian::{I32, I64, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use super::schedule::ScheduleRecord;
use super::state::{StateRecord, is_seen_sound};
use crate::params::Params;
use crate::time::{
    Anchor, DeviceClock, MAX_PAST_SESSIONS, MAX_PENDING, Pending, Session, late_unit,
};

/// The clock of a slot, behind its [`StateRecord`]; present for clocked nonces. Then follow a
/// [`SessionRecord`] for each past session, and a [`LateRecord`] if there is one. Last come
/// [`PendingRecord`]s, also of counters. An [`EndRecord`] is the last one if the state says so.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct ClockRecord {
    pub(crate) heard_unix_s: U64,
    pub(crate) offset_low_s: I64,
    pub(crate) offset_width_s: U32,
    /// The age of the older observation when the slot was last heard, plus one; 0 for none.
    pub(crate) anchor_age_s: U32,
    /// The older observation's lowest offset, less `offset_low_s`.
    pub(crate) anchor_low_s: I32,
    pub(crate) anchor_width_s: U32,
    pub(crate) session_first: U64,
}

/// The spent nonces of a past session.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SessionRecord {
    first: U64,
    end: U64,
}

/// The late window: the replay window of the unit before the present one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LateRecord {
    next_nonce: U64,
    seen: U64,
}

/// A packet of a slot that waits for a second one that agrees.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PendingRecord {
    nonce: U64,
    received_unix_s: U64,
}

/// The time at which a slot retires, because its device has a newer key in use.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct EndRecord {
    end_unix_s: U64,
}

impl ClockRecord {
    /// The clock of a slot that has sent nothing since it was provisioned.
    pub(crate) fn fresh(provisioned_unix_s: u64) -> Self {
        let mut record = Self::new_zeroed();
        record.heard_unix_s = provisioned_unix_s.into();
        record
    }

    pub(crate) fn clock(&self) -> DeviceClock {
        let low_s = self.offset_low_s.get();
        let heard_s = self.heard_unix_s.get();
        let anchor = self.anchor_age_s.get().checked_sub(1).map(|age_s| {
            let low_s = low_s.saturating_add(self.anchor_low_s.get().into());
            let at_s = heard_s.saturating_sub(age_s.into());
            Anchor { at_s, low_s, high_s: low_s.saturating_add(self.anchor_width_s.get().into()) }
        });
        let high_s = low_s.saturating_add(self.offset_width_s.get().into());
        DeviceClock { heard_s, low_s, high_s, anchor }
    }

    /// Stores a clock. An older observation that is out of the fields' range is dropped.
    pub(crate) fn set_clock(&mut self, clock: &DeviceClock) {
        let width = |low_s: i64, high_s: i64| u32::try_from(high_s.saturating_sub(low_s)).ok();
        self.heard_unix_s = clock.heard_s.into();
        self.offset_low_s = clock.low_s.into();
        self.offset_width_s = width(clock.low_s, clock.high_s).unwrap_or(u32::MAX).into();
        let anchor = clock.anchor.and_then(|anchor| {
            let age_s = u32::try_from(clock.heard_s.checked_sub(anchor.at_s)?).ok()?;
            let low_s = i32::try_from(anchor.low_s.checked_sub(clock.low_s)?).ok()?;
            Some((age_s.checked_add(1)?, low_s, width(anchor.low_s, anchor.high_s)?))
        });
        let (age_s, low_s, width_s) = anchor.unwrap_or_default();
        self.anchor_age_s = age_s.into();
        self.anchor_low_s = low_s.into();
        self.anchor_width_s = width_s.into();
    }
}

/// The state of a slot, and its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotState {
    pub(crate) state: StateRecord,
    /// `None` for counters.
    pub(crate) clock: Option<ClockRecord>,
    /// `None` unless packets follow a schedule.
    pub(crate) schedule: Option<ScheduleRecord>,
}

/// The bytes of a slot's row. A row without past sessions and pending packets needs no
/// allocation.
pub(crate) type Row = SmallVec<[u8; 96]>;

/// The whole row of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotRow {
    pub(crate) known: SlotState,
    /// The past sessions, in the order of nonces.
    pub(crate) past: Vec<Session>,
    /// The late window, while packets of the unit before the present one may arrive.
    pub(crate) late: Option<ReplayWindow>,
    /// Packets that wait for a second one that agrees, the oldest first.
    pub(crate) pending: Vec<Pending>,
    /// The time at which the slot retires, in seconds since 1970.
    pub(crate) end_unix_s: Option<u64>,
}

impl SlotState {
    /// The state of a slot that was provisioned at `unix_s`, in seconds since 1970, and has
    /// sent nothing yet.
    pub(crate) fn fresh(params: &Params, unix_s: u64) -> Self {
        // The live hints of time steps follow from the clock alone.
        let lookahead =
            if matches!(params.nonces, NonceKind::Step(_)) { 0 } else { params.lookahead };
        let clock = params.nonces.is_clocked().then(|| ClockRecord::fresh(unix_s));
        let schedule = params.naming.is_schedule().then(|| ScheduleRecord::of(None));
        Self { state: StateRecord::fresh(lookahead), clock, schedule }
    }
}

impl SlotRow {
    /// The row of a slot without past sessions, late window and pending packets.
    pub(crate) const fn of(known: SlotState) -> Self {
        Self { known, past: Vec::new(), late: None, pending: Vec::new(), end_unix_s: None }
    }

    /// Retires the slot, and revokes its key if `revokes`.
    pub(crate) const fn retire(&mut self, revokes: bool) {
        self.end_unix_s = None;
        if revokes { self.known.state.revoke() } else { self.known.state.retire() }
    }

    /// Lets the slot retire at a time, or earlier if it was to retire earlier.
    pub(crate) fn end_at(&mut self, unix_s: u64) {
        let end_unix_s = self.end_unix_s.map_or(unix_s, |earlier| earlier.min(unix_s));
        self.end_unix_s = Some(end_unix_s);
        self.known.state.set_ends(true);
    }

    /// Reads a row.
    ///
    /// # Errors
    /// Why the row is not sound.
    pub(crate) fn read(bytes: &[u8], params: &Params) -> Result<Self, Unsound> {
        const SHORT: Unsound = "it ends too early";
        let (mut state, rest) = StateRecord::read_from_prefix(bytes).map_err(|_| SHORT)?;
        let (rest, end_unix_s) = match rest.len().checked_sub(size_of::<EndRecord>()) {
            _ if !state.ends() => (rest, None),
            None => return Err(SHORT),
            Some(len) => {
                let (rest, end) = rest.split_at(len);
                let end = EndRecord::read_from_bytes(end).map_err(|_| SHORT)?;
                (rest, Some(end.end_unix_s.get()))
            }
        };
        if !params.nonces.is_clocked() {
            let (schedule, rest) = match params.naming.is_schedule() {
                false => (None, rest),
                true => {
                    let read = ScheduleRecord::read_from_prefix(rest).map_err(|_| SHORT)?;
                    (Some(read.0), read.1)
                }
            };
            let (pending, known) =
                (read_pending(rest)?, SlotState { state, clock: None, schedule });
            let row = Self { pending, end_unix_s, ..Self::of(known) };
            return row.check(params).map(|()| row);
        }
        let [sessions, lates, 0] = state.counts() else {
            return Err("it has a reserved byte that no version writes");
        };
        state.set_counts(0, 0);
        let (clock, rest) = ClockRecord::read_from_prefix(rest).map_err(|_| SHORT)?;
        let past = <[SessionRecord]>::ref_from_prefix_with_elems(rest, sessions.into());
        let (past, rest) = past.map_err(|_| SHORT)?;
        let late = <[LateRecord]>::ref_from_prefix_with_elems(rest, lates.into());
        let (late, rest) = late.map_err(|_| SHORT)?;
        let pending = read_pending(rest)?;
        if late.len() > 1 {
            return Err("it has several late records");
        }
        let window =
            |late: &LateRecord| ReplayWindow::from_parts(late.next_nonce.get(), late.seen.get());
        let row = Self {
            known: SlotState { state, clock: Some(clock), schedule: None },
            past: past.iter().map(|session| session.first.get()..session.end.get()).collect(),
            late: late.first().map(window),
            pending,
            end_unix_s,
        };
        row.check(params).map(|()| row)
    }

    /// The bytes of the row.
    ///
    /// # Errors
    /// Why the row is not sound: a reader would reject it.
    pub(crate) fn write(&self, params: &Params) -> Result<Row, Unsound> {
        self.check(params)?;
        let SlotState { mut state, clock, schedule } = self.known;
        let sessions = u8::try_from(self.past.len()).map_err(|_| TOO_MANY_SESSIONS)?;
        if clock.is_some() {
            state.set_counts(sessions, self.late.is_some().into());
        }
        let mut row = Row::from_slice(state.as_bytes());
        if let Some(clock) = clock {
            row.extend_from_slice(clock.as_bytes());
        }
        if let Some(schedule) = schedule {
            row.extend_from_slice(schedule.as_bytes());
        }
        for session in &self.past {
            let record = SessionRecord { first: session.start.into(), end: session.end.into() };
            row.extend_from_slice(record.as_bytes());
        }
        if let Some(late) = &self.late {
            let record = LateRecord { next_nonce: late.next().into(), seen: late.seen().into() };
            row.extend_from_slice(record.as_bytes());
        }
        for Pending { nonce, received_s } in &self.pending {
            let record =
                PendingRecord { nonce: (*nonce).into(), received_unix_s: (*received_s).into() };
            row.extend_from_slice(record.as_bytes());
        }
        if let Some(end_unix_s) = self.end_unix_s {
            row.extend_from_slice(EndRecord { end_unix_s: end_unix_s.into() }.as_bytes());
        }
        Ok(row)
    }

    /// Checks that a slot of an index with these parameters can have this row.
    ///
    /// # Errors
    /// Why the row is not sound.
    pub(crate) fn check(&self, params: &Params) -> Result<(), Unsound> {
        let max_nonce = params.max_nonce();
        let SlotState { state, clock, schedule } = &self.known;
        state.check(max_nonce)?;
        if state.ends() != self.end_unix_s.is_some() {
            return Err("it lacks the time of its end, or has one and does not end");
        }
        if clock.is_some() != params.nonces.is_clocked() {
            return Err("it lacks a clock, or has one and nonces are counters");
        }
        if schedule.is_some() != params.naming.is_schedule() {
            return Err("it lacks the clock of a schedule, or has one and packets have hints");
        }
        schedule.map_or(Ok(()), |schedule| schedule.check(state.next_nonce()))?;
        if clock.is_some_and(|clock| clock.session_first.get() > state.next_nonce()) {
            return Err("its present session begins behind its end");
        }
        if self.past.len() > MAX_PAST_SESSIONS || self.pending.len() > MAX_PENDING {
            return Err(TOO_MANY_SESSIONS);
        }
        let ends_in_range =
            |session: &Session| !session.is_empty() && session.end <= max_nonce.saturating_add(1);
        if !self.past.iter().all(ends_in_range)
            || !self.past.is_sorted_by_key(|session| session.start)
        {
            return Err("its past sessions are empty, out of order or past the last nonce");
        }
        // Those of a schedule wait with the readings of their clocks.
        if schedule.is_none() && self.pending.iter().any(|pending| pending.nonce > max_nonce) {
            return Err("a pending packet has a nonce past the last one");
        }
        self.late.map_or(Ok(()), |late| self.check_late(&late, params))
    }

    /// Checks that `late` can be the replay window of the unit before the present one.
    fn check_late(&self, late: &ReplayWindow, params: &Params) -> Result<(), Unsound> {
        let Some(unit) = late_unit(params.nonces, self.known.state.next_nonce()) else {
            return Err("it has a late record without a unit before the present one");
        };
        let nonces = params.nonces.first_of(unit)..params.nonces.first_of(unit.saturating_add(1));
        let nonce_count = late.next().checked_sub(nonces.start);
        let is_sound = late.next() <= nonces.end
            && nonce_count.is_some_and(|nonce_count| is_seen_sound(nonce_count, late.seen()));
        if is_sound { Ok(()) } else { Err("its late record contradicts itself") }
    }
}

/// The pending packets at the end of a row.
fn read_pending(bytes: &[u8]) -> Result<Vec<Pending>, Unsound> {
    let records = <[PendingRecord]>::ref_from_bytes(bytes).map_err(|_| "its length is wrong")?;
    let wait = |pending: &PendingRecord| Pending {
        nonce: pending.nonce.get(),
        received_s: pending.received_unix_s.get(),
    };
    Ok(records.iter().map(wait).collect())
}

const TOO_MANY_SESSIONS: Unsound = "it has too many past sessions or pending packets";

pub(super) fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        layout!("clock", ClockRecord: heard_unix_s, offset_low_s, offset_width_s, anchor_age_s,
            anchor_low_s, anchor_width_s, session_first),
        layout!("session", SessionRecord: first, end),
        layout!("late", LateRecord: next_nonce, seen),
        layout!("pending", PendingRecord: nonce, received_unix_s),
        layout!("end", EndRecord: end_unix_s),
    ]
}
