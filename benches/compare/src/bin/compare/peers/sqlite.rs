//! SQLite, as compiled into the program.

use hintdex_wire::Hint;
use rusqlite::{Connection, params};

use super::{CACHE_BYTES, Entry, Home, Kind, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "sqlite";

struct Sqlite(Connection);

pub fn entry() -> Entry {
    Entry {
        note: "rusqlite, bundled; WITHOUT ROWID, sorted, one transaction without journal; \
               a prepared statement in a read transaction a turn; cache of 1 GiB",
        ..Entry::new(NAME, "SQLite", Kind::Persistent, Home::Files { load, open })
    }
}

fn connect(site: &Site) -> Outcome<Connection> {
    let connection = Connection::open(site.path(NAME))?;
    let kib = CACHE_BYTES >> 10;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -{kib};"
    ))?;
    Ok(connection)
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let mut connection = connect(site)?;
    connection.execute_batch(
        "CREATE TABLE hints (hint BLOB PRIMARY KEY, device INTEGER NOT NULL) WITHOUT ROWID",
    )?;
    let write = connection.transaction()?;
    {
        let mut insert = write.prepare("INSERT INTO hints VALUES (?1, ?2)")?;
        for (hint, device) in &rows {
            insert.execute(params![&hint[..], device])?;
        }
    }
    Ok(write.commit()?)
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    Ok(Box::new(Sqlite(connect(site)?)))
}

impl Peer for Sqlite {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let read = self.0.transaction()?;
        let mut get = read.prepare_cached("SELECT device FROM hints WHERE hint = ?1")?;
        for hint in hints {
            devices.push(get.query_row([&hint.as_bytes()[..]], |row| row.get(0))?);
        }
        Ok(())
    }
}
