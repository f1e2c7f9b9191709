//! How the packets of a fleet name their devices.

use hintdex_wire::{EphemeralSuite, HintScheme, Schedule, StationPoint};

use crate::time::ScheduleTolerance;

/// How a packet names its device. Fixed when the index is created.
///
/// ```
/// use hintdex_core::{Naming, Params};
/// use hintdex_wire::{EphemeralSuite, StationSecret};
///
/// let station = *StationSecret::new(&[9; 32]).point();
/// let params = Params::ephemeral(EphemeralSuite::X25519, station);
/// assert_eq!(params.naming, Naming::Ephemeral { suite: EphemeralSuite::X25519, station });
/// assert!(!params.naming.has_index());
/// assert_eq!(params.lookahead, 0);
/// params.check().unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// By the hint at its head, which the windows and snapshots of the index resolve.
    #[default]
    Hint,
    /// By an encrypted id, under a key that the device agrees on with the station for each packet.
    Ephemeral {
        /// Which of these packets the devices send.
        suite: EphemeralSuite,
        /// The point of the station, which the devices know.
        station: StationPoint,
    },
    /// By its time: the delay to the next packet is a keyed function of the nonce.
    Schedule {
        /// The delays.
        schedule: Schedule,
        /// The scheme of the hint that stands in front of each packet; `None` if none does.
        head: Option<HintScheme>,
        /// How exact times of reception and the clocks of devices are.
        tolerance: ScheduleTolerance,
    },
}

impl Naming {
    /// Whether the index holds hints. Without them, windows and snapshots are empty.
    pub const fn has_index(&self) -> bool {
        matches!(self, Self::Hint)
    }

    /// Whether the packets of devices follow a schedule.
    pub const fn is_schedule(&self) -> bool {
        matches!(self, Self::Schedule { .. })
    }

    /// Whether packets have no nonce, so that their ephemeral points are stored to recognize a repeat.
    pub const fn has_points(&self) -> bool {
        matches!(self, Self::Ephemeral { suite: EphemeralSuite::X25519, .. })
    }

    /// The name of packets that name their devices so, on the command line; `None` for hints,
    /// which have [names of their own](HintScheme::name).
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Hint => None,
            Self::Ephemeral { suite, .. } => Some(suite.name()),
            Self::Schedule { .. } => Some("schedule"),
        }
    }
}
