//! The rule of each record: every field at the edge of what is sound, and one past it.

use hintdex_wire::{DeviceId, HintScheme, Nonce, NonceKind, ReplayWindow, Schedule, Slot, StepLen};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::meta::TimingRecord;
use super::*;
use crate::device_range::{DeviceRange, KeyOrigin};
use crate::fleet::{Extent, FreeRun};
use crate::params::Params;
use crate::time::{
    Anchor, DeviceClock, MAX_PAST_SESSIONS, MAX_PENDING, Pending, ScheduleClock, ScheduleTolerance,
};

const LAST: Nonce = u32::MAX as Nonce;
const DAY: NonceKind = NonceKind::DayCounter;

fn state(next: u64, seen: u64, hints_ahead: u32, tail: [u8; 4]) -> StateRecord {
    let (next, seen) = (next.to_le_bytes(), seen.to_le_bytes());
    let bytes = [&next[..], &seen, &hints_ahead.to_le_bytes(), &tail].concat();
    StateRecord::read_from_bytes(&bytes).expect("24 bytes")
}

fn counters() -> Params {
    Params::counters(HintScheme::Aes128, 16)
}

fn days() -> Params {
    Params::clocked(HintScheme::Aes128, DAY, 16).expect("hints have room")
}

#[test]
fn a_replay_window_of_a_state_has_its_highest_nonce_and_none_before_the_first() {
    let high = 1 << 63;
    let cases = [
        (0, 0, true),
        (0, 1, false),
        (1, 1, true),
        (1, 0, false),
        (1, 0b11, false),
        (3, 0b101, true),
        (3, 0b110, false),
        (3, 0b1001, false),
        (63, high >> 1 | 1, true),
        (63, high | 1, false),
        (64, high | 1, true),
        (64, high, false),
        (65, u64::MAX, true),
        (1000, 1, true),
        (1000, 2, false),
        (1000, 0, false),
    ];
    for (next, seen, is_sound) in cases {
        let checked = state(next, seen, 0, [0; 4]).check(LAST);
        assert_eq!(checked.is_ok(), is_sound, "{next} {seen:#b}: {checked:?}");
    }
}

#[test]
fn the_hints_of_a_state_end_with_the_last_nonce() {
    let cases = [
        (LAST + 1, 0, true),
        (LAST + 1, 1, false),
        (LAST - 15, 16, true),
        (LAST - 15, 17, false),
        (u64::MAX, 0, false),
        (u64::MAX - 15, 16, false),
    ];
    for (next, ahead, is_sound) in cases {
        assert_eq!(state(next, 1, ahead, [0; 4]).check(LAST).is_ok(), is_sound, "{next} {ahead}");
    }
    assert!(state(u64::MAX - 15, 1, 15, [0; 4]).check(u64::MAX).is_ok());
}

#[test]
fn flags_and_reserved_bytes_of_a_state_are_those_of_this_version() {
    for flags in 0..=255 {
        let checked = state(5, 1, 0, [flags, 0, 0, 0]).check(LAST);
        // In service, retired, revoked, or to be retired at a time.
        assert_eq!(checked.is_ok(), [0, 1, 3, 4].contains(&flags), "{flags}");
    }

    let mut slot = StateRecord::fresh(16);
    assert!(slot.is_in_service() && !slot.is_retired() && !slot.is_out_of_service());
    slot.put_out_of_service();
    assert!(!slot.is_in_service() && !slot.is_retired() && slot.is_out_of_service());
    assert!(slot.check(LAST).is_err(), "a slot out of service is never stored");
    slot.put_out_of_service();
    assert!(slot.is_out_of_service());
    slot.retire();
    assert!(!slot.is_in_service() && slot.is_retired() && !slot.is_out_of_service());
    assert!(slot.check(LAST).is_ok() && !slot.is_revoked() && !slot.is_free());
    slot.revoke();
    slot.retire();
    assert!(slot.is_retired() && slot.is_revoked() && slot.check(LAST).is_ok());
    let free = StateRecord::free();
    assert!(free.is_free() && free.is_retired() && !free.is_in_service());
    assert!(free.check(LAST).is_err(), "a free slot has no row");
    let mut ending = StateRecord::fresh(16);
    ending.set_ends(true);
    assert!(ending.ends() && ending.is_in_service() && ending.check(LAST).is_ok());
    ending.retire();
    assert!(!ending.ends() && ending.is_retired());
}

