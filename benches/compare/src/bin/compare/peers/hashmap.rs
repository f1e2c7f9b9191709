//! `hashbrown`: whole hints in a hash table in memory.

use hashbrown::HashMap;
use hintdex_wire::Hint;

use super::{Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

struct Map(HashMap<[u8; 16], u32>);

pub fn entry() -> Entry {
    Entry {
        order: Order::Fleet,
        note: "`HashMap<[u8; 16], u32>` with_capacity, its own hash. A table has a power of \
               two of places, so it takes 24 to 48 bytes a hint, by their number",
        why: "one line of memory a lookup where ours reads three or four, then makes a key schedule and \
              decrypts a block, and lookups that do not wait for each other overlap in the \
              processor. It takes many times the memory, and nothing of it is kept",
        ..Entry::new("hashbrown", "hashbrown", Kind::Memory, Home::Process(make))
    }
}

fn make(_: &Site, rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    let mut map = HashMap::with_capacity(rows.len());
    map.extend(rows);
    Ok(Box::new(Map(map)))
}

impl Peer for Map {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        for hint in hints {
            devices.push(*self.0.get(hint.as_bytes()).ok_or(NOT_FOUND)?);
        }
        Ok(())
    }
}
