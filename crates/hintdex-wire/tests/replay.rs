//! The replay window against a plain set of accepted nonces, and the cases of
//! WireGuard's self-test.

use std::collections::BTreeSet;

use hintdex_wire::Freshness::{Fresh, Replay, Stale};
use hintdex_wire::{Freshness, Nonce, REPLAY_WINDOW_NONCES, ReplayWindow};
use proptest::prelude::*;

/// The rule of the window with nothing forgotten and nothing packed: stale at 64
/// or more below the highest accepted nonce, replay if accepted before, else fresh.
#[derive(Default)]
struct Plain {
    accepted: BTreeSet<u64>,
}

impl Plain {
    fn admit(&mut self, nonce: u64) -> Freshness {
        let long_ago = nonce.checked_add(REPLAY_WINDOW_NONCES);
        let highest = self.accepted.last();
        if nonce == Nonce::MAX || highest.zip(long_ago).is_some_and(|(high, ago)| ago <= *high) {
            return Stale;
        }
        if self.accepted.insert(nonce) { Fresh } else { Replay }
    }
}

/// Walks of every kind: step by step, back and forth, and leaps; from the lowest
/// nonces and up to the highest.
fn nonces() -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![6 => -3i64..4, 3 => -70i64..70, 1 => -200i64..2000];
    let start = prop_oneof![4 => 0u64..200, 1 => Nonce::MAX - 200..=Nonce::MAX];
    (start, prop::collection::vec(step, 0..400)).prop_map(|(start, steps)| {
        steps
            .into_iter()
            .scan(start, |at, step| {
                *at = at.saturating_add_signed(step);
                Some(*at)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_window_judges_like_a_set_of_accepted_nonces(nonces in nonces()) {
        let (mut window, mut plain) = (ReplayWindow::new(), Plain::default());
        for nonce in nonces {
            let judged = window.judge(nonce);
            let admitted = window.admit(nonce);
            prop_assert_eq!(judged, admitted);
            prop_assert_eq!(admitted, plain.admit(nonce), "nonce {}", nonce);
            window = ReplayWindow::from_parts(window.next(), window.seen());
        }
    }
}

/// Admits each nonce to one new window and compares the verdicts.
fn walk(cases: impl IntoIterator<Item = (Nonce, Freshness)>) -> ReplayWindow {
    let mut window = ReplayWindow::new();
    for (step, (nonce, expected)) in cases.into_iter().enumerate() {
        assert_eq!(window.admit(nonce), expected, "step {}, nonce {nonce}", step + 1);
    }
    window
}

/// WireGuard's window keeps this many nonces below the highest (`COUNTER_WINDOW_SIZE`).
const BELOW: u64 = LIMIT - 1;

/// And this many with it (`T_LIM`): 64 here, 8,129 there.
const LIMIT: u64 = REPLAY_WINDOW_NONCES;

/// The first number that is never a nonce (`REJECT_AFTER_MESSAGES`): 2⁶⁴ − 1 here,
/// 2⁶⁴ − 8,129 there.
const END: Nonce = Nonce::MAX;

/// The 34 single cases of the self-test of WireGuard's replay counter
/// (`selftest/counter.c`), in its order and with its verdicts.
///
/// The sizes are mapped as [`BELOW`], [`LIMIT`] and [`END`] say. The self-test
/// knows accepted and refused; a refusal here also says which one. Cases 30 and 31
/// ask for the numbers one and two past the end. None exist here, so both ask for
/// the end again.
#[test]
fn wireguards_34_single_cases() {
    let window = walk([
        (0, Fresh),
        (1, Fresh),
        (1, Replay),
        (9, Fresh),
        (8, Fresh),
        (7, Fresh),
        (7, Replay),
        (LIMIT, Fresh),
        (LIMIT - 1, Fresh),
        (LIMIT - 1, Replay),
        (LIMIT - 2, Fresh),
        (2, Fresh),
        (2, Replay),
        (LIMIT + 16, Fresh),
        (3, Stale),
        (LIMIT + 16, Replay),
        (LIMIT * 4, Fresh),
        (LIMIT * 4 - (LIMIT - 1), Fresh),
        (10, Stale),
        (LIMIT * 4 - LIMIT, Stale),
        (LIMIT * 4 - (LIMIT + 1), Stale),
        (LIMIT * 4 - (LIMIT - 2), Fresh),
        (LIMIT * 4 + 1 - LIMIT, Replay),
        (0, Stale),
        (END, Stale),
        (END - 1, Fresh),
        (END, Stale),
        (END - 1, Replay),
        (END - 2, Fresh),
        (END, Stale),
        (END, Stale),
        (END - 2, Replay),
        (END - 3, Fresh),
        (0, Stale),
    ]);
    assert_eq!((window.next(), window.seen()), (END, 0b111));
}

/// The six sweeps of the same self-test, each over a whole window: from below with
/// and without room for nonce 0, from above with and without, and a window that is
/// filled from above and then moves on.
#[test]
fn wireguards_six_sweeps() {
    let up = |nonces: std::ops::RangeInclusive<Nonce>| nonces.map(|nonce| (nonce, Fresh));
    let down = |nonces: std::ops::RangeInclusive<Nonce>| nonces.rev().map(|nonce| (nonce, Fresh));
    walk(up(1..=BELOW).chain([(0, Fresh), (0, Replay)]));
    walk(up(2..=BELOW + 1).chain([(1, Fresh), (0, Stale)]));
    walk(down(0..=BELOW));
    walk(down(1..=BELOW + 1).chain([(0, Stale)]));
    walk(down(1..=BELOW).chain([(BELOW + 1, Fresh), (0, Stale)]));
    let moved = walk(down(1..=BELOW).chain([(0, Fresh), (BELOW + 1, Fresh)]));
    assert_eq!((moved.next(), moved.seen()), (BELOW + 2, u64::MAX));
}

/// Where the 64-bit numbers end, the window stays where it is: it must not start
/// again at 0, where every nonce would be fresh.
#[test]
fn the_end_of_all_numbers_is_refused_and_moves_nothing() {
    for next in [0, 1, 1 << 32, END - 1, END] {
        for seen in [0, 1, u64::MAX] {
            let mut window = ReplayWindow::from_parts(next, seen);
            assert_eq!((window.judge(END), window.admit(END)), (Stale, Stale), "{next}");
            assert_eq!(window, ReplayWindow::from_parts(next, seen));
        }
    }
    assert_eq!(hintdex_wire::NonceKind::DayCounter.max_nonce(), END - 1, "the highest nonce");
}