#[test]
fn live_hints_move_on_with_a_state_as_far_as_there_are_nonces() {
    let mut slot = StateRecord::fresh(16);
    assert_eq!((slot.next_nonce(), slot.live_nonces(), slot.hints_ahead()), (0, 0..16, 16));
    let window = ReplayWindow::from_parts(10, 0b101);
    slot.advance(&window, 26, LAST);
    assert_eq!((slot.next_nonce(), slot.live_nonces()), (10, 10..26));
    assert_eq!((slot.window().next(), slot.window().seen()), (10, 0b101));
    slot.reach(30, LAST);
    assert_eq!(slot.live_nonces(), 10..30);
    slot.reach(5, LAST);
    assert_eq!(slot.live_nonces(), 10..30);
    slot.reach(30, 20);
    assert_eq!(slot.live_nonces(), 10..21);
    slot.advance(&window, 26, 20);
    assert_eq!(slot.live_nonces(), 10..21);
    slot.advance(&window, 3, LAST);
    assert_eq!(slot.live_nonces(), 10..10);
    slot.advance(&window, Nonce::MAX, Nonce::MAX);
    assert_eq!(slot.hints_ahead(), u32::MAX);
    slot.cut(16, None);
    assert_eq!(slot.live_nonces(), 10..26);
    slot.cut(20, None);
    assert_eq!(slot.live_nonces(), 10..26);
}

/// The row of a slot with all that a row can have: past sessions, a late window, packets that
/// wait.
fn full_row() -> SlotRow {
    let first = DAY.first_of(20_000);
    let mut clock = ClockRecord::fresh(1_728_000_000);
    clock.session_first = first.into();
    let mut row = SlotRow::of(SlotState {
        state: state(first + 5, 1, 11, [0; 4]),
        clock: Some(clock),
        schedule: None,
    });
    row.past = vec![3..9, 100..101];
    row.late = Some(ReplayWindow::from_parts(DAY.first_of(19_999) + 3, 0b101));
    row.pending = vec![Pending { nonce: 77, received_s: 5 }, Pending { nonce: 78, received_s: 6 }];
    row
}

#[test]
fn a_row_is_read_as_it_was_written_and_at_no_other_length() {
    let params = days();
    let row = full_row();
    let bytes = row.write(&params).expect("a sound row");
    assert_eq!(bytes.len(), 24 + 40 + 2 * 16 + 16 + 2 * 16);
    assert_eq!(SlotRow::read(&bytes, &params), Ok(row.clone()));
    // Without the packets that wait, whole ones, it is another row that is sound.
    for len in (0..bytes.len()).filter(|len| ![bytes.len() - 16, bytes.len() - 32].contains(len)) {
        assert!(SlotRow::read(&bytes[..len], &params).is_err(), "{len} bytes");
    }
    assert!(SlotRow::read(&[&bytes[..], &[0]].concat(), &params).is_err());
    // The numbers of session records and of late records.
    let put = |at: usize, count: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = count;
        SlotRow::read(&bytes, &params)
    };
    assert_eq!(put(21, 2), Ok(row.clone()));
    assert!(put(21, 7).is_err() && put(21, 255).is_err());
    assert!(put(22, 2).is_err());

    let plain =
        SlotRow::of(SlotState { state: state(5, 1, 11, [0; 4]), clock: None, schedule: None });
    let bytes = plain.write(&counters()).expect("a sound row");
    assert_eq!((bytes.len(), SlotRow::read(&bytes, &counters())), (24, Ok(plain.clone())));
    assert!(SlotRow::read(&[&bytes[..], &[0; 40]].concat(), &counters()).is_err());
    assert!(SlotRow::read(&bytes, &days()).is_err() && plain.write(&days()).is_err());
    assert!(row.write(&counters()).is_err());
    assert_eq!(put(23, 1).map(|_| ()), Err("it has a reserved byte that no version writes"));
}

