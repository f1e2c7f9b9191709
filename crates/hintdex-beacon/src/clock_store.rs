//! What was learned of the beacons' clocks, kept from one run to the next.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use zerocopy::{FromBytes, IntoBytes};

use crate::bounds::{Allowance, ClockBounds};
use crate::folder::Folder;
use crate::hypotheses::{Alternatives, MAX_SUSPECTED, Outcome};
use crate::hypothesis::{Evidence, Hypothesis, NEVER_HEARD};
use crate::records::{BeaconRecord, ClockOf, ClockRecord, ClocksHeader};
use crate::registry::Registry;
use crate::{Error, Event, format};

/// The file's name.
pub const CLOCKS_FILE: &str = "beacons.clocks";

const REMEDY: &str = "remove it, and clocks are learned anew from the registrations on";

/// The clocks of all beacons, by slot.
#[derive(Debug)]
pub struct ClockStore {
    known: Vec<Hypothesis>,
    /// What is thought beside that, of the few of which anything is.
    others: HashMap<u32, Alternatives>,
    /// How many clocks were ever moved to where nobody expected them. A window that
    /// was built before the last move lacks what the moved beacon sends.
    moves: u64,
    /// Whether there is something to save.
    changed: bool,
}

/// The clocks that windows are built of.
#[derive(Clone, Debug, Default)]
pub struct ServedClocks {
    known: Vec<ClockBounds>,
    former: HashMap<u32, ClockBounds>,
    /// How many clocks had moved.
    pub moves: u64,
}

impl ServedClocks {
    /// The clocks of a beacon: what is known, and what was known before.
    pub fn of(&self, slot: u32) -> impl Iterator<Item = &ClockBounds> {
        self.known.get(slot as usize).into_iter().chain(self.former.get(&slot))
    }
}

/// What is wrong with the records of a file.
#[derive(Default)]
struct Losses {
    records: u64,
    first_offset_bytes: u64,
}

impl Losses {
    const fn add(&mut self, offset_bytes: u64, records: u64) {
        if self.records == 0 {
            self.first_offset_bytes = offset_bytes;
        }
        self.records += records;
    }
}

