//! A sorted `Vec`, searched by halves.

use hintdex_wire::Hint;

use super::{Entry, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

struct Sorted(Vec<Row>);

pub fn entry() -> Entry {
    Entry {
        order: Order::Fleet,
        note: "`Vec<([u8; 16], u32)>`, sort_unstable, binary_search_by_key",
        ..Entry::new("sorted-vec", "sorted Vec", Kind::Memory, Home::Process(make))
    }
}

fn make(_: &Site, mut rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    rows.sort_unstable();
    Ok(Box::new(Sorted(rows)))
}

impl Peer for Sorted {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        for hint in hints {
            let place = self.0.binary_search_by_key(hint.as_bytes(), |(hint, _)| *hint);
            devices.push(self.0[place.map_err(|_| NOT_FOUND)?].1);
        }
        Ok(())
    }
}
