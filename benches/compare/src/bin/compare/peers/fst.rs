//! fst: a finite state transducer.

use std::fs::{self, File};
use std::io::BufWriter;

use fst::{Map, MapBuilder};
use hintdex_wire::Hint;

use super::{Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "fst";

struct Transducer(Map<Vec<u8>>);

pub fn entry() -> Entry {
    Entry {
        note: "`Map`, from sorted hints to a file, read into memory",
        ..Entry::new(NAME, "fst", Kind::Static, Home::Files { load, open })
    }
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let mut builder = MapBuilder::new(BufWriter::new(File::create(site.path(NAME))?))?;
    for (hint, device) in &rows {
        builder.insert(hint, u64::from(*device))?;
    }
    Ok(builder.finish()?)
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    Ok(Box::new(Transducer(Map::new(fs::read(site.path(NAME))?)?)))
}

impl Peer for Transducer {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        for hint in hints {
            let device = self.0.get(hint.as_bytes()).ok_or(NOT_FOUND)?;
            devices.push(u32::try_from(device)?);
        }
        Ok(())
    }
}
