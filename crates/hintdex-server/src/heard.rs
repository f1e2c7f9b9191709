//! When devices were last heard, for the page.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most devices that are followed: 16 MiB.
const MAX_DEVICES: usize = 1 << 20;
/// The most moved clocks that are listed.
const MAX_MOVES: usize = 16;
/// The most silent devices that are listed.
const MAX_LISTED: usize = 16;

/// When each device of a station was last heard since the service started.
#[derive(Debug, Default)]
pub struct Heard {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the place of the fleet and the device: seconds since 1970.
    last_unix_s: HashMap<(u8, u32), u32>,
    moves: std::collections::VecDeque<(usize, u32, u64)>,
    moves_total: u64,
}

/// A figure of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeardFigures {
    pub last_hour: usize,
    pub last_day: usize,
    pub silent: usize,
    /// The longest silent devices: fleet, device, and when each was last heard.
    pub silent_devices: Vec<(usize, u32, u64)>,
    pub moved: u64,
    /// The last devices whose clocks jumped: fleet, device, and when.
    pub moved_devices: Vec<(usize, u32, u64)>,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked can have lost a time and nothing else.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that devices were heard at `unix_s`.
    pub fn hear(&self, devices: &[(usize, u32)], unix_s: u64) {
        let at = u32::try_from(unix_s).unwrap_or(u32::MAX);
        let mut inner = self.lock();
        for (fleet, device) in devices {
            let key = (u8::try_from(*fleet).unwrap_or(u8::MAX), *device);
            if inner.last_unix_s.len() < MAX_DEVICES || inner.last_unix_s.contains_key(&key) {
                inner.last_unix_s.insert(key, at);
            }
        }
    }

    /// Records that the clock of a device jumped.
    pub fn moved(&self, fleet: usize, device: u32, unix_s: u64) {
        let mut inner = self.lock();
        inner.moves_total += 1;
        inner.moves.push_front((fleet, device, unix_s));
        inner.moves.truncate(MAX_MOVES);
    }

    /// The figures at `unix_s`. A device is silent that was not heard for `silent_s`.
    pub fn figures(&self, unix_s: u64, silent_s: u64) -> HeardFigures {
        let inner = self.lock();
        let mut figures = HeardFigures {
            moved: inner.moves_total,
            moved_devices: inner.moves.iter().copied().collect(),
            ..HeardFigures::default()
        };
        let mut silent = Vec::new();
        for ((fleet, device), at) in &inner.last_unix_s {
            let age_s = unix_s.saturating_sub(u64::from(*at));
            figures.last_hour += usize::from(age_s <= 3_600);
            figures.last_day += usize::from(age_s <= 86_400);
            if age_s > silent_s {
                silent.push((usize::from(*fleet), *device, u64::from(*at)));
            }
        }
        figures.silent = silent.len();
        silent.sort_unstable_by_key(|(fleet, device, at)| (*at, *fleet, *device));
        silent.truncate(MAX_LISTED);
        figures.silent_devices = silent;
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;

    #[test]
    fn devices_are_counted_by_the_time_they_were_last_heard() {
        let heard = Heard::default();
        heard.hear(&[(0, 1), (0, 2), (1, 1)], 100_000);
        heard.hear(&[(0, 1)], 190_000);
        heard.moved(1, 5, 190_001);
        let figures = heard.figures(190_100, 80_000);
        assert_eq!((figures.last_hour, figures.last_day, figures.silent), (1, 1, 2));
        assert_eq!(figures.silent_devices, [(0, 2, 100_000), (1, 1, 100_000)]);
        assert_eq!((figures.moved, figures.moved_devices), (1, vec![(1, 5, 190_001)]));
    }
}
