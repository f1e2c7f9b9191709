//! Nonces: how a device chooses them, and what time they encode.

use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;

/// The number a device never repeats under one key.
///
/// Counters and steps stay below 2³²; days with a counter take all 64 bits
/// ([`NonceKind`]).
///
/// See the example of [`NonceKind`].
pub type Nonce = u64;

/// Seconds of a day. As in UNIX time, days have no leap seconds.
const DAY_S: u32 = 86_400;

/// The length of a time step: 1 s to one day.
///
/// See the example of [`NonceKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepLen(NonZeroU32);

impl StepLen {
    /// The longest step: one day.
    pub const MAX: Self = Self(NonZeroU32::new(DAY_S).unwrap());

    /// A step of `seconds`; `None` unless they are 1 to 86,400.
    pub const fn new(seconds: u32) -> Option<Self> {
        match NonZeroU32::new(seconds) {
            Some(seconds) if seconds.get() <= DAY_S => Some(Self(seconds)),
            _ => None,
        }
    }

    /// The length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0.get()
    }
}

/// How a device chooses its nonces.
///
/// The number and the name of a kind are part of file formats and of the command
/// line. They never change meaning.
///
/// ```
/// use hintdex_wire::{Nonce, NonceKind, StepLen};
///
/// // A nonce for each minute of the device's clock.
/// let kind = NonceKind::Step(StepLen::new(60).unwrap());
/// let nonce: Nonce = 1_764_000_000 / 60;
/// assert_eq!(kind.device_time_s(nonce), Some(1_764_000_000..1_764_000_060));
/// assert_eq!(NonceKind::from_name("step:60"), Some(kind));
///
/// // A day and a counter: 2³² packets a day.
/// let kind = NonceKind::DayCounter;
/// let today = 1_764_000_000 / 86_400;
/// assert_eq!(kind.first_of(today), today << 32);
/// assert_eq!(kind.unit_of(kind.first_of(today) + 7), today);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceKind {
    /// A 32-bit counter from 0 that each packet increments.
    #[default]
    Counter,
    /// `day_be4 ‖ counter_be4`: the days since 1970-01-01 UTC by the device's clock,
    /// and a counter that restarts at 0 each day.
    DayCounter,
    /// The 32-bit number of the time step that the device's clock is in, counted
    /// from 1970-01-01 UTC.
    Step(StepLen),
}

impl NonceKind {
    /// The number of this kind in files: 1, 2 or 3. Files store the length of a
    /// step beside it ([`unit_s`](Self::unit_s)).
    pub const fn number(self) -> u8 {
        match self {
            Self::Counter => 1,
            Self::DayCounter => 2,
            Self::Step(_) => 3,
        }
    }

    /// The kind that files encode as `number` and `unit_s`; `None` if this version
    /// does not know the pair.
    pub const fn from_number(number: u8, unit_s: u32) -> Option<Self> {
        match (number, unit_s) {
            (1, 0) => Some(Self::Counter),
            (2, DAY_S) => Some(Self::DayCounter),
            (3, seconds) => match StepLen::new(seconds) {
                Some(len) => Some(Self::Step(len)),
                None => None,
            },
            _ => None,
        }
    }

    /// The kind that the command line calls `name`: `counter`, `day-counter` or
    /// `step:SECONDS`; `None` for every other name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "counter" => Some(Self::Counter),
            "day-counter" => Some(Self::DayCounter),
            other => {
                let digits = other.strip_prefix("step:")?;
                let plain =
                    digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
                StepLen::new(digits.parse().ok().filter(|_| plain)?).map(Self::Step)
            }
        }
    }

    /// The length in seconds of a *unit* of time: the day or the step that the
    /// upper part of a nonce counts; 0 for a counter, which encodes no time.
    pub const fn unit_s(self) -> u32 {
        match self {
            Self::Counter => 0,
            Self::DayCounter => DAY_S,
            Self::Step(len) => len.seconds(),
        }
    }

    /// Whether a nonce encodes the time at which the device chose it.
    pub const fn is_clocked(self) -> bool {
        !matches!(self, Self::Counter)
    }

    /// The last nonce of this kind. It is below [`Nonce::MAX`], so that every range
    /// of nonces has an end: the last counter of the last day is never used.
    pub const fn max_nonce(self) -> Nonce {
        match self {
            Self::Counter | Self::Step(_) => u32::MAX as Nonce,
            Self::DayCounter => Nonce::MAX - 1,
        }
    }

    /// The last unit of time that has nonces.
    pub const fn max_unit(self) -> u64 {
        u32::MAX as u64
    }

    /// The unit of time in which the device chose `nonce`; 0 for a counter.
    pub const fn unit_of(self, nonce: Nonce) -> u64 {
        match self {
            Self::Counter => 0,
            Self::DayCounter => nonce >> 32,
            Self::Step(_) => nonce,
        }
    }

    /// The first nonce of a unit of time; 0 for a counter. A day past the last day
    /// yields [`Nonce::MAX`], which is no nonce.
    pub const fn first_of(self, unit: u64) -> Nonce {
        match self {
            Self::Counter => 0,
            Self::DayCounter if unit > u32::MAX as u64 => Nonce::MAX,
            Self::DayCounter => unit << 32,
            Self::Step(_) => unit,
        }
    }

    /// The reading of the device's clock when it chose `nonce`, as a range of seconds
    /// since 1970; `None` for a counter.
    pub const fn device_time_s(self, nonce: Nonce) -> Option<Range<u64>> {
        if !self.is_clocked() {
            return None;
        }
        // A day is below 2³² by its type. A step is below 2³² by its kind; a larger
        // number saturates.
        let start = self.unit_of(nonce).saturating_mul(self.unit_s() as u64);
        Some(start..start.saturating_add(self.unit_s() as u64))
    }
}

impl fmt::Display for NonceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter => f.pad("counter"),
            Self::DayCounter => f.pad("day-counter"),
            Self::Step(len) => write!(f, "step:{}", len.seconds()),
        }
    }
}