#[test]
fn the_clock_of_a_schedule_follows_the_state_and_packets_wait_behind_it() {
    let schedule = Schedule::new(600_000, 4_200_000).expect("a schedule");
    let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
    let params = Params::scheduled(schedule, None, tolerance);
    let clock = ScheduleClock::heard_first(1_764_000_000_123, 7_000, tolerance);
    let schedule = Some(ScheduleRecord::of(Some(&clock)));
    let mut row = SlotRow::of(SlotState { state: state(5, 1, 0, [0; 4]), clock: None, schedule });
    // Readings of clocks are greater than nonces.
    row.pending = vec![Pending { nonce: u64::MAX, received_s: 1_764_000_000_123 }];
    let bytes = row.write(&params).expect("a sound row");
    assert_eq!(bytes.len(), 24 + 32 + 16);
    assert_eq!(SlotRow::read(&bytes, &params), Ok(row.clone()));
    for len in (0..bytes.len()).filter(|len| *len != bytes.len() - 16) {
        assert!(SlotRow::read(&bytes[..len], &params).is_err(), "{len} bytes");
    }
    assert!(row.write(&counters()).is_err());
    row.end_at(1_900_000_000);
    let ending = row.write(&params).expect("a sound row");
    assert_eq!(SlotRow::read(&ending, &params), Ok(row.clone()));
    let lacks = |change: &dyn Fn(&mut SlotRow)| {
        let mut row = row.clone();
        change(&mut row);
        row.check(&params).is_err() && row.write(&params).is_err()
    };
    assert!(lacks(&|row| row.known.schedule = None));
    assert!(lacks(&|row| row.known.state = state(0, 0, 0, [4, 0, 0, 0])));
    assert!(lacks(&|row| row.known.clock = Some(ClockRecord::fresh(7))));
    // The nonces of a schedule have four bytes.
    assert_eq!(params.max_nonce(), u64::from(u32::MAX));
}

#[test]
fn the_time_of_an_end_is_the_last_record_of_a_row() {
    let counter =
        SlotRow::of(SlotState { state: state(5, 1, 11, [0; 4]), clock: None, schedule: None });
    for (row, params) in [(counter, counters()), (full_row(), days())] {
        let bytes = row.write(&params).expect("a sound row");
        let mut ending = row.clone();
        ending.end_at(2_000_000_000);
        ending.end_at(1_900_000_000);
        ending.end_at(1_950_000_000);
        let with_end = ending.write(&params).expect("a sound row");
        assert_eq!(with_end.len(), bytes.len() + 8);
        assert_eq!(with_end[bytes.len()..], 1_900_000_000_u64.to_le_bytes());
        assert_eq!(SlotRow::read(&with_end, &params), Ok(ending.clone()));
        assert!(SlotRow::read(&with_end[..with_end.len() - 1], &params).is_err());
        // The flag without the record, and the record without the flag.
        let flagged = [&bytes[..20], &[4], &bytes[21..]].concat();
        assert_ne!(SlotRow::read(&flagged, &params), Ok(ending.clone()));
        let unflagged = [&with_end[..20], &[0], &with_end[21..]].concat();
        assert!(SlotRow::read(&unflagged, &params).is_err());
        ending.retire(false);
        assert_eq!(ending.write(&params).expect("a sound row").len(), bytes.len());
        assert!(SlotRow { end_unix_s: Some(9), ..row }.check(&params).is_err());
    }
}

