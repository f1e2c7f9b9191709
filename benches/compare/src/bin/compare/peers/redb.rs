//! redb: a B+ tree, copied on write, in Rust.

use hintdex_wire::Hint;
use redb::{Database, ReadableDatabase, TableDefinition};

use super::{CACHE_BYTES, Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "redb";
const HINTS: TableDefinition<'_, &[u8; 16], u32> = TableDefinition::new("hints");

struct Redb(Database);

pub fn entry() -> Entry {
    Entry {
        note: "sorted, one transaction, compacted; a read transaction a turn; cache of 1 GiB",
        why: "as LMDB, with a cache of its own in place of the map",
        ..Entry::new(NAME, "redb", Kind::Persistent, Home::Files { load, open })
    }
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(site.path(NAME))?;
    let write = database.begin_write()?;
    {
        let mut table = write.open_table(HINTS)?;
        for (hint, device) in &rows {
            table.insert(hint, device)?;
        }
    }
    write.commit()?;
    database.compact()?;
    Ok(())
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).open(site.path(NAME))?;
    Ok(Box::new(Redb(database)))
}

impl Peer for Redb {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let read = self.0.begin_read()?;
        let table = read.open_table(HINTS)?;
        for hint in hints {
            devices.push(table.get(hint.as_bytes())?.ok_or(NOT_FOUND)?.value());
        }
        Ok(())
    }
}
