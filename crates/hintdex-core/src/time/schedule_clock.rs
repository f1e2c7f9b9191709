//! The clock of a device that is named by time alone: when its coming packets arrive.
//!
//! The delays between the packets of such a device are known functions of its nonces. So each
//! nonce has a reading of the device's clock, in milliseconds since its first packet. The station
//! stores one pair of such a reading and a time of reception, and the rate of the device's clock
//! against station time. Both bound the time of reception of every other packet.
//!
//! The rate is *measured* between two receptions: their distance by both clocks differs by the
//! rate and by the tolerance. A measurement over a longer time replaces one over a shorter time.
//! Measurements are not intersected: the rate of a crystal follows its temperature.

/// How much a crystal's rate may differ from the measured one, through temperature, in parts per
/// billion.
const RATE_SLACK_PPB: u64 = 10_000;

/// A measurement begins anew after this long: an older rate is that of another temperature.
const MAX_BASELINE_MS: u64 = 12 * 3600 * 1000;

/// The uncertainty grows for at most this long. The time of reception is not authenticated before
/// the tag has verified, and the search that depends on it must stay bounded.
const MAX_SILENCE_MS: u64 = 10 * 365 * 86_400 * 1000;

/// What rounding to whole milliseconds adds to an uncertainty.
const ROUNDING_MS: u64 = 2;

const BILLION: i64 = 1_000_000_000;

/// How far times of reception may differ from those that two exact clocks would show.
///
/// See the example of [`ScheduleClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScheduleTolerance {
    /// The most by which the time from sending to the time stamp of reception varies, in
    /// milliseconds.
    pub jitter_ms: u32,
    /// The largest drift of a device's clock, in millionths.
    pub max_drift_ppm: u32,
}

impl ScheduleTolerance {
    /// The largest jitter, in milliseconds: a minute.
    pub const MAX_JITTER_MS: u32 = 60_000;
    /// The largest drift, in millionths.
    pub const MAX_DRIFT_PPM: u32 = 100_000;
}

/// The clock of a device whose packets follow a [schedule](hintdex_wire::Schedule).
///
/// ```
/// use hintdex_core::{ScheduleClock, ScheduleTolerance, ScheduledArrival};
///
/// let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
/// // Packet 0 was received at 1,764,000,000.250 s. The next one follows an hour later.
/// let mut clock = ScheduleClock::heard_first(1_764_000_000_250, 0, tolerance);
/// let next: ScheduledArrival = clock.arrival(3_600_000, tolerance);
/// assert_eq!((next.at_ms, next.half_ms), (1_764_003_600_250, 50 + 108 + 2));
///
/// // It comes 100 ms late: the device's clock is slow by 28 ppm, give or take 24.
/// assert!(next.holds(1_764_003_600_350));
/// clock.observe(1_764_003_600_350, 3_600_000, tolerance);
/// let next = clock.arrival(7_200_000, tolerance);
/// assert_eq!((next.at_ms, next.half_ms), (1_764_007_200_449, 50 + 85 + 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleClock {
    /// When the packet that set this clock was received, in milliseconds since 1970.
    pub heard_ms: u64,
    /// The reading of the device's clock for that packet: the sum of the delays from the first packet
    /// that was heard up to it, in milliseconds.
    pub clock_ms: u64,
    /// How long before `heard_ms` the present measurement of the rate began, in milliseconds of
    /// station time.
    pub baseline_ms: u32,
    /// The same distance by the device's clock.
    pub baseline_clock_ms: u32,
    /// How much longer than by the device's clock a time is by the station's, in parts per billion.
    pub rate_ppb: i32,
    /// The uncertainty of the rate to either side.
    pub rate_half_ppb: u32,
}

/// The times at which a packet may be received.
///
/// See the example of [`ScheduleClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledArrival {
    /// The expected time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The uncertainty to either side, in milliseconds.
    pub half_ms: u64,
}

impl ScheduledArrival {
    /// Whether the packet may be received at this time, in milliseconds since 1970.
    pub const fn holds(&self, received_ms: u64) -> bool {
        self.at_ms.abs_diff(received_ms) <= self.half_ms
    }