#[test]
fn a_row_that_contradicts_itself_is_not_sound() {
    let params = days();
    let last = params.max_nonce();
    let sound = |change: &dyn Fn(&mut SlotRow)| {
        let mut row = full_row();
        change(&mut row);
        let (checked, written) = (row.check(&params), row.write(&params));
        assert_eq!(checked.is_ok(), written.is_ok());
        checked.is_ok()
    };
    let next = full_row().known.state.next_nonce();
    let session_first = |first: Nonce| {
        sound(&|row| {
            let mut clock = ClockRecord::fresh(7);
            clock.session_first = first.into();
            row.known.clock = Some(clock);
        })
    };
    assert!(session_first(next) && !session_first(next + 1));
    let past = |sessions: Vec<crate::time::Session>| sound(&|row| row.past.clone_from(&sessions));
    assert!(past(std::iter::once(last..last + 1).collect()));
    assert!(!past(vec![5..5, 7..8]) && !past(vec![100..101, 3..9]));
    let sessions = |count: usize| (0..count as Nonce).map(|at| 10 * at..10 * at + 2).collect();
    assert!(past(sessions(MAX_PAST_SESSIONS)) && !past(sessions(MAX_PAST_SESSIONS + 1)));
    let pending = |count: usize, nonce: Nonce| {
        sound(&|row| row.pending = vec![Pending { nonce, received_s: 0 }; count])
    };
    assert!(pending(MAX_PENDING, last) && !pending(MAX_PENDING + 1, last));
    assert!(!pending(1, last + 1));
    assert!(!sound(&|row| row.known.clock = None));
    assert!(!sound(&|row| row.known.state.put_out_of_service()));

    let late = |next: Nonce, seen: u64| {
        sound(&|row| row.late = Some(ReplayWindow::from_parts(next, seen)))
    };
    let (first, end) = (DAY.first_of(19_999), DAY.first_of(20_000));
    assert!(late(first, 0) && !late(first, 1) && !late(first - 1, 1));
    assert!(late(end, 1) && !late(end, 2) && !late(end + 1, 1));
    assert!(late(first + 3, 0b101) && !late(first + 3, 0b1001));
    // Before the first unit that was heard there is none.
    for next in [0, 1, 5] {
        let seen = u64::from(next > 0);
        let is_sound = sound(&|row| {
            row.known.state = state(next, seen, 0, [0; 4]);
            row.known.clock = Some(ClockRecord::fresh(7));
            row.late = Some(ReplayWindow::from_parts(0, 0));
        });
        assert!(!is_sound, "{next}");
    }
}

#[test]
fn nothing_of_a_row_is_past_the_last_nonce() {
    let kind = NonceKind::Step(StepLen::new(60).expect("1 to 86,400"));
    let params = Params::clocked(HintScheme::Aes128, kind, 16).expect("hints have room");
    let sound = |past: crate::time::Session, nonce: Nonce| {
        let clock = Some(ClockRecord::fresh(7));
        let mut row =
            SlotRow::of(SlotState { state: state(5, 1, 0, [0; 4]), clock, schedule: None });
        (row.past, row.pending) = (vec![past], vec![Pending { nonce, received_s: 0 }]);
        row.check(&params).is_ok()
    };
    assert!(sound(LAST..LAST + 1, LAST));
    assert!(!sound(LAST..LAST + 2, LAST) && !sound(LAST..LAST + 1, LAST + 1));
}

#[test]
fn a_clock_is_read_as_it_was_stored() {
    let stored = |clock: DeviceClock| {
        let mut record = ClockRecord::fresh(3);
        record.set_clock(&clock);
        record.clock()
    };
    let fresh = ClockRecord::fresh(9).clock();
    assert_eq!(fresh, DeviceClock { heard_s: 9, low_s: 0, high_s: 0, anchor: None });
    let anchor = Anchor { at_s: 1_000, low_s: -70, high_s: -40 };
    let clock = DeviceClock { heard_s: 5_000, low_s: -50, high_s: 60, anchor: Some(anchor) };
    assert_eq!(stored(clock), clock);
    let now = DeviceClock { anchor: Some(Anchor { at_s: 5_000, ..anchor }), ..clock };
    assert_eq!(stored(now), now);
    let wide = u64::from(u32::MAX);
    let heard_s = 2 * wide;
    let oldest = Anchor { at_s: heard_s - wide + 1, ..anchor };
    let old = DeviceClock { heard_s, anchor: Some(oldest), ..clock };
    assert_eq!(stored(old), old);
    // What does not fit beside the clock is forgotten.
    let low = i64::from(i32::MIN) - 50;
    let forgotten = [
        Anchor { at_s: heard_s - wide, ..anchor },
        Anchor { at_s: heard_s + 1, ..anchor },
        Anchor { low_s: low - 1, ..oldest },
        Anchor { high_s: -70 + i64::from(u32::MAX) + 1, ..oldest },
        Anchor { high_s: -71, ..oldest },
    ];
    for anchor in forgotten {
        let clock = DeviceClock { anchor: Some(anchor), ..old };
        assert_eq!(stored(clock), DeviceClock { anchor: None, ..old }, "{anchor:?}");
    }
    for anchor in [
        Anchor { low_s: low, high_s: low + 1, ..oldest },
        Anchor { high_s: -70 + i64::from(u32::MAX), ..oldest },
    ] {
        let clock = DeviceClock { anchor: Some(anchor), ..old };
        assert_eq!(stored(clock), clock);
    }
    let widest = DeviceClock { low_s: -5, high_s: i64::from(u32::MAX) + 7, anchor: None, ..clock };
    assert_eq!(stored(widest).high_s, i64::from(u32::MAX) - 5);
}

