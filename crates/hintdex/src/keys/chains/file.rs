//! The file of chains: a header and then records, which are overwritten in place.
//!
//! An old chain must not outlive its move, so it lies in no file that is only appended to. A move
//! writes the new chain to the other cell of the record, syncs the file, overwrites the old cell
//! with zeros, and syncs again. A process or a machine that stops at any moment leaves at least
//! one whole cell.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hintdex_host::{Draft, sync_folder_of};
use hintdex_wire::MasterKey;
use zerocopy::{FromZeros, IntoBytes};

use super::record::{Cell, FORMAT_VERSION, Header, MAGIC, Record};
use crate::Error;

const HEADER_LEN_BYTES: u64 = size_of::<Header>() as u64;
const RECORD_LEN_BYTES: u64 = size_of::<Record>() as u64;
const CELL_LEN_BYTES: u64 = size_of::<Cell>() as u64;
const FIRST_CELL_BYTES: u64 = core::mem::offset_of!(Record, cells) as u64;

/// The file of chains.
#[derive(Debug)]
pub(super) struct ChainFile {
    path: PathBuf,
    file: File,
}

impl ChainFile {
    /// Opens the file at `path` and reads its records; `None` if there is no file.
    pub(super) fn open(
        path: &Path,
        master: &MasterKey,
    ) -> Result<Option<(Self, Vec<Record>)>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(Error::io("opening the chains of devices", path))?;
        let failed = || Error::io("reading the chains of devices", path);
        let mut input = BufReader::with_capacity(1 << 20, &file);
        let mut header = Header::new_zeroed();
        input.read_exact(header.as_mut_bytes()).map_err(failed())?;
        check(path, &header, master)?;
        let len_bytes = file.metadata().map_err(failed())?.len();
        let count = len_bytes.saturating_sub(HEADER_LEN_BYTES) / RECORD_LEN_BYTES;
        let count = u32::try_from(count).map_err(|_| bad(path, "it is too long"))?;
        let mut records = vec![Record::new_zeroed(); count as usize];
        input.read_exact(records.as_mut_bytes()).map_err(failed())?;
        Ok(Some((Self { path: path.to_owned(), file }, records)))
    }

    /// Creates the file at `path` without records, whole or not at all.
    pub(super) fn create(path: &Path, master: &MasterKey) -> Result<Self, Error> {
        let mut draft = Draft::beside(path)?;
        draft.write(Header::of(master).as_bytes())?;
        let file = draft.publish_new()?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes whole records, the first of them at `place`.
    pub(super) fn write_records(&self, place: u32, records: &[Record]) -> Result<(), Error> {
        self.write(records.as_bytes(), record_offset(place))
    }

    /// Writes one cell of the record at `place`; `None` overwrites the cell with zeros.
    pub(super) fn write_cell(
        &self,
        place: u32,
        number: usize,
        cell: Option<&Cell>,
    ) -> Result<(), Error> {
        let empty = Cell::new_zeroed();
        let offset = record_offset(place) + FIRST_CELL_BYTES + number as u64 * CELL_LEN_BYTES;
        self.write(cell.unwrap_or(&empty).as_bytes(), offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(Error::io("writing the chains of devices", &self.path))
    }

    /// The record at `place`.
    pub(super) fn read(&self, place: u32) -> Result<Record, Error> {
        let mut record = Record::new_zeroed();
        let read = self.file.read_exact_at(record.as_mut_bytes(), record_offset(place));
        read.map_err(Error::io("reading the chains of devices", &self.path))?;
        Ok(record)
    }

    /// Cuts the file behind `count` records.
    pub(super) fn cut(&self, count: u32) -> Result<(), Error> {
        let cut = self.file.set_len(record_offset(count));
        cut.map_err(Error::io("writing the chains of devices", &self.path))
    }

    /// Makes everything written durable, and the file's name.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("syncing the chains of devices", &self.path))?;
        // The process that created the file may have ended before its name was durable.
        Ok(sync_folder_of(&self.path)?)
    }
}

fn record_offset(place: u32) -> u64 {
    HEADER_LEN_BYTES + u64::from(place) * RECORD_LEN_BYTES
}

fn check(path: &Path, header: &Header, master: &MasterKey) -> Result<(), Error> {
    let expected = Header::of(master);
    if header.magic != MAGIC {
        return Err(bad(path, "it is not a file of chains; restore it from a backup"));
    }
    if header.version.get() > FORMAT_VERSION {
        return Err(bad(path, "a newer version wrote it; use that version"));
    }
    if header.check_value != expected.check_value {
        let why = "it is sealed under another master key; restore both together";
        return Err(bad(path, why));
    }
    if header.as_bytes() != expected.as_bytes() {
        return Err(bad(path, "it is damaged; restore it from a backup"));
    }
    Ok(())
}

pub(super) fn bad(path: &Path, why: &'static str) -> Error {
    Error::DeviceKeys { path: path.to_owned(), why }
}