    /// The first time at which the packet may be received.
    pub const fn start_ms(&self) -> u64 {
        self.at_ms.saturating_sub(self.half_ms)
    }

    /// The last time at which the packet may be received.
    pub const fn end_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.half_ms)
    }
}

impl ScheduleTolerance {
    /// Time stamps of a receiver with a clock of its own, and uncalibrated crystals.
    pub const DEFAULT: Self = Self { jitter_ms: 50, max_drift_ppm: 150 };

    const fn max_drift_ppb(self) -> u64 {
        self.max_drift_ppm as u64 * 1000
    }
}

impl ScheduleClock {
    /// The clock of a device of which one packet was received.
    pub fn heard_first(received_ms: u64, clock_ms: u64, tolerance: ScheduleTolerance) -> Self {
        Self {
            heard_ms: received_ms,
            clock_ms,
            baseline_ms: 0,
            baseline_clock_ms: 0,
            rate_ppb: 0,
            rate_half_ppb: u32::try_from(tolerance.max_drift_ppb()).unwrap_or(u32::MAX),
        }
    }

    /// When the packet is received for which the device's clock reads `clock_ms`.
    pub fn arrival(&self, clock_ms: u64, tolerance: ScheduleTolerance) -> ScheduledArrival {
        let distance_ms = clock_ms.abs_diff(self.clock_ms).min(MAX_SILENCE_MS);
        // At most 3.2e11 ms and 4.3e9 ppb: below 2^64, and the signed rate is below 2^31.
        let half_ms = distance_ms.saturating_mul(self.rate_half_ppb.into()) / 1_000_000_000;
        let signed_ms = i64::try_from(distance_ms).unwrap_or(i64::MAX);
        let drifted_ms = signed_ms.saturating_mul(self.rate_ppb.into()).div_euclid(BILLION);
        let elapsed_ms = signed_ms.saturating_add(drifted_ms);
        let elapsed_ms =
            if clock_ms < self.clock_ms { elapsed_ms.saturating_neg() } else { elapsed_ms };
        ScheduledArrival {
            at_ms: self.heard_ms.saturating_add_signed(elapsed_ms),
            half_ms: half_ms.saturating_add(u64::from(tolerance.jitter_ms) + ROUNDING_MS),
        }
    }

    /// Sets the clock by a packet with a higher nonce, and measures the rate. A packet that was
    /// received before the last one sets the clock and measures nothing.
    pub fn observe(&mut self, received_ms: u64, clock_ms: u64, tolerance: ScheduleTolerance) {
        let Some(device_ms) = clock_ms.checked_sub(self.clock_ms).filter(|more| *more > 0) else {
            return;
        };
        let station_ms = received_ms.checked_sub(self.heard_ms);
        (self.heard_ms, self.clock_ms) = (received_ms, clock_ms);
        let longer = |before: u32, more: u64| u32::try_from(u64::from(before).saturating_add(more));
        let baseline = station_ms.and_then(|station_ms| {
            let station_ms = longer(self.baseline_ms, station_ms).ok()?;
            Some((station_ms, longer(self.baseline_clock_ms, device_ms).ok()?))
        });
        // Without one, the device was silent for seven weeks, or the station clock was set back.
        (self.baseline_ms, self.baseline_clock_ms) = baseline.unwrap_or_default();
        if baseline.is_some() {
            self.measure(tolerance);
        }
        if u64::from(self.baseline_clock_ms) > MAX_BASELINE_MS {
            (self.baseline_ms, self.baseline_clock_ms) = (0, 0);
        }
    }

