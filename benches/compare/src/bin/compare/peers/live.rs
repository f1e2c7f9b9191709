//! Ours: the live index.

use std::ops::Range;
use std::sync::Arc;

use hintdex_core::{DeviceRange, LiveIndex, Options, Params};
use hintdex_wire::{DeviceId, Hint, HintScheme, MasterKey};

use super::named::{Named, Names};
use super::{CACHE_BYTES, Entry, Home, Kind, Peer};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

const NAME: &str = "live-index";

struct Live(LiveIndex);

pub fn entry() -> Entry {
    Entry {
        order: Order::Fleet,
        names_candidates: true,
        has_batch: true,
        note: "`LiveIndex`, opened for writing; loading is `provision`, which makes keys and \
               hints itself, on two threads; resident are 24 bytes of replay state a device, too",
        ..Entry::new(NAME, "hintdex live index", Kind::Ours, Home::Files { load, open })
    }
}

fn options() -> Options {
    Options { memory_bytes: CACHE_BYTES, ..Options::default() }
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    drop(rows);
    let keys = Arc::new(MasterKey::new(&site.size.secret()));
    let params = Params::counters(HintScheme::Aes128, site.size.horizon);
    let index = LiveIndex::create(&site.path(NAME), keys, params, &options())?;
    index.provision(&[DeviceRange::new(DeviceId(0), site.size.devices)], None)?;
    Ok(())
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    let keys = Arc::new(MasterKey::new(&site.size.secret()));
    let index = LiveIndex::open(&site.path(NAME), keys, &options())?;
    Ok(Box::new(Named::new(Live(index), site)))
}

impl Names for Live {
    fn name(&self, hint: &Hint, named: &mut impl FnMut(Range<u32>)) -> Outcome<()> {
        for slot in self.0.candidates(hint)? {
            named(slot.0..slot.0 + 1);
        }
        Ok(())
    }

    fn name_batch(
        &mut self,
        hints: &[Hint],
        named: &mut impl FnMut(usize, Range<u32>),
    ) -> Outcome<()> {
        for (owner, slots) in self.0.candidates_batch(hints)?.iter().enumerate() {
            slots.iter().for_each(|slot| named(owner, slot.0..slot.0 + 1));
        }
        Ok(())
    }
}