#[test]
fn windows_are_of_slots_that_there_are_and_of_a_time_if_nonces_tell_time() {
    let window = |change: &dyn Fn(&mut WindowRecord)| {
        let mut record = WindowRecord::new_zeroed();
        (record.prefix_bits, record.suffix_bits) = (10, 15);
        record.slots = 100.into();
        change(&mut record);
        record
    };
    let counted = |change: &dyn Fn(&mut WindowRecord)| window(change).check(100, false).is_ok();
    let clocked = |from: u64, to: u64| {
        let record = window(&|record| {
            (record.from_unix_s, record.to_unix_s) = (from.into(), to.into());
        });
        let is_sound = record.check(100, true).is_ok();
        assert_eq!(record.span(), (from < to).then_some(from..to));
        assert_eq!(is_sound, from < to);
        is_sound
    };
    assert!(counted(&|_| ()));
    assert!(!counted(&|record| record.reserved = [1, 0]));
    assert!(!counted(&|record| record.reserved = [0, 1]));
    assert!(!counted(&|record| (record.prefix_bits, record.suffix_bits) = (60, 60)));
    assert!(!counted(&|record| record.slots = 101.into()));
    assert!(counted(&|record| record.slots = 0.into()));
    assert!(!counted(&|record| record.from_unix_s = 1.into()));
    assert!(!counted(&|record| record.to_unix_s = 1.into()));
    assert!(clocked(5, 6) && clocked(0, 1));
    assert!(!clocked(5, 5) && !clocked(6, 5) && !clocked(0, 0));

    let lean = |snapshot: u8, slots: u32, horizon: u32| {
        window(&|record| {
            record.snapshot = [snapshot; 16];
            (record.snapshot_slots, record.horizon_nonces) = (slots.into(), horizon.into());
        })
    };
    let is_sound = |record: WindowRecord| record.check(100, false).is_ok();
    assert!(is_sound(lean(7, 100, 1)) && !is_sound(lean(7, 101, 1)));
    assert!(!is_sound(lean(7, 0, 0)) && !is_sound(lean(0, 1, 0)) && is_sound(lean(0, 0, 0)));
    assert_eq!(lean(7, 100, 1).slots_named(), 100);
    assert_eq!(lean(7, 3, 1).slots_named(), 100);
    assert_eq!(lean(7, 101, 1).slots_named(), 101);
    assert!(lean(7, 3, 0).lean().is_none());
    let left_to = lean(7, 3, 9).lean().expect("it has a horizon");
    assert_eq!((left_to.snapshot, left_to.slots, left_to.horizon_nonces), ([7; 16], 3, 9));
}

#[test]
fn ranges_are_read_as_they_were_written() {
    for origin in [KeyOrigin::Derived, KeyOrigin::Imported] {
        let range = DeviceRange { generation: 3, origin, ..DeviceRange::new(DeviceId(7), 9) };
        for grace_s in [0, 3600] {
            let extent = Extent { first_slot: Slot(4), range, provisioned_unix_s: 1_000, grace_s };
            let record = ExtentRecord::from(&SlotRun::Keys(extent));
            let bytes = record.as_bytes();
            assert_eq!(ExtentRecord::read(Slot(4), bytes), Some(SlotRun::Keys(extent)));
            // A record of version 1 ends before the grace.
            let without = Extent { grace_s: 0, ..extent };
            assert_eq!(ExtentRecord::read(Slot(4), &bytes[..20]), Some(SlotRun::Keys(without)));
            assert_eq!(ExtentRecord::read(Slot(4), &bytes[..19]), None);
            assert_eq!(ExtentRecord::read(Slot(4), &[bytes, &[0]].concat()), None);
            let put = |at: usize, byte: u8| {
                let mut bytes = bytes.to_vec();
                bytes[at] = byte;
                ExtentRecord::read(Slot(4), &bytes)
            };
            assert!(put(10, 2).is_none() && put(10, 255).is_none() && put(11, 1).is_none());
        }
    }
}

