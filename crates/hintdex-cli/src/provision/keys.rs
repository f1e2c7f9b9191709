//! Devices from a file: their ids, and their keys where they have some of their own.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::path::Path;

use hintdex::wire::{DeviceId, HintKey, Slot};
use hintdex::{DeviceRange, Error, KeyImport, KeyOrigin, Station};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::progress;
use crate::rows::{BadLines, BadRow, Cells, Column, Rows, Table};
use crate::secret_input::{SecretReader, open};

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

/// What is read at a time.
const BUFFER_LEN_BYTES: usize = 1 << 20;

/// Adds the devices of the file at `path`: all of them, or none.
pub fn provision(station: &Station, path: &Path) -> Result<Range<Slot>, Failure> {
    let bar = progress::bytes("reading keys");
    let failed = |error: io::Error| Failure::io("reading keys", path, &error);
    let input = open(path)?;
    // Of standard input nobody knows the length.
    bar.set_length(input.metadata().map_or(0, |metadata| metadata.len()));
    let mut input = SecretReader::new(BUFFER_LEN_BYTES, bar.wrap_read(input));
    let is_binary = input.fill_buf().map_err(failed)?.first() == MAGIC.first();
    let mut devices = Devices {
        station,
        import: None,
        ids: Vec::new(),
        places: Places::default(),
        bad: BadLines::of(if is_binary { "record" } else { "line" }),
    };
    if is_binary {
        devices.read_binary(input, path)?;
    } else {
        devices.read_rows(input, path)?;
    }
    bar.finish_and_clear();
    devices.provision(path)
}

/// The devices that were read so far.
struct Devices<'a> {
    station: &'a Station,
    /// Once a device came with keys.
    import: Option<KeyImport<'a>>,
    /// Devices without.
    ids: Vec<DeviceId>,
    /// Where the devices of the import stand in the file.
    places: Places,
    bad: BadLines,
}

impl Devices<'_> {
    fn read_rows(&mut self, input: impl Read, path: &Path) -> Result<(), Failure> {
        let mut rows = Rows::new(input, &TABLE, None);
        loop {
            let row = rows.next_row(device);
            match row.map_err(|error| Failure::io("reading keys", path, &error))? {
                None => return Ok(()),
                Some(Ok(device)) => self.add(&device, rows.line_number())?,
                Some(Err(row)) => self.bad.add(rows.line_number(), &row),
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
        let mut number = 0;
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
            number += 1;
            let keys = Some((HintKey::from_bytes(hint_key), Zeroizing::new(dev_key)));
            self.add(&Device { id: DeviceId(u32::from_be_bytes(id)), keys }, number)?;
        }
        Ok(())
    }

    /// Takes the device of a line or a record, unless its keys are unfit, or it has keys and
    /// others have none.
    fn add(&mut self, device: &Device, number: u64) -> Result<(), Failure> {
        let Device { id, keys } = device;
        let (hint_key, dev_key) = match (keys, &self.import) {
            (Some(keys), None) if self.ids.is_empty() => {
                self.import = Some(self.station.import_keys()?);
                keys
            }
            (Some(keys), Some(_)) => keys,
            (None, None) => {
                self.ids.push(*id);
                return Ok(());
            }
            _ => {
                let why = "some devices have keys and others none; import them apart";
                self.bad.add(number, &BadRow::Other(why));
                return Ok(());
            }
        };
        let Some(import) = &mut self.import else { return Ok(()) };
        match import.add(*id, hint_key, dev_key) {
            Ok(()) => self.places.push(number),
            Err(why @ (Error::ZeroKey { .. } | Error::SharedKey { .. })) => {
                self.bad.add(number, &why);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn provision(mut self, path: &Path) -> Result<Range<Slot>, Failure> {
        if let Some(message) = self.bad.message() {
            return Err(Failure::data(path, &message));
        }
        let bar = progress::bar("provisioning", "devices");
        let report = progress::reporter(&bar);
        if let Some(import) = self.import {
            return import.provision(Some(&report)).map_err(|error| match error {
                Error::SharedKey { number, more, .. } => {
                    self.bad.add(self.places.at(number), &error);
                    self.bad.add_more(more);
                    Failure::data(path, &self.bad.message().unwrap_or_default())
                }
                error => error.into(),
            });
        }
        self.ids.sort_unstable();
        let twice = self.ids.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        });
        if let Some(device) = twice {
            return Err(Error::DeviceTwice { device }.into());
        }
        if self.ids.is_empty() {
            return Err(Failure::data(path, &"no devices in it; nothing was imported"));
        }
        let ranges = DeviceRange::covering(self.ids, KeyOrigin::Derived);
        Ok(self.station.provision(&ranges, Some(&report))?)
    }
}

/// The numbers of the lines of an import's devices: 16 bytes for each line that does not
/// follow the one before.
#[derive(Default)]
struct Places {
    /// A device's place in the import and the number of its line, where a run begins.
    runs: Vec<(u64, u64)>,
    count: u64,
}

impl Places {
    fn push(&mut self, number: u64) {
        if self.at(self.count) != number {
            self.runs.push((self.count, number));
        }
        self.count += 1;
    }

    /// The number of the line of the device at a place.
    fn at(&self, place: u64) -> u64 {
        let behind = self.runs.partition_point(|(first, _)| *first <= place);
        let run = behind.checked_sub(1).and_then(|at| self.runs.get(at));
        run.map_or(0, |(first, number)| number + (place - first))
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

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn places_have_the_numbers_of_their_lines() {
        let numbers = [2, 3, 4, 7, 8, 10, 100, 101];
        let mut places = Places::default();
        numbers.iter().for_each(|number| places.push(*number));
        let found: Vec<u64> = (0..numbers.len() as u64).map(|place| places.at(place)).collect();
        assert_eq!(found, numbers);
        assert_eq!(places.runs.len(), 4);
    }
}
