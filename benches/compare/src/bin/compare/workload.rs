//! The workload: the hints of a fleet, the same for everybody, and the order in
//! which they are asked for.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hintdex_compare::fleet::{Fleet, scramble};
use hintdex_scan::KeyTable;
use hintdex_wire::{DeviceId, Hint, HintScheme, KeyId, KeySource, MasterKey};
use rayon::prelude::*;

use crate::Outcome;

/// A hint and the device that makes it.
pub type Row = ([u8; 16], u32);

/// Bytes of a row in a file.
const ROW_LEN_BYTES: usize = 20;

/// Hints that are asked for, each drawn from all: as many as a turn may take.
const MAX_QUERIES: usize = 1 << 20;

/// In which order a structure is given its hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Device by device: random, as far as hints are concerned.
    Fleet,
    /// By hint, sorted before the clock starts.
    Sorted,
}

/// How large the fleet is, and what its keys come from.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub devices: u32,
    pub horizon: u32,
    pub seed: u64,
}

impl Size {
    pub const fn hint_count(&self) -> u64 {
        self.devices as u64 * self.horizon as u64
    }

    /// The secret that all keys are derived from.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        for (word, number) in secret.chunks_mut(8).zip(0..) {
            word.copy_from_slice(&scramble(self.seed.wrapping_add(number)).to_le_bytes());
        }
        secret
    }

    /// The fleet with its keys, derived on all threads.
    pub fn fleet(&self) -> Fleet {
        let master = MasterKey::new(&self.secret());
        let key = |device| master.hint_key(KeyId::first(DeviceId(device)));
        let keys = (0..self.devices).into_par_iter().filter_map(key).collect();
        Fleet { keys, horizon: self.horizon }
    }
}

/// A place with the hints in files, and what every process knows of them.
pub struct Site {
    pub size: Size,
    /// Where the files are, and where a peer may put its own.
    pub folder: PathBuf,
    /// Every device's hint key, as a station has them anyway.
    pub table: Arc<KeyTable>,
}

impl Site {
    /// Writes the hints in both orders into `folder`.
    pub fn prepare(size: Size, folder: &Path) -> Outcome<()> {
        let mut rows: Vec<Row> = size.fleet().all().iter().map(to_row).collect();
        write(&path_of(folder, Order::Fleet), &rows)?;
        rows.par_sort_unstable();
        write(&path_of(folder, Order::Sorted), &rows)
    }

    pub fn open(size: Size, folder: &Path) -> Self {
        let mut table = KeyTable::new(HintScheme::Aes128);
        table.extend(size.fleet().keys);
        Self { size, folder: folder.to_owned(), table: Arc::new(table) }
    }

    /// Every hint, in memory of its own.
    pub fn rows(&self, order: Order) -> Outcome<Vec<Row>> {
        let mut file = File::open(path_of(&self.folder, order))?;
        let mut rows = Vec::with_capacity(usize::try_from(self.size.hint_count())?);
        let mut chunk = vec![0; ROW_LEN_BYTES << 12];
        loop {
            let len = read_full(&mut file, &mut chunk)?;
            rows.extend(chunk[..len].chunks_exact(ROW_LEN_BYTES).map(parse));
            if len < chunk.len() {
                return Ok(rows);
            }
        }
    }

    /// Hints to ask for, drawn from all, and the devices that made them.
    pub fn queries(&self) -> Outcome<(Vec<Hint>, Vec<u32>)> {
        let rows = self.rows(Order::Fleet)?;
        let count = rows.len().min(MAX_QUERIES) as u64;
        let drawn = (0..count).map(|number| {
            let (bytes, device) =
                rows[(scramble(number ^ self.size.seed << 32) % rows.len() as u64) as usize];
            Ok((Hint::read(HintScheme::Aes128, &bytes).ok_or("a short hint")?, device))
        });
        drawn.collect::<Outcome<Vec<_>>>().map(|queries| queries.into_iter().unzip())
    }

    /// A path of the peer's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn path_of(folder: &Path, order: Order) -> PathBuf {
    folder.join(match order {
        Order::Fleet => "fleet.hints",
        Order::Sorted => "sorted.hints",
    })
}

fn to_row((hint, device): &(Hint, u32)) -> Row {
    (*hint.as_bytes(), *device)
}

fn write(path: &Path, rows: &[Row]) -> Outcome<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (hint, device) in rows {
        file.write_all(hint)?;
        file.write_all(&device.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

fn parse(bytes: &[u8]) -> Row {
    let (mut hint, mut device) = ([0; 16], [0; 4]);
    hint.copy_from_slice(&bytes[..16]);
    device.copy_from_slice(&bytes[16..]);
    (hint, u32::from_le_bytes(device))
}

/// Reads until `chunk` is full or the file ends.
fn read_full(file: &mut File, chunk: &mut [u8]) -> Outcome<usize> {
    let mut len = 0;
    while len < chunk.len() {
        match file.read(&mut chunk[len..])? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}