impl ClockStore {
    /// What the folder knows; of beacons of which it knows nothing, what their
    /// registrations say. A damaged record costs what it says and no more, and is told.
    pub fn read(
        folder: &Folder,
        registry: &Registry,
        events: &mut Vec<Event>,
    ) -> Result<Self, Error> {
        let path = folder.file(CLOCKS_FILE);
        let registered = registry.rows().iter().map(BeaconRecord::registered_clock);
        let known = registered.map(Hypothesis::measured).collect();
        let mut learned = Self { known, others: HashMap::new(), moves: 0, changed: true };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(learned),
            Err(error) => return Err(Error::io("reading the clocks", &path)(error)),
        };
        let header = check_header(&path, &bytes, registry)?;
        let mut losses = Losses::default();
        let records = bytes.get(size_of::<ClocksHeader>()..).unwrap_or_default();
        let (whole, rest) = records.as_chunks::<{ size_of::<ClockRecord>() }>();
        for (at, bytes) in whole.iter().enumerate() {
            let record = ClockRecord::read_from_bytes(bytes).ok();
            let read = record.and_then(|record| record.read(registry.folder_id()));
            if read.is_none_or(|(slot, of)| !learned.restore(slot, of)) {
                losses.add((size_of::<ClocksHeader>() + at * bytes.len()) as u64, 1);
            }
        }
        match &header {
            Some(header) => {
                let missing = header.records.get().saturating_sub(whole.len() as u64);
                if missing > 0 || !rest.is_empty() {
                    losses.add(bytes.len() as u64, missing.max(1));
                }
                (learned.moves, learned.changed) = (header.moves.get(), false);
            }
            None => losses.add(0, 0),
        }
        if losses.records > 0 || header.is_none() {
            let Losses { records, first_offset_bytes: offset_bytes } = losses;
            events.push(Event::ClocksDamaged { path, records, offset_bytes });
            // Windows were built of what is lost now; no run has ever had this number.
            learned.moves = getrandom::u64().unwrap_or(u64::MAX);
            learned.changed = true;
        }
        Ok(learned)
    }

    /// Takes what a record says; `false` when that cannot be true here.
    fn restore(&mut self, slot: u32, of: ClockOf) -> bool {
        let Some(known) = self.known.get_mut(slot as usize) else { return false };
        let others = match of {
            ClockOf::Known(clock) => {
                *known = clock;
                return true;
            }
            _ => self.others.entry(slot).or_default(),
        };
        match of {
            ClockOf::Former(former) if others.former.is_none() => others.former = Some(former),
            ClockOf::Suspected(clock) if others.suspected.len() < MAX_SUSPECTED => {
                others.suspected.push(clock);
            }
            _ => return false,
        }
        true
    }

    /// Keeps what was learned, durably; writes nothing if nothing was.
    pub fn save(&mut self, folder: &Folder, registry: &Registry) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        let records = self.records(registry);
        let header = ClocksHeader {
            magic: format::CLOCKS_MAGIC,
            version: format::CLOCKS_VERSION.into(),
            reserved: [0; 6],
            records: (records.len() as u64).into(),
            folder_id: *registry.folder_id(),
            moves: self.moves.into(),
            crc: 0.into(),
        };
        folder.publish(CLOCKS_FILE, &[header.sealed().as_bytes(), records.as_bytes()])?;
        self.changed = false;
        Ok(())
    }

    /// A record of each hypothesis that is not what the registration says.
    fn records(&self, registry: &Registry) -> Vec<ClockRecord> {
        let mut all = Vec::new();
        for (slot, row) in (0_u32..).zip(registry.rows()) {
            for of in self.learned(slot, row) {
                let record = ClockRecord::new(slot, &of, registry.folder_id());
                // The reader's rule: what it would refuse is not written.
                all.extend(record.read(registry.folder_id()).map(|_| record));
            }
        }
        all
    }

    /// The hypotheses of a beacon's clock that its registration does not imply.
    pub fn learned(&self, slot: u32, row: &BeaconRecord) -> Vec<ClockOf> {
        let known = self.known.get(slot as usize).copied();
        let known = known.filter(|known| *known != Hypothesis::measured(row.registered_clock()));
        let mut all: Vec<ClockOf> = known.map(ClockOf::Known).into_iter().collect();
        if let Some(others) = self.others.get(&slot) {
            all.extend(others.former.map(ClockOf::Former));
            all.extend(others.suspected.iter().copied().map(ClockOf::Suspected));
        }
        all
    }

    /// Takes a hypothesis that was learned in another folder. One too many is dropped.
    pub fn restore_moved(&mut self, slot: u32, of: ClockOf) {
        self.restore(slot, of);
        self.moves = self.moves.wrapping_add(1);
        self.changed = true;
    }

    /// Whether the beacon was heard where it is expected.
    pub fn was_heard(&self, slot: u32) -> bool {
        let known = self.known.get(slot as usize);
        known.is_some_and(|known| known.newest().0 != NEVER_HEARD)
    }

    /// The clocks that a window is built of now.
    pub fn served(&self) -> ServedClocks {
        let former = |(slot, others): (&u32, &Alternatives)| {
            others.former.map(|former| (*slot, *former.clock.bounds()))
        };
        ServedClocks {
            known: self.known.iter().map(|clock| *clock.bounds()).collect(),
            former: self.others.iter().filter_map(former).collect(),
            moves: self.moves,
        }
    }

    /// Where a beacon is expected.
    pub fn known(&self, slot: u32) -> Option<&ClockBounds> {
        self.known.get(slot as usize).map(Hypothesis::bounds)
    }

    /// Where it was expected before its clock moved last.
    pub fn former(&self, slot: u32) -> Option<&ClockBounds> {
        let former = self.others.get(&slot)?.former.as_ref()?;
        Some(former.clock.bounds())
    }

    /// Where one rotation has put it.
    pub fn suspected(&self, slot: u32) -> impl Iterator<Item = &ClockBounds> {
        let others = self.others.get(&slot).into_iter();
        others.flat_map(|others| others.suspected.iter().map(Hypothesis::bounds))
    }

    /// Every suspected clock there is, and whose it is.
    pub fn all_suspected(&self) -> impl Iterator<Item = (u32, &ClockBounds)> {
        self.others.keys().flat_map(|slot| self.suspected(*slot).map(|clock| (*slot, clock)))
    }

    /// What is held in memory, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let suspected: usize = self.others.values().map(|others| others.suspected.len()).sum();
        let others = self.others.len() * size_of::<(u32, Alternatives)>();
        ((self.known.len() + suspected) * size_of::<Hypothesis>() + others) as u64
    }

    /// Takes in a sighting, at what is the present.
    pub fn hear(
        &mut self,
        slot: u32,
        seen: &Evidence,
        present_unix_s: u64,
        allowed: Allowance,
    ) -> Outcome {
        let Some(known) = self.known.get_mut(slot as usize) else { return Outcome::Nothing };
        let mut none = Alternatives::default();
        let others = self.others.get_mut(&slot);
        let is_there = others.is_some();
        let others = others.unwrap_or(&mut none);
        let outcome = others.hear(known, seen, present_unix_s, allowed);
        if others.is_empty() {
            if is_there {
                self.others.remove(&slot);
            }
        } else if !is_there {
            self.others.insert(slot, none);
        }
        self.moves = self.moves.wrapping_add((outcome == Outcome::Moved).into());
        self.changed = true;
        outcome
    }

    /// Forgets all that was learned of a beacon's clock.
    pub fn forget(&mut self, slot: u32, registered: ClockBounds) {
        if let Some(known) = self.known.get_mut(slot as usize) {
            *known = Hypothesis::measured(registered);
            self.others.remove(&slot);
            self.moves = self.moves.wrapping_add(1);
            self.changed = true;
        }
    }
}

/// The header, or nothing if it is damaged, which costs only what stands in it.
///
/// What another program or another folder wrote is refused: it would be written over.
fn check_header(
    path: &Path,
    bytes: &[u8],
    registry: &Registry,
) -> Result<Option<ClocksHeader>, Error> {
    let foreign = |what, offset_bytes| {
        Err(Error::Damaged { path: path.to_owned(), what, offset_bytes, remedy: REMEDY })
    };
    if let Some((magic, rest)) = bytes.split_first_chunk::<8>() {
        if *magic != format::CLOCKS_MAGIC {
            return foreign("these are no clocks of beacons", 0);
        }
        let got = rest.first_chunk().map_or(0, |version| u16::from_le_bytes(*version));
        if got > format::CLOCKS_VERSION {
            let newest = format::CLOCKS_VERSION;
            return Err(Error::NewerVersion { path: path.to_owned(), got, newest });
        }
    }
    let header = ClocksHeader::read_from_prefix(bytes).ok().map(|(header, _)| header);
    let header = header.filter(ClocksHeader::is_whole);
    if header.is_some_and(|header| header.folder_id != *registry.folder_id()) {
        return foreign("the clocks are those of other beacons", 24);
    }
    Ok(header)
}
