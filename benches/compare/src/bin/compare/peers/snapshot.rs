//! Ours: snapshots, in each encoding, mapped from their files.

use std::ops::Range;

use hintdex_compare::fleet::{Ready, manifest_key, params};
use hintdex_snapshot::{Builder, CandidateBatch, Dial, Encoding, Snapshot, SnapshotParams};
use hintdex_wire::{Hint, HintScheme};

use super::named::{Named, Names};
use super::{Entry, Home, Kind, Peer};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

const RIBBON_1: &str = "snapshot-ribbon-1";
const RIBBON_32: &str = "snapshot-ribbon-32";
const DENSE: &str = "snapshot-dense-32";
const SORTED: &str = "snapshot-sorted";

struct Mapped {
    snapshot: Snapshot,
    batch: CandidateBatch,
}

pub fn entries() -> [Entry; 4] {
    let entry = |name, title, home| Entry {
        order: Order::Fleet,
        names_candidates: true,
        has_batch: true,
        note: "two threads build, the file is synced",
        ..Entry::new(name, title, Kind::Ours, home)
    };
    [
        entry(RIBBON_1, "hintdex snapshot, ribbon, 1 try", files::<0>()),
        entry(RIBBON_32, "hintdex snapshot, ribbon, 32 tries", files::<1>()),
        entry(DENSE, "hintdex snapshot, dense, 32 tries", files::<2>()),
        entry(SORTED, "hintdex snapshot, sorted, 8 check bits", files::<3>()),
    ]
}

/// The snapshots by number: the name of the file, the encoding, the dial.
const MADE: [(&str, Encoding, Dial); 4] = [
    (RIBBON_1, Encoding::Ribbon, Dial::Tries(1)),
    (RIBBON_32, Encoding::Ribbon, Dial::Tries(32)),
    (DENSE, Encoding::Dense, Dial::Tries(32)),
    (SORTED, Encoding::Sorted, Dial::Tries(1)),
];

const fn files<const NUMBER: usize>() -> Home {
    Home::Files { load: load::<NUMBER>, open: open::<NUMBER> }
}

fn load<const NUMBER: usize>(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let (name, encoding, dial) = MADE[NUMBER];
    let hints: Option<Vec<_>> = rows
        .into_iter()
        .map(|(bytes, device)| Some((Hint::read(HintScheme::Aes128, &bytes)?, device)))
        .collect();
    let hints = hints.ok_or("a short hint")?;
    let params = params(site.size.devices, site.size.horizon, encoding, dial);
    let params = SnapshotParams { check_bits: 8, ..params };
    let ready = Ready(&hints, site.size.horizon);
    let key = manifest_key();
    Builder::new(params, &key).threads(2).build(&ready, site.path(name))?;
    Ok(())
}

fn open<const NUMBER: usize>(site: &Site) -> Outcome<Box<dyn Peer>> {
    let (name, ..) = MADE[NUMBER];
    let snapshot = Snapshot::open(site.path(name), &manifest_key())?;
    // Every block is checked at its first use; here before the clock starts.
    snapshot.verify()?;
    let mapped = Mapped { snapshot, batch: CandidateBatch::default() };
    Ok(Box::new(Named::new(mapped, site)))
}

impl Names for Mapped {
    fn name(&self, hint: &Hint, named: &mut impl FnMut(Range<u32>)) -> Outcome<()> {
        self.snapshot.candidates(hint)?.for_each(named);
        Ok(())
    }

    fn name_batch(
        &mut self,
        hints: &[Hint],
        named: &mut impl FnMut(usize, Range<u32>),
    ) -> Outcome<()> {
        self.snapshot.candidates_batch(hints, &mut self.batch)?;
        for (owner, ranges) in self.batch.iter().enumerate() {
            ranges.iter().for_each(|range| named(owner, range.clone()));
        }
        Ok(())
    }
}
