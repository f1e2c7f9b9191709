//! The queue against a plain model that computes every window of every device.

use hintdex_core::{ScheduleClock, ScheduleTolerance};
use hintdex_host::SplitMix64;
use hintdex_wire::{DeviceId, Schedule};

use super::*;

const NOW_MS: u64 = 1_764_000_000_000;
const TOLERANCE: ScheduleTolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 100 };

/// Delays that differ from packet to packet.
struct Drawn(Schedule);

impl Delays for Drawn {
    fn delay_ms(&self, key: KeyId, nonce: Nonce) -> Option<u32> {
        let seed = u64::from(key.device.0) << 32 | nonce;
        let width = u64::from(self.0.max_ms() - self.0.min_ms()) + 1;
        let extra = u32::try_from(SplitMix64::new(seed).below(width)).ok()?;
        Some(self.0.min_ms() + extra)
    }
}

/// Every packet whose window holds a time.
fn due_by_model(
    devices: &[Standing],
    delays: &dyn Delays,
    received_ms: u64,
) -> Vec<(Slot, Nonce, u64)> {
    let mut found = Vec::new();
    for (slot, standing) in (0..).map(Slot).zip(devices) {
        let Some(clock) = standing.clock else { continue };
        let mut step = Step { nonce: standing.next - 1, clock_ms: clock.clock_ms };
        while let Some(next) = standing.after(step, delays) {
            step = next;
            let arrival = clock.arrival(step.clock_ms, TOLERANCE);
            if arrival.holds(received_ms) {
                found.push((slot, step.nonce, step.clock_ms));
            }
            if arrival.start_ms() > received_ms {
                break;
            }
        }
    }
    found
}

fn run(seed: u64, min_ms: u32, max_ms: u32, steps: usize) {
    let schedule = Schedule::new(min_ms, max_ms).expect("a schedule");
    let delays = Drawn(schedule);
    let mut random = SplitMix64::new(seed);
    let mut below = move |bound: u64| random.below(bound.max(1));
    let mut queue = DueQueue::new(Pace::new(schedule, TOLERANCE));
    let (mut devices, mut now_ms) = (Vec::new(), NOW_MS);
    let mean_ms = u64::from(min_ms / 2 + max_ms / 2);
    let mut asked = 0;
    for _ in 0..steps {
        match below(20) {
            0 if devices.len() < 40 => {
                let key = KeyId::first(DeviceId(u32::try_from(devices.len()).expect("few")));
                let slot = Slot(key.device.0);
                let heard_ms = now_ms - below(2 * mean_ms);
                let clock = ScheduleClock::heard_first(heard_ms, 7_000, TOLERANCE);
                let standing = match below(4) {
                    0 => Standing { key, next: 0, clock: None },
                    _ => Standing { key, next: 5, clock: Some(clock) },
                };
                devices.push(standing);
                queue.set(slot, Some(standing), &delays);
            }
            1 => {
                now_ms += below(mean_ms * 20);
                queue.move_to(now_ms, &delays);
            }
            2 => {
                now_ms -= below(mean_ms);
                queue.move_to(now_ms, &delays);
            }
            3..=9 => {
                now_ms += below(mean_ms / 10);
                queue.advance(now_ms, &delays);
            }
            _ => {}
        }
        let received_ms = now_ms - below(queue.pace.keep_ms);
        let mut expected = due_by_model(&devices, &delays, received_ms);
        expected.sort_unstable();
        let due = queue.due(received_ms, &delays);
        assert!(due.is_sorted_by_key(|due| due.distance_ms));
        let mut found: Vec<(Slot, Nonce, u64)> =
            due.iter().map(|due| (due.slot, due.step.nonce, due.step.clock_ms)).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "seed {seed}, at {received_ms}");
        asked += found.len();
        // One of the devices is heard.
        let index = usize::try_from(below(20)).expect("small");
        if let Some(DueDevice { slot, step, .. }) = due.get(index.min(due.len() / 2))
            && let Some(standing) = devices.get_mut(slot.0 as usize)
            && let Some(clock) = &mut standing.clock
        {
            clock.observe(received_ms, step.clock_ms, TOLERANCE);
            standing.next = step.nonce + 1;
            queue.set(*slot, Some(*standing), &delays);
            assert!(queue.repeats(received_ms, None).iter().any(|due| due.slot == *slot));
        }
    }
    assert!(asked > steps / 100, "{asked} due in {steps} steps of seed {seed}");
}

