//! What a resolver holds.

use crate::Resolver;
use crate::records::BeaconRecord;
use crate::window::Window;

/// What a resolver holds.
///
/// See the example of [`Resolver`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Beacons that are registered.
    pub beacons: u32,
    /// Windows that are open.
    pub windows: Vec<WindowStats>,
    /// The length of the file of what beacons send at first, 0 before it is needed.
    pub epoch_bytes: u64,
    /// What is held in memory beside the files' pages.
    pub memory_bytes: u64,
    /// Suspected clocks: where one rotation has put a beacon that nobody expected there.
    pub suspected: usize,
}

/// A window that is open.
///
/// See the example of [`Resolver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowStats {
    /// When it begins.
    pub start_unix_s: u64,
    /// The identifiers it holds.
    pub identifiers: u64,
    /// The length of its file.
    pub bytes: u64,
}

impl Resolver {
    /// What it holds.
    pub fn stats(&self) -> Stats {
        let window = |(number, window): (u64, &Window)| {
            let (identifiers, bytes) = window.size();
            WindowStats { start_unix_s: self.maker.start_unix_s(number), identifiers, bytes }
        };
        let beacons = self.maker.registry.len();
        let rows = u64::from(beacons) * size_of::<BeaconRecord>() as u64;
        Stats {
            beacons,
            windows: self.windows.iter().map(window).collect(),
            epoch_bytes: self.epoch.as_ref().map_or(0, |epoch| epoch.size().1),
            memory_bytes: rows + self.learned.memory_bytes() + self.identities.memory_bytes(),
            suspected: self.learned.all_suspected().count(),
        }
    }
}
