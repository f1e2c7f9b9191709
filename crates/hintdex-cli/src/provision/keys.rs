//! Devices from a file: their ids, and their keys where they have some of their own.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use hintdex::wire::{DeviceId, HintKey, Slot};
use hintdex::{DeviceRange, KeyImport, KeyOrigin, Station};
use zeroize::Zeroizing;

use crate::decode::open;
use crate::failure::Failure;
use crate::progress;
use crate::rows::{BadLines, BadRow, Cells, Column, Rows, Table};

const TABLE: Table = Table {
    name: "provisioning",
    columns: &[Column::needed("id"), Column::optional("hint_key"), Column::optional("dev_key")],
};

/// What a file of binary records begins with: no text does.
const MAGIC: [u8; 8] = *b"\x89hdxdev\n";
/// A binary record: an id, big-endian, a hint key and a device key.
const RECORD_LEN_BYTES: usize = 4 + 16 + 32;

/// A device of a file.
struct Device {
    id: DeviceId,
    /// Its hint key and its device key, unless they are derived.
    keys: Option<(HintKey, Zeroizing<[u8; 32]>)>,
}

/// Adds the devices of the file at `path`: all of them, or none.
pub fn provision(station: &Station, path: &Path) -> Result<Range<Slot>, Failure> {
    let mut devices = Devices { station, import: None, ids: Vec::new() };
    let mut bad = BadLines::default();
    let bar = progress::bytes("reading keys");
    let failed = |error: io::Error| Failure::io("reading keys", path, &error);
    let input = open(path)?;
    // Of standard input nobody knows the length.
    bar.set_length(fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let mut input = BufReader::with_capacity(1 << 20, bar.wrap_read(input));
    if input.fill_buf().map_err(failed)?.first() == MAGIC.first() {
        devices.read_binary(input, path)?;
    } else {
        devices.read_rows(input, &mut bad, path)?;
    }
    bar.finish_and_clear();
    if let Some(message) = bad.message() {
        return Err(Failure::data(path, &message));
    }
    devices.provision(path)
}

/// The devices that were read so far.
struct Devices<'a> {
    station: &'a Station,
    /// Once a device came with keys.
    import: Option<KeyImport<'a>>,
    /// Devices without.
    ids: Vec<DeviceId>,
}

impl Devices<'_> {
    fn read_rows(
        &mut self,
        input: impl Read,
        bad: &mut BadLines,
        path: &Path,
    ) -> Result<(), Failure> {
        let mut rows = Rows::new(input, &TABLE, None);
        loop {
            let row = rows.next_row(device);
            match row.map_err(|error| Failure::io("reading keys", path, &error))? {
                None => return Ok(()),
                Some(Ok(device)) => {
                    if let Err(refusal) = self.add(&device)? {
                        bad.add(rows.line_number(), &refusal);
                    }
                }
                Some(Err(row)) => bad.add(rows.line_number(), &row),
            }
            if rows.lacks_header() {
                return Ok(());
            }
        }
    }

    fn read_binary(&mut self, mut input: impl Read, path: &Path) -> Result<(), Failure> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Failure::data(path, &"it ends within a record; nothing was imported")
            }
            _ => Failure::io("reading keys", path, &error),
        };
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(failed)?;
        if magic != MAGIC {
            return Err(Failure::data(
                path,
                &"neither text nor a file of binary keys; nothing was imported",
            ));
        }
        let mut record = Zeroizing::new([0; RECORD_LEN_BYTES]);
        // A file may end before a record, and not within one.
        while input.read(record.split_at_mut(1).0).map_err(failed)? == 1 {
            input.read_exact(record.split_at_mut(1).1).map_err(failed)?;
            let (id, keys) = record.split_at(4);
            let (hint_key, dev_key) = keys.split_at(16);
            let (Ok(id), Ok(hint_key), Ok(dev_key)) =
                (id.try_into(), hint_key.try_into(), dev_key.try_into())
            else {
                continue;
            };
            let keys = Some((HintKey::from_bytes(hint_key), Zeroizing::new(dev_key)));
            // All records have keys.
            let _ = self.add(&Device { id: DeviceId(u32::from_be_bytes(id)), keys })?;
        }
        Ok(())
    }

    /// Takes a device, unless it has keys and others have none.
    fn add(&mut self, device: &Device) -> Result<Result<(), BadRow>, Failure> {
        let Device { id, keys } = device;
        match (keys, &mut self.import) {
            (Some((hint_key, dev_key)), None) if self.ids.is_empty() => {
                let import = self.import.insert(self.station.import_keys()?);
                import.add(*id, hint_key, dev_key)?;
            }
            (Some((hint_key, dev_key)), Some(import)) => import.add(*id, hint_key, dev_key)?,
            (None, None) => self.ids.push(*id),
            _ => {
                return Ok(Err(BadRow::Other(
                    "some devices have keys and others none; import them apart",
                )));
            }
        }
        Ok(Ok(()))
    }

    fn provision(mut self, path: &Path) -> Result<Range<Slot>, Failure> {
        let bar = progress::bar("provisioning", "devices");
        let report = progress::reporter(&bar);
        if let Some(import) = self.import {
            return Ok(import.provision(Some(&report))?);
        }
        self.ids.sort_unstable();
        let twice = self.ids.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        });
        if let Some(device) = twice {
            return Err(hintdex::Error::DeviceTwice { device }.into());
        }
        if self.ids.is_empty() {
            return Err(Failure::data(path, &"no devices in it; nothing was imported"));
        }
        let ranges = DeviceRange::covering(self.ids, KeyOrigin::Derived);
        Ok(self.station.provision(&ranges, Some(&report))?)
    }
}

/// The device in a row: with both keys or none.
fn device(cells: &Cells<'_>) -> Result<Device, BadRow> {
    let id = DeviceId(cells.number("id")?);
    if cells.get("hint_key").is_none() && cells.get("dev_key").is_none() {
        return Ok(Device { id, keys: None });
    }
    let hint_key = HintKey::from_bytes(*cells.key("hint_key")?);
    Ok(Device { id, keys: Some((hint_key, cells.key("dev_key")?)) })
}
