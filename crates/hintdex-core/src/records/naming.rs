//! The record of a fleet whose packets have no hint that the index holds.

use hintdex_wire::{EphemeralSuite, HintScheme, Schedule, StationPoint};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use crate::naming::Naming;
use crate::time::ScheduleTolerance;

/// The kinds of naming, in files.
const X25519: u8 = 1;
const X25519_SEQ: u8 = 2;
const SCHEDULE: u8 = 3;

/// How packets name their devices without the index. Absent where packets have hints.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct NamingRecord {
    kind: u8,
    head_scheme: u8,
    reserved: [u8; 2],
    min_ms: U32,
    max_ms: U32,
    jitter_ms: U32,
    max_drift_ppm: U32,
    station_point: [u8; 32],
}

impl NamingRecord {
    /// The record of `naming`; `None` for hints, which have none.
    pub(crate) fn of(naming: &Naming) -> Option<Self> {
        let zeros = Self::new_zeroed();
        match naming {
            Naming::Hint => None,
            Naming::Ephemeral { suite, station } => {
                let kind = match suite {
                    EphemeralSuite::X25519 => X25519,
                    EphemeralSuite::X25519Seq => X25519_SEQ,
                };
                Some(Self { kind, station_point: station.0, ..zeros })
            }
            Naming::Schedule { schedule, head, tolerance } => Some(Self {
                kind: SCHEDULE,
                head_scheme: head.map_or(0, HintScheme::number),
                min_ms: schedule.min_ms().into(),
                max_ms: schedule.max_ms().into(),
                jitter_ms: tolerance.jitter_ms.into(),
                max_drift_ppm: tolerance.max_drift_ppm.into(),
                ..zeros
            }),
        }
    }

    /// How packets name their devices by these bytes; by hints if there are none.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn parse(bytes: Option<&[u8]>) -> Result<Naming, Unsound> {
        const BAD: Unsound = "it names devices in a way that no version writes";
        let Some(bytes) = bytes else { return Ok(Naming::Hint) };
        let record = Self::read_from_bytes(bytes).map_err(|_| BAD)?;
        let station = StationPoint(record.station_point);
        let naming = match record.kind {
            X25519 => Naming::Ephemeral { suite: EphemeralSuite::X25519, station },
            X25519_SEQ => Naming::Ephemeral { suite: EphemeralSuite::X25519Seq, station },
            SCHEDULE => Naming::Schedule {
                schedule: Schedule::new(record.min_ms.get(), record.max_ms.get()).ok_or(BAD)?,
                head: HintScheme::from_number(record.head_scheme),
                tolerance: ScheduleTolerance {
                    jitter_ms: record.jitter_ms.get(),
                    max_drift_ppm: record.max_drift_ppm.get(),
                },
            },
            _ => return Err(BAD),
        };
        // A record with other bytes than its naming has is damaged.
        let written = Self::of(&naming);
        written.filter(|written| written.as_bytes() == bytes).map(|_| naming).ok_or(BAD)
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("naming", NamingRecord: kind, head_scheme, reserved, min_ms, max_ms, jitter_ms,
        max_drift_ppm, station_point)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_naming_is_read_as_it_was_written_and_a_changed_byte_is_noticed_or_another_naming() {
        let station = StationPoint([7; 32]);
        let schedule = Schedule::new(600_000, 4_200_000).expect("a schedule");
        let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
        let short = HintScheme::from_name("aes128-trunc:4");
        let namings = [
            Naming::Ephemeral { suite: EphemeralSuite::X25519, station },
            Naming::Ephemeral { suite: EphemeralSuite::X25519Seq, station },
            Naming::Schedule { schedule, head: None, tolerance },
            Naming::Schedule { schedule, head: short, tolerance },
        ];
        assert_eq!(NamingRecord::parse(None), Ok(Naming::Hint));
        for naming in namings {
            let record = NamingRecord::of(&naming).expect("it has no hints");
            let bytes = record.as_bytes();
            assert_eq!(NamingRecord::parse(Some(bytes)), Ok(naming));
            assert!(bytes.get(1..).is_some_and(|cut| NamingRecord::parse(Some(cut)).is_err()));
            for at in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x40);
                assert_ne!(NamingRecord::parse(Some(&changed)), Ok(naming), "byte {at}");
            }
        }
    }
}
