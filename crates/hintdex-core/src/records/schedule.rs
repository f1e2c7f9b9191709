//! The record of a slot whose packets follow a schedule: the clock of its device.

use zerocopy::little_endian::{I32, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use crate::time::ScheduleClock;

/// The clock of a slot, behind its [`StateRecord`](super::StateRecord); present where packets
/// follow a schedule. All zero before the first packet.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct ScheduleRecord {
    heard_unix_ms: U64,
    clock_ms: U64,
    baseline_ms: U32,
    baseline_clock_ms: U32,
    rate_ppb: I32,
    rate_half_ppb: U32,
}

impl ScheduleRecord {
    /// The record of a clock, or of a slot that was never heard.
    pub(crate) fn of(clock: Option<&ScheduleClock>) -> Self {
        let Some(clock) = clock else { return Self::new_zeroed() };
        Self {
            // The first millisecond of 1970 stands for no time.
            heard_unix_ms: clock.heard_ms.max(1).into(),
            clock_ms: clock.clock_ms.into(),
            baseline_ms: clock.baseline_ms.into(),
            baseline_clock_ms: clock.baseline_clock_ms.into(),
            rate_ppb: clock.rate_ppb.into(),
            rate_half_ppb: clock.rate_half_ppb.into(),
        }
    }

    /// The clock; `None` if no time of a packet is known.
    pub(crate) fn clock(&self) -> Option<ScheduleClock> {
        (self.heard_unix_ms.get() > 0).then(|| ScheduleClock {
            heard_ms: self.heard_unix_ms.get(),
            clock_ms: self.clock_ms.get(),
            baseline_ms: self.baseline_ms.get(),
            baseline_clock_ms: self.baseline_clock_ms.get(),
            rate_ppb: self.rate_ppb.get(),
            rate_half_ppb: self.rate_half_ppb.get(),
        })
    }

    /// Checks that a slot with this next nonce can have the record.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn check(&self, next_nonce: u64) -> Result<(), Unsound> {
        let Some(clock) = self.clock() else {
            let is_zero = *self == Self::new_zeroed();
            return if is_zero { Ok(()) } else { Err("its clock has no time") };
        };
        if next_nonce == 0 {
            return Err("its clock was set by a packet, and no packet was accepted");
        }
        if u64::from(clock.baseline_clock_ms) > clock.clock_ms {
            return Err("its rate was measured from before its first packet");
        }
        if clock.rate_ppb.unsigned_abs() > 1_000_000_000 {
            return Err("its clock runs backwards");
        }
        Ok(())
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("schedule", ScheduleRecord: heard_unix_ms, clock_ms, baseline_ms, baseline_clock_ms,
        rate_ppb, rate_half_ppb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ScheduleTolerance;

    #[test]
    fn a_clock_is_read_as_it_was_stored_and_not_without_a_packet() {
        let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
        let mut clock = ScheduleClock::heard_first(1_764_000_000_123, 7_000, tolerance);
        clock.observe(1_764_003_600_200, 3_607_000, tolerance);
        let record = ScheduleRecord::of(Some(&clock));
        assert_eq!(record.clock(), Some(clock));
        assert_eq!((record.check(1), record.check(0).is_err()), (Ok(()), true));
        let fresh = ScheduleRecord::of(None);
        assert_eq!((fresh.clock(), fresh.check(0), fresh.check(5)), (None, Ok(()), Ok(())));
        let bad = |change: &dyn Fn(&mut ScheduleRecord)| {
            let mut record = record;
            change(&mut record);
            record.check(1).is_err()
        };
        assert!(bad(&|record| record.heard_unix_ms = 0.into()));
        assert!(bad(&|record| record.baseline_clock_ms = 3_607_001.into()));
        assert!(bad(&|record| record.rate_ppb = (-1_000_000_001).into()));
    }
}
