//! What was learned of the beacons' clocks, kept from one run to the next.

use std::fs;
use std::io;

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bounds::{Allowance, ClockBounds};
use crate::folder::Folder;
use crate::registry::{BeaconRecord, Registry};
use crate::{Error, format};

/// The file's name.
pub const CLOCKS_FILE: &str = "beacons.clocks";

const REMEDY: &str = "remove it, and clocks are learned anew from the registrations on";

/// What the file begins with.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ClocksHeader {
    pub magic: [u8; 8],
    pub version: U16,
    pub reserved: [u8; 2],
    pub beacons: U32,
    pub folder_id: [u8; 16],
    pub moves: U64,
}

/// The bounds of a beacon's clock.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ClockRecord {
    pub least_us: I64,
    pub most_us: I64,
    pub heard_unix_s: U64,
}

/// The clocks of all beacons, by slot.
#[derive(Debug)]
pub struct Learned {
    bounds: Vec<ClockBounds>,
    /// How many clocks were ever moved to where nobody expected them. A window that
    /// was built before the last move lacks what the moved beacon sends.
    moves: u64,
    /// Whether there is something to save.
    changed: bool,
}

impl Learned {
    /// What the folder knows; of beacons registered since it was saved, what their
    /// registrations say.
    pub fn read(folder: &Folder, registry: &Registry) -> Result<Self, Error> {
        let path = folder.file(CLOCKS_FILE);
        let registered = registry.rows().iter().map(BeaconRecord::registered_clock);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { bounds: registered.collect(), moves: 0, changed: true });
            }
            Err(error) => return Err(Error::io("reading the clocks", &path)(error)),
        };
        let damaged = |what, offset: usize| Error::Damaged {
            path: path.clone(),
            what,
            offset_bytes: offset as u64,
            remedy: REMEDY,
        };
        let (header, rest) = ClocksHeader::ref_from_prefix(&bytes)
            .map_err(|_| damaged("the clocks end too early", 0))?;
        if header.magic != format::CLOCKS_MAGIC {
            return Err(damaged("these are no clocks of beacons", 0));
        }
        let (got, newest) = (header.version.get(), format::CLOCKS_VERSION);
        if got > newest {
            return Err(Error::NewerVersion { path, got, newest });
        }
        let (all, stored) = bytes.split_last_chunk::<4>().unwrap_or((&bytes, &[0; 4]));
        if crc32fast::hash(all) != u32::from_le_bytes(*stored) {
            return Err(damaged("the checksum of the clocks is wrong", all.len()));
        }
        let count = header.beacons.get() as usize;
        let records = rest.split_last_chunk::<4>().map_or(rest, |(records, _)| records);
        let records = <[ClockRecord]>::ref_from_bytes(records)
            .ok()
            .filter(|records| records.len() == count)
            .ok_or_else(|| damaged("the clocks are not as many as their header says", 12))?;
        if header.folder_id != *registry.folder_id() || count > registered.len() {
            return Err(damaged("the clocks are those of other beacons", 16));
        }
        let mut bounds: Vec<_> = records.iter().map(ClockBounds::from).collect();
        let sound = header.reserved == [0; 2] && got == newest;
        if !sound || !bounds.iter().all(ClockBounds::is_sound) {
            return Err(damaged("the clocks hold what they may not", 8));
        }
        let changed = count < registered.len();
        bounds.extend(registered.skip(count));
        Ok(Self { bounds, moves: header.moves.get(), changed })
    }

    /// Keeps what was learned, durably; writes nothing if nothing was.
    pub fn save(&mut self, folder: &Folder, registry: &Registry) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        let header = ClocksHeader {
            magic: format::CLOCKS_MAGIC,
            version: format::CLOCKS_VERSION.into(),
            reserved: [0; 2],
            beacons: registry.len().into(),
            folder_id: *registry.folder_id(),
            moves: self.moves.into(),
        };
        let records: Vec<_> = self.bounds.iter().map(ClockRecord::from).collect();
        let mut crc = crc32fast::Hasher::new();
        crc.update(header.as_bytes());
        crc.update(records.as_bytes());
        let crc = crc.finalize().to_le_bytes();
        folder.publish(CLOCKS_FILE, &[header.as_bytes(), records.as_bytes(), &crc])?;
        self.changed = false;
        Ok(())
    }

    /// The clocks of all beacons, by slot.
    pub fn bounds(&self) -> &[ClockBounds] {
        &self.bounds
    }

    pub fn get(&self, slot: u32) -> Option<&ClockBounds> {
        self.bounds.get(slot as usize)
    }

    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// Takes in a sighting at about where the clock was expected.
    pub fn meet(&mut self, slot: u32, seen: &ClockBounds, allowed: Allowance) {
        if let Some(bounds) = self.bounds.get_mut(slot as usize) {
            *bounds = bounds.meet(seen, allowed);
            self.changed = true;
        }
    }

    /// Moves a clock to where it was not expected.
    pub fn move_to(&mut self, slot: u32, moved: ClockBounds) {
        if let Some(bounds) = self.bounds.get_mut(slot as usize) {
            *bounds = moved;
            self.moves += 1;
            self.changed = true;
        }
    }
}

impl From<&ClockRecord> for ClockBounds {
    fn from(record: &ClockRecord) -> Self {
        Self {
            least_us: record.least_us.get(),
            most_us: record.most_us.get(),
            heard_unix_s: record.heard_unix_s.get(),
        }
    }
}

impl From<&ClockBounds> for ClockRecord {
    fn from(bounds: &ClockBounds) -> Self {
        Self {
            least_us: bounds.least_us.into(),
            most_us: bounds.most_us.into(),
            heard_unix_s: bounds.heard_unix_s.into(),
        }
    }
}