    /// Takes the rate over the baseline, unless the known rate is more certain.
    fn measure(&mut self, tolerance: ScheduleTolerance) {
        let device_ms = i64::from(self.baseline_clock_ms);
        if device_ms == 0 {
            return;
        }
        let difference_ms = i64::from(self.baseline_ms) - device_ms;
        let measured_ppb = difference_ms.saturating_mul(BILLION).div_euclid(device_ms);
        let jitter_ppb =
            u64::from(tolerance.jitter_ms).saturating_mul(1_000_000_000) / device_ms.unsigned_abs();
        let half_ppb = jitter_ppb.saturating_add(RATE_SLACK_PPB);
        let distance_ppb = measured_ppb.abs_diff(self.rate_ppb.into());
        let is_apart = distance_ppb > half_ppb.saturating_add(self.rate_half_ppb.into());
        let most_ppb = tolerance.max_drift_ppb();
        if half_ppb >= most_ppb || (half_ppb > self.rate_half_ppb.into() && !is_apart) {
            return;
        }
        let most = i64::try_from(most_ppb).unwrap_or(i64::MAX);
        let rate_ppb = measured_ppb.clamp(most.saturating_neg(), most);
        self.rate_ppb = i32::try_from(rate_ppb).unwrap_or(0);
        self.rate_half_ppb = u32::try_from(half_ppb).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLERANCE: ScheduleTolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
    const NOW_MS: u64 = 1_764_000_000_000;

    #[test]
    fn a_measured_rate_narrows_the_window_of_a_silent_device() {
        let mut clock = ScheduleClock::heard_first(NOW_MS, 0, TOLERANCE);
        let hour = 3_600_000;
        // 25 ppm slow: 90 ms an hour.
        for packet in 1..=10 {
            let received_ms = NOW_MS + packet * (hour + 90);
            assert!(clock.arrival(packet * hour, TOLERANCE).holds(received_ms));
            clock.observe(received_ms, packet * hour, TOLERANCE);
        }
        let day = clock.arrival(34 * hour, TOLERANCE);
        assert!(day.at_ms.abs_diff(NOW_MS + 34 * (hour + 90)) < 5);
        let blind_ms = 24 * 3600 * 1000 * 30 / 1_000_000 + 50;
        assert!(day.half_ms < blind_ms / 2, "{}", day.half_ms);
    }

    #[test]
    fn a_packet_that_was_received_before_the_last_one_sets_the_clock_and_measures_nothing() {
        let mut clock = ScheduleClock::heard_first(NOW_MS, 7_000, TOLERANCE);
        let before = clock;
        for clock_ms in [6_999, 7_000] {
            clock.observe(NOW_MS + 1, clock_ms, TOLERANCE);
            assert_eq!(clock, before);
        }
        clock.observe(NOW_MS - 1, 8_000, TOLERANCE);
        assert_eq!(clock, ScheduleClock::heard_first(NOW_MS - 1, 8_000, TOLERANCE));
        // Packets behind the last one are expected before it.
        assert!(clock.arrival(3_000, TOLERANCE).holds(NOW_MS - 5_000));
    }

    #[test]
    fn times_at_the_ends_of_their_range_do_not_overflow() {
        for (received_ms, clock_ms) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
            let all = ScheduleTolerance { jitter_ms: u32::MAX, max_drift_ppm: u32::MAX };
            let mut clock = ScheduleClock::heard_first(received_ms, clock_ms, all);
            for other_ms in [0, 1, NOW_MS, u64::MAX] {
                let arrival = clock.arrival(other_ms, all);
                assert!(arrival.start_ms() <= arrival.end_ms());
                clock.observe(other_ms, other_ms, all);
            }
        }
    }

    proptest! {
        #[test]
        fn an_honest_packet_is_within_its_window(
            ppb in -30_000i64..=30_000,
            gaps in prop::collection::vec((1_000u64..200_000_000, 0u64..=50), 1..60),
        ) {
            let mut clock = ScheduleClock::heard_first(NOW_MS, 0, TOLERANCE);
            let mut device_ms = 0u64;
            for (gap, latency) in gaps {
                device_ms += gap;
                let elapsed = i64::try_from(device_ms).unwrap_or(0);
                let drift = elapsed * ppb / BILLION;
                let received_ms = (NOW_MS + device_ms + latency).saturating_add_signed(drift);
                let arrival = clock.arrival(device_ms, TOLERANCE);
                prop_assert!(
                    arrival.at_ms.abs_diff(received_ms) <= arrival.half_ms,
                    "{arrival:?} {received_ms}"
                );
                clock.observe(received_ms, device_ms, TOLERANCE);
            }
        }
    }
}
