//! Clocks: the system's, one that is set by hand, and a shared one.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hintdex_host::{Clock, FIRST_SET_UNIX_S, ManualClock, SystemClock};

#[test]
fn the_system_clock_returns_the_present() {
    let present = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let before = present();
    let shown = SystemClock.now_unix_s();
    assert!((before..=present()).contains(&shown), "{shown}");
    assert!(shown > FIRST_SET_UNIX_S, "the clock of this machine is not set");
}

#[test]
fn a_manual_clock_returns_what_was_set_and_may_go_back() {
    let clock = Arc::new(ManualClock::new(1_764_000_000));
    let shared: Arc<dyn Clock> = clock.clone();
    assert_eq!((clock.now_unix_s(), shared.now_unix_s()), (1_764_000_000, 1_764_000_000));
    clock.set(7);
    assert_eq!((clock.now_unix_s(), shared.now_unix_s()), (7, 7));
}
