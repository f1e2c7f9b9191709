//! The contestants: ours and the peers, each written as its own users would.

mod chain;
mod fjall;
mod fst;
mod hashmap;
mod live;
mod lmdb;
mod named;
mod postgres;
mod ptrhash;
mod python;
mod redb;
mod redis;
mod rocks;
mod server;
mod snapshot;
mod sorted;
mod sqlite;
mod vfunc;

use hintdex_wire::Hint;

use crate::Outcome;
use crate::workload::{Order, Row, Site};

/// Hints that are looked up together, as a station does.
pub const HINTS_PER_BATCH: usize = 256;

/// What a store may keep in memory: more than any of them has.
pub const CACHE_BYTES: usize = 1 << 30;

/// Why a peer has no answer for a hint that it was given.
pub const NOT_FOUND: &str = "a hint that was loaded is not found";

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Many hints a call, or one.
    pub batch: bool,
    /// Until the device is known, or only until candidates are named.
    pub confirmed: bool,
}

impl Way {
    pub const ALL: [Self; 4] = [
        Self { batch: false, confirmed: true },
        Self { batch: true, confirmed: true },
        Self { batch: false, confirmed: false },
        Self { batch: true, confirmed: false },
    ];
}

/// What a contestant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    /// Lives in memory, gone with its process.
    Memory,
    /// Made once, never changed.
    Static,
    /// Changes and is kept on disk.
    Persistent,
    /// The same in a process of its own.
    Server,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Memory => "memory",
            Self::Static => "static",
            Self::Persistent => "persistent",
            Self::Server => "server",
        }
    }
}

/// What a lookup's time is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Processor time of the process, which others on the machine disturb less.
    Cpu,
    /// The wall's: where another process does the work.
    Wall,
}

impl Clock {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
        }
    }
}

/// A contestant that has its hints and can be asked.
pub trait Peer {
    /// Appends the device that made each of `hints` to `devices`, in order.
    ///
    /// Unconfirmed, it appends what its retrieval names first, for the time alone.
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()>;

    /// The size of what it stores, where that is neither its files nor what its
    /// process grew by.
    fn stored_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(None)
    }

    /// What it keeps resident, where that is in another process.
    fn resident_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(None)
    }
}

/// Makes a contestant of rows.
pub type Make = fn(&Site, Vec<Row>) -> Outcome<Box<dyn Peer>>;

/// Where a contestant keeps its hints.
#[derive(Clone, Copy)]
pub enum Home {
    /// In the process that made it, or in one that it started.
    Process(Make),
    /// In files, which another process opens.
    Files { load: fn(&Site, Vec<Row>) -> Outcome<()>, open: fn(&Site) -> Outcome<Box<dyn Peer>> },
}

/// A contestant, not started.
pub struct Entry {
    /// Its name on the command line, and that of its files.
    pub name: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    pub kind: Kind,
    pub clock: Clock,
    pub order: Order,
    pub home: Home,
    /// Whether it names candidates and the keys decide; others keep whole hints.
    pub names_candidates: bool,
    /// Whether it has a call for many hints.
    pub has_batch: bool,
    /// How it is run, for the table's notes.
    pub note: &'static str,
    /// Why it is ahead of ours where it is.
    pub why: &'static str,
    /// What it lacks on this machine, if anything.
    pub lacks: fn() -> Option<String>,
}

impl Entry {
    /// A peer that keeps whole hints and is asked for one at a time.
    const fn new(name: &'static str, title: &'static str, kind: Kind, home: Home) -> Self {
        Self {
            name,
            title,
            kind,
            clock: if matches!(kind, Kind::Server) { Clock::Wall } else { Clock::Cpu },
            order: Order::Sorted,
            home,
            names_candidates: false,
            has_batch: false,
            note: "",
            why: "",
            lacks: || None,
        }
    }

    pub fn ways(&self) -> impl Iterator<Item = Way> {
        let (batch, candidates) = (self.has_batch, self.names_candidates);
        let can = move |way: &Way| (batch || !way.batch) && (candidates || way.confirmed);
        Way::ALL.into_iter().filter(can)
    }
}

/// Everybody, in the order of the table.
pub fn all() -> Vec<Entry> {
    let mut all = vec![live::entry()];
    all.extend(snapshot::entries());
    all.extend(chain::entries());
    all.extend(vfunc::entries());
    all.extend(ptrhash::entries());
    all.extend([fst::entry(), hashmap::entry(), sorted::entry(), python::entry()]);
    all.extend([lmdb::entry(), redb::entry(), fjall::entry(), sqlite::entry(), rocks::entry()]);
    all.extend([redis::entry(), postgres::entry()]);
    all
}