#[test]
fn a_free_run_has_nothing_but_its_length() {
    let run = SlotRun::Free(FreeRun { first_slot: Slot(4), count: 9 });
    let bytes = ExtentRecord::from(&run).as_bytes().to_vec();
    assert_eq!(ExtentRecord::read(Slot(4), &bytes), Some(run));
    for at in [0, 8, 11, 12, 20] {
        let mut bytes = bytes.clone();
        bytes[at] = 1;
        assert_eq!(ExtentRecord::read(Slot(4), &bytes), None, "{at}");
    }
}

#[test]
fn the_time_of_a_last_packet_is_kept_to_the_minute() {
    let mut state = StateRecord::fresh(9);
    assert_eq!(state.heard_unix_s(), None);
    // A clock that was never set says nothing.
    state.set_heard(1_000);
    assert_eq!(state.heard_unix_s(), None);
    state.set_heard(1_577_836_800);
    assert_eq!(state.heard_unix_s(), Some(1_577_836_800));
    state.set_heard(1_764_000_059);
    assert_eq!(state.heard_unix_s(), Some(1_764_000_000));
    state.set_heard(1_700_000_000);
    assert_eq!(state.heard_unix_s(), Some(1_764_000_000));
    state.set_heard(u64::MAX);
    assert!(state.heard_unix_s().is_some_and(|heard_s| heard_s > 2_500_000_000));
    assert_eq!(state.check(u64::MAX), Ok(()));
}

#[test]
fn keys_sort_by_number_and_are_read_back() {
    assert_eq!(slot_key(Slot(0x0102_0304)), [1, 2, 3, 4]);
    assert_eq!(slot_of_key(&[1, 2, 3, 4]), Some(Slot(0x0102_0304)));
    assert_eq!((slot_of_key(&[1, 2, 3]), slot_of_key(&[1, 2, 3, 4, 5])), (None, None));
    assert_eq!(epoch_key(b"window:", 258), b"window:\0\0\x01\x02");
    assert_eq!(window_family(0xab), "hints-000000ab");
    assert_eq!(epoch_of_family("hints-000000ab"), Some(0xab));
    assert_eq!((epoch_of_family("hints-x"), epoch_of_family("slots")), (None, None));
}

/// Fields lie one behind the other, from the first byte of a record to its last.
#[test]
fn the_fields_of_a_record_fill_it() {
    let lens = [
        ("meta", size_of::<Meta>()),
        ("timing", size_of::<TimingRecord>()),
        ("naming", 52),
        ("window", size_of::<WindowRecord>()),
        ("extent", size_of::<ExtentRecord>()),
        ("state", 24),
        ("clock", 40),
        ("session", 16),
        ("late", 16),
        ("pending", 16),
        ("end", 8),
        ("schedule", 32),
        ("late head", 16),
        ("late block", 16),
        ("settings", 24),
        ("point", 8),
        ("payload", 16),
        ("reader", 8),
    ];
    let all = layouts();
    assert_eq!(all.iter().map(|(name, _)| *name).collect::<Vec<_>>(), lens.map(|(name, _)| name));
    for ((name, fields), (_, len)) in all.iter().zip(lens) {
        let ends = fields.iter().map(|(_, offset, width)| offset + width);
        let starts = fields.iter().map(|(_, offset, _)| *offset);
        assert!(starts.eq([0].into_iter().chain(ends.clone().take(fields.len() - 1))), "{name}");
        assert_eq!(ends.max(), Some(len), "{name}");
        assert!(fields.iter().all(|(_, _, width)| *width > 0), "{name}");
    }
}
