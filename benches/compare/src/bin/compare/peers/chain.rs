//! Ours: chains, which compute hints by the keys and store none.

use std::sync::Arc;

use hintdex_compare::fleet::{manifest_key, params};
use hintdex_compare::table_hints::TableHints;
use hintdex_scan::KeyTable;
use hintdex_snapshot::{Builder, Dial, Encoding, Snapshot};
use hintdex_wire::{Hint, Nonce, Slot};

use super::{Entry, HINTS_PER_BATCH, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

/// The chains by number: the name of the file, the evaluations.
const MADE: [(&str, u32); 3] =
    [("snapshot-chain-5", 5), ("snapshot-chain-9", 9), ("snapshot-chain-16", 16)];

/// In the place of a device that was not found.
const NOBODY: u32 = u32::MAX;

struct Chain {
    snapshot: Snapshot,
    table: Arc<KeyTable>,
}

pub fn entries() -> [Entry; 3] {
    let entry = |name, title, home| Entry {
        order: Order::Fleet,
        has_batch: true,
        note: "two threads build, the file is synced; a lookup computes hints by the device keys \
               and ends with the device",
        ..Entry::new(name, title, Kind::Ours, home)
    };
    [
        entry(MADE[0].0, "hintdex snapshot, chain, 5 evaluations", files::<0>()),
        entry(MADE[1].0, "hintdex snapshot, chain, 9 evaluations", files::<1>()),
        entry(MADE[2].0, "hintdex snapshot, chain, 16 evaluations", files::<2>()),
    ]
}

const fn files<const NUMBER: usize>() -> Home {
    Home::Files { load: load::<NUMBER>, open: open::<NUMBER> }
}

/// Builds the chain from the keys. The rows are the same hints and are not needed.
fn load<const NUMBER: usize>(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    drop(rows);
    let (name, evaluations) = MADE[NUMBER];
    let dial = Dial::Evaluations(evaluations);
    let params = params(site.size.devices, site.size.horizon, Encoding::Chain, dial);
    let nonces = 0..Nonce::from(site.size.horizon);
    let runs: Vec<_> = (0..site.size.devices).map(|slot| (Slot(slot), nonces.clone())).collect();
    let key = manifest_key();
    let builder = Builder::new(params, &key).threads(2);
    builder.build_chain(&runs, &TableHints(&site.table), site.path(name))?;
    Ok(())
}

fn open<const NUMBER: usize>(site: &Site) -> Outcome<Box<dyn Peer>> {
    let (name, _) = MADE[NUMBER];
    let snapshot = Snapshot::open(site.path(name), &manifest_key())?;
    // Every block is checked at its first use; here before the clock starts.
    snapshot.verify()?;
    Ok(Box::new(Chain { snapshot, table: Arc::clone(&site.table) }))
}

impl Peer for Chain {
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let source = TableHints(&self.table);
        for hints in hints.chunks(if way.batch { HINTS_PER_BATCH } else { 1 }) {
            let first = devices.len();
            devices.resize(first + hints.len(), NOBODY);
            let devices = &mut devices[first..];
            self.snapshot.points(&source, hints, |at, slot, _| devices[at] = slot.0)?;
            if devices.contains(&NOBODY) {
                return Err(NOT_FOUND.into());
            }
        }
        Ok(())
    }
}
