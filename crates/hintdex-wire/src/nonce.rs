//! Nonces: how a device makes them, and what time they tell.

use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;

/// The number a device never repeats under one key.
///
/// Counters and steps stay below 2³²; days with a counter take all 64 bits
/// ([`NonceKind`]).
pub type Nonce = u64;

/// Seconds of a day. Days have no leap seconds here: they count as UNIX time does.
const DAY_S: u32 = 86_400;

/// The length of a time step: 1 s to one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepLen(NonZeroU32);

impl StepLen {
    /// The longest: a day.
    pub const MAX: Self = Self(NonZeroU32::new(DAY_S).unwrap());

    /// A step of `seconds`, if they are 1 to 86,400.
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

/// How a device makes its nonces.
///
/// Its number and its name are part of file formats and of the command line: they
/// never change meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceKind {
    /// A counter from 0, one more with every packet: 32 bits.
    #[default]
    Counter,
    /// `day_be4 ‖ counter_be4`: the days since 1970-01-01 UTC by the device's clock,
    /// and a counter that begins at 0 each day.
    DayCounter,
    /// The number of the time step that the device's clock is in, counted from
    /// 1970-01-01 UTC: 32 bits.
    Step(StepLen),
}

impl NonceKind {
    /// The number that stands for this kind in files: 1, 2 or 3. The length of a
    /// step stands beside it ([`unit_s`](Self::unit_s)).
    pub const fn number(self) -> u8 {
        match self {
            Self::Counter => 1,
            Self::DayCounter => 2,
            Self::Step(_) => 3,
        }
    }

    /// The kind a file means by `number` and `unit_s`, if this version knows it.
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

    /// The kind called `name` on the command line: `counter`, `day-counter` or
    /// `step:SECONDS`.
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

    /// The seconds of a *unit* of time, which is what the upper part of a nonce
    /// counts: a day or a step; 0 for a counter, which tells no time.
    pub const fn unit_s(self) -> u32 {
        match self {
            Self::Counter => 0,
            Self::DayCounter => DAY_S,
            Self::Step(len) => len.seconds(),
        }
    }

    /// Whether nonces tell the time at which they were made.
    pub const fn tells_time(self) -> bool {
        !matches!(self, Self::Counter)
    }

    /// The last nonce of this kind. One more is a number, too, so that ranges have
    /// an end: of day ‖ counter the very last counter of the last day is not used.
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

    /// The unit of time `nonce` was made in; 0 for a counter.
    pub const fn unit_of(self, nonce: Nonce) -> u64 {
        match self {
            Self::Counter => 0,
            Self::DayCounter => nonce >> 32,
            Self::Step(_) => nonce,
        }
    }

    /// The first nonce of a unit of time, and none past the last unit; 0 for a counter.
    pub const fn first_of(self, unit: u64) -> Nonce {
        match self {
            Self::Counter => 0,
            Self::DayCounter if unit > u32::MAX as u64 => Nonce::MAX,
            Self::DayCounter => unit << 32,
            Self::Step(_) => unit,
        }
    }

    /// What the device's clock showed when it made `nonce`: from the first second,
    /// since 1970, to the one after the last. `None` for a counter.
    pub const fn device_time_s(self, nonce: Nonce) -> Option<Range<u64>> {
        if !self.tells_time() {
            return None;
        }
        // A unit is below 2³² or a step, which is below 2³², too: no product overflows.
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
