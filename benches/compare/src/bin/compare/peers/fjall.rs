//! fjall: a log-structured merge tree in Rust.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use hintdex_wire::Hint;

use super::{CACHE_BYTES, Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "fjall";

struct Fjall {
    hints: Keyspace,
    /// Keeps the keyspace open.
    _database: Database,
}

pub fn entry() -> Entry {
    Entry {
        note: "sorted ingestion, major compaction; expect_point_read_hits; cache of 1 GiB",
        ..Entry::new(NAME, "fjall", Kind::Persistent, Home::Files { load, open })
    }
}

fn open_keyspace(site: &Site) -> Outcome<Fjall> {
    let database = Database::builder(site.path(NAME)).cache_size(CACHE_BYTES as u64).open()?;
    // Every hint that is asked for is there: no filter on the last level.
    let options = || KeyspaceCreateOptions::default().expect_point_read_hits(true);
    let hints = database.keyspace("hints", options)?;
    Ok(Fjall { hints, _database: database })
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let Fjall { hints, _database: database } = open_keyspace(site)?;
    let mut ingestion = hints.start_ingestion()?;
    for (hint, device) in &rows {
        ingestion.write(&hint[..], &device.to_le_bytes()[..])?;
    }
    ingestion.finish()?;
    hints.major_compact()?;
    Ok(database.persist(PersistMode::SyncAll)?)
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    Ok(Box::new(open_keyspace(site)?))
}

impl Peer for Fjall {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        for hint in hints {
            let device = self.hints.get(hint.as_bytes())?.ok_or(NOT_FOUND)?;
            devices.push(u32::from_le_bytes(device.as_ref().try_into()?));
        }
        Ok(())
    }
}