#[test]
fn lookups_find_what_a_plain_model_finds() {
    for seed in 0..40 {
        run(seed, 600_000, 4_200_000, 600);
        run(seed, 400_000, 400_000, 600);
        // Windows that overlap.
        run(seed, 40, 90, 200);
        run(seed, 1_000, 20_000, 600);
        run(seed, 300, 400, 300);
    }
}

#[test]
fn a_device_that_was_never_heard_or_missed_four_packets_is_searched_for() {
    let schedule = Schedule::new(1_000_000, 1_000_000).expect("a schedule");
    let delays = Drawn(schedule);
    let mut queue = DueQueue::new(Pace::new(schedule, TOLERANCE));
    let key = |number| KeyId::first(DeviceId(number));
    let clock = Some(ScheduleClock::heard_first(NOW_MS, 0, TOLERANCE));
    queue.set(Slot(0), Some(Standing { key: key(0), next: 0, clock: None }), &delays);
    queue.set(Slot(1), Some(Standing { key: key(1), next: 1, clock }), &delays);
    queue.move_to(NOW_MS, &delays);
    let silent = |queue: &DueQueue| queue.silent().map(|(slot, ..)| slot.0).collect::<Vec<_>>();
    assert_eq!(silent(&queue), [0]);
    queue.advance(NOW_MS + 4_500_000, &delays);
    assert_eq!(silent(&queue), [0, 1]);
    let first_due = queue.silent().find_map(|(.., due)| due).expect("it is due");
    assert_eq!(first_due.nonce, 5);
    // Time goes back, or the device is heard.
    queue.move_to(NOW_MS + 3_500_000, &delays);
    assert_eq!(silent(&queue), [0]);
    queue.set(Slot(0), None, &delays);
    assert_eq!(silent(&queue), []);
    // Heard under a station clock that was two days ahead.
    queue.set_clock(NOW_MS - 2 * 86_400_000);
    queue.move_to(NOW_MS - 2 * 86_400_000, &delays);
    assert_eq!(silent(&queue), [1]);
}

/// A dead device would cost every packet a try for as long as the station runs.
#[test]
fn a_device_that_is_lost_while_the_station_listens_is_left_to_the_search() {
    let schedule = Schedule::new(1_000_000, 1_000_000).expect("a schedule");
    let delays = Drawn(schedule);
    let mut queue = DueQueue::new(Pace::new(schedule, TOLERANCE));
    let key = KeyId::first(DeviceId(0));
    let clock = Some(ScheduleClock::heard_first(NOW_MS, 0, TOLERANCE));
    queue.set(Slot(0), Some(Standing { key, next: 1, clock }), &delays);
    queue.move_to(NOW_MS, &delays);
    let mut due = |after: u64| {
        let now_ms = NOW_MS + after * 1_000_000;
        queue.advance(now_ms, &delays);
        (queue.due(now_ms, &delays).len(), queue.silent().count())
    };
    assert_eq!((due(1), due(64), due(65)), ((1, 0), (1, 1), (0, 1)));
    // A station that was off has not listened.
    queue.move_to(NOW_MS + 70_000_000, &delays);
    assert_eq!(queue.due(NOW_MS + 70_000_000, &delays).len(), 1);
}

#[test]
fn a_device_that_was_silent_for_too_long_has_no_due_packets() {
    let schedule = Schedule::new(1_000, 1_000).expect("a schedule");
    let delays = Drawn(schedule);
    let mut queue = DueQueue::new(Pace::new(schedule, TOLERANCE));
    let key = KeyId::first(DeviceId(0));
    let clock = Some(ScheduleClock::heard_first(NOW_MS, 0, TOLERANCE));
    queue.set(Slot(0), Some(Standing { key, next: 1, clock }), &delays);
    for later_ms in [0, 200_000_000, u64::MAX / 2] {
        queue.move_to(NOW_MS + later_ms, &delays);
        assert!(queue.due(NOW_MS + later_ms, &delays).len() <= 1);
    }
    assert_eq!(queue.silent().count(), 1);
    queue.move_to(NOW_MS + 1_000, &delays);
    assert_eq!(queue.due(NOW_MS + 1_000, &delays).len(), 1);
}
