//! Devices from a file: their ids, and their keys if they bring their own.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use hintdex::wire::{DeviceId, Slot};
use hintdex::{DeviceRange, Error, IndexError, KeyImport, KeyOrigin, Station};
use zeroize::Zeroizing;

use crate::args::ProvisionArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::given_ids::GivenIds;
use crate::input::lists::{self, BadLines, Rejected};
use crate::input::{BadRecord, Fields, GivenId, SecretReader, open_secret};
use crate::progress;

use super::device_list::{Device, GivenKeys, TABLE, device};

/// The first bytes of a file of binary records. No text begins with them.
const MAGIC: [u8; 8] = *b"\x89hdxdev\n";
/// The length of a binary record: an id, big-endian, a hint key and a device key.
const RECORD_LEN_BYTES: usize = 4 + 16 + 32;

/// Bytes that are read at a time.
const BUFFER_LEN_BYTES: usize = 1 << 20;

/// Adds the devices of the file `path`: all of them, or none.
pub fn provision(
    station: &Station,
    args: &ProvisionArgs,
    path: &Path,
    call: &Call<'_>,
) -> Result<Range<Slot>, Failure> {
    let options = &args.list.options(None);
    let bar = progress::bytes(&call.console, "reading keys");
    let input = open_secret(path, &call.console)?;
    // The length of a pipe is not known.
    bar.set_length(input.len_bytes().unwrap_or(0));
    let mut input = SecretReader::new(BUFFER_LEN_BYTES, bar.wrap_read(input));
    let first = input.peek(1).map_err(|error| Failure::io("reading keys", path, &error))?;
    let is_binary = first.first() == MAGIC.first();
    let mut devices = Devices {
        station,
        given: GivenIds::open(station, &call.console.path(&args.index)?)?,
        import: None,
        ids: Vec::new(),
        places: Places::default(),
        bad: BadLines::new(if is_binary { "record" } else { "line" }, options.skip_bad),
    };
    if is_binary {
        devices.read_binary(input, path)?;
    } else {
        let add = |number: u64, fields: &Fields<'_>| devices.add(&device(fields)?, number);
        devices.bad = lists::read(path, input, &TABLE, options, add)?;
    }
    bar.finish_and_clear();
    devices.provision(path, call)
}

/// The devices read so far.
struct Devices<'a> {
    station: &'a Station,
    given: GivenIds<'a>,
    /// Begun with the first device that has keys.
    import: Option<KeyImport<'a>>,
    /// Devices whose keys are derived.
    ids: Vec<DeviceId>,
    /// The lines or records of the devices of the import.
    places: Places,
    bad: BadLines,
}

impl Devices<'_> {
    fn read_binary(&mut self, mut input: impl Read, path: &Path) -> Result<(), Failure> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Failure::data(path, &"the file ends within a record; nothing was imported")
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
        // A file may end before a record, but not within one.
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
            let keys = Some(GivenKeys::Keys(Zeroizing::new(hint_key), Zeroizing::new(dev_key)));
            let id = GivenId::Number(u32::from_be_bytes(id));
            match self.add(&Device { id, keys }, number) {
                Ok(()) => {}
                Err(Rejected::Line(why)) => self.bad.add(number, &why),
                Err(Rejected::Call(failure)) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Adds the device of line or record `number`. Rejects it if a key of it is zero or
    /// shared, or if some devices have keys and others do not.
    fn add(&mut self, device: &Device, number: u64) -> Result<(), Rejected> {
        let id = self.given.id_of(device.id)?;
        let keys = match (&device.keys, &self.import) {
            (Some(keys), None) if self.ids.is_empty() => {
                self.import = Some(self.station.import_keys().map_err(Failure::from)?);
                keys
            }
            (Some(keys), Some(_)) => keys,
            (None, None) => {
                self.ids.push(id);
                return Ok(());
            }
            _ => {
                let why = "some devices have keys and others none; import them in two calls";
                return Err(BadRecord::Other(why).into());
            }
        };
        let Some(import) = &mut self.import else { return Ok(()) };
        let is_of_line = |index: &IndexError| matches!(index, IndexError::NotForThisIndex { .. });
        match keys.add_to(import, id) {
            Ok(()) => self.places.push(number),
            Err(Error::Index(why)) if is_of_line(&why) => {
                return Err(BadRecord::Refused(why.to_string()).into());
            }
            Err(why @ (Error::ZeroKey { .. } | Error::SharedKey { .. })) => {
                return Err(BadRecord::Refused(why.to_string()).into());
            }
            Err(error) => return Err(Failure::from(error).into()),
        }
        Ok(())
    }

    fn provision(mut self, path: &Path, call: &Call<'_>) -> Result<Range<Slot>, Failure> {
        self.bad.finish(path, &call.console)?;
        if self.import.is_none() && self.ids.is_empty() {
            return Err(Failure::data(path, &"the file holds no device; nothing was imported"));
        }
        self.given.publish()?;
        let bar = progress::bar(&call.console, "provisioning", "devices");
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
        let ranges = DeviceRange::covering(self.ids, KeyOrigin::Derived);
        Ok(self.station.provision(&ranges, Some(&report))?)
    }
}

/// The numbers of the lines of an import's devices. Takes 16 bytes for each run of
/// consecutive lines.
#[derive(Default)]
struct Places {
    /// For each run: the place of its first device in the import, and the number of its line.
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

    /// The number of the line of the device at `place` of the import.
    fn at(&self, place: u64) -> u64 {
        let end = self.runs.partition_point(|(first, _)| *first <= place);
        let run = end.checked_sub(1).and_then(|at| self.runs.get(at));
        run.map_or(0, |(first, number)| number + (place - first))
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn each_place_has_the_number_of_its_line() {
        let numbers = [2, 3, 4, 7, 8, 10, 100, 101];
        let mut places = Places::default();
        numbers.iter().for_each(|number| places.push(*number));
        let found: Vec<u64> = (0..numbers.len() as u64).map(|place| places.at(place)).collect();
        assert_eq!(found, numbers);
        assert_eq!(places.runs.len(), 4);
    }
}
