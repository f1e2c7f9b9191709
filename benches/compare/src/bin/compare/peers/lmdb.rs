//! LMDB through `heed`: a B+ tree in a map of its file.

use std::fs;

use heed::types::{Bytes, U32};
use heed::{Env, EnvOpenOptions, PutFlags, byteorder::LE};
use hintdex_wire::Hint;

use super::{Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "lmdb";
/// Address space, more than the largest fleet here needs.
const MAP_BYTES: usize = 1 << 36;

struct Lmdb(Env);

pub fn entry() -> Entry {
    Entry {
        note: "heed; sorted, appended, one transaction; a read transaction a turn",
        why: "a lookup walks some four pages of a map: no lock, no cache to ask, nothing copied. \
              The live index pays RocksDB's get of a bucket first, which is most of its time \
              (docs/results/live-index.md has it beside a bare get), and its answer is then \
              confirmed. Whoever needs the speed attaches the snapshot, as the station does by \
              itself",
        ..Entry::new(NAME, "LMDB (heed)", Kind::Persistent, Home::Files { load, open })
    }
}

fn environment(site: &Site) -> Outcome<Env> {
    let path = site.path(NAME);
    fs::create_dir_all(&path)?;
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES);
    // SAFETY: the folder is this run's own; of its processes one has it open at a
    // time, and once.
    Ok(unsafe { options.open(path) }?)
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let env = environment(site)?;
    let mut write = env.write_txn()?;
    let hints = env.create_database::<Bytes, U32<LE>>(&mut write, None)?;
    for (hint, device) in &rows {
        hints.put_with_flags(&mut write, PutFlags::APPEND, hint, device)?;
    }
    Ok(write.commit()?)
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    Ok(Box::new(Lmdb(environment(site)?)))
}

impl Peer for Lmdb {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let read = self.0.read_txn()?;
        let rows = self.0.open_database::<Bytes, U32<LE>>(&read, None)?.ok_or("no database")?;
        for hint in hints {
            devices.push(rows.get(&read, hint.as_bytes())?.ok_or(NOT_FOUND)?);
        }
        Ok(())
    }
}
