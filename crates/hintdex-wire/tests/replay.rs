//! The replay window against a plain set of what was accepted.

use std::collections::BTreeSet;

use hintdex_wire::{Freshness, REPLAY_WINDOW_NONCES, ReplayWindow};
use proptest::prelude::*;

/// What SCHEME section 5 says, with nothing forgotten and nothing packed.
#[derive(Default)]
struct Plain {
    accepted: BTreeSet<u64>,
}

impl Plain {
    fn admit(&mut self, nonce: u64) -> Freshness {
        let long_ago = nonce.saturating_add(REPLAY_WINDOW_NONCES);
        if self.accepted.last().is_some_and(|highest| long_ago <= *highest) {
            return Freshness::Stale;
        }
        if self.accepted.insert(nonce) { Freshness::Fresh } else { Freshness::Replay }
    }
}

/// Walks of every kind: step by step, back and forth, and leaps.
fn nonces() -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![6 => -3i64..4, 3 => -70i64..70, 1 => -200i64..2000];
    (0u64..200, prop::collection::vec(step, 0..400)).prop_map(|(start, steps)| {
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
    fn the_window_says_what_a_set_of_accepted_nonces_says(nonces in nonces()) {
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

/// The cases WireGuard's `selftest/counter.c` walks, for a window of 64.
#[test]
fn edges_of_the_window() {
    use Freshness::{Fresh, Replay, Stale};
    let mut window = ReplayWindow::new();
    let limit = REPLAY_WINDOW_NONCES;
    let top = u64::from(u32::MAX);
    let cases = [
        (0, Fresh),
        (1, Fresh),
        (1, Replay),
        (9, Fresh),
        (8, Fresh),
        (7, Fresh),
        (7, Replay),
        (limit, Fresh),
        (limit - 1, Fresh),
        (limit - 1, Replay),
        (limit - 2, Fresh),
        (2, Fresh),
        (2, Replay),
        (limit + 16, Fresh),
        (3, Stale),
        (limit + 16, Replay),
        (limit * 4, Fresh),
        (limit * 3 + 1, Fresh),
        (limit * 3, Stale),
        (limit * 4 - (limit - 1), Replay),
        (top, Fresh),
        (top, Replay),
        (top - 63, Fresh),
        (top - 64, Stale),
        (top - 63, Replay),
        (0, Stale),
    ];
    for (step, (nonce, expected)) in cases.into_iter().enumerate() {
        assert_eq!(window.admit(nonce), expected, "step {step}, nonce {nonce}");
    }
}
