//! Which files of windows the folder's owner made: those, and no others, are removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use zerocopy::{FromBytes, IntoBytes};

use crate::folder::Folder;
use crate::records::{WindowRecord, WindowsHeader};
use crate::{Error, Event, format};

/// The file's name.
pub const WINDOWS_FILE: &str = "beacons.windows";

/// What stands for the file of the epoch probe.
pub const EPOCH_START_UNIX_S: u64 = u64::MAX;

/// The record of windows that were made, by when they begin.
#[derive(Debug, Default)]
pub struct OwnedWindows {
    starts: BTreeSet<u64>,
    folder_id: [u8; 16],
}

impl OwnedWindows {
    /// Reads the record. One that is damaged names nothing: then files of before stay
    /// where they are, which is told.
    pub fn read(
        folder: &Folder,
        folder_id: &[u8; 16],
        events: &mut Vec<Event>,
    ) -> Result<Self, Error> {
        let path = folder.file(WINDOWS_FILE);
        let mut made = Self { starts: BTreeSet::new(), folder_id: *folder_id };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(made),
            Err(error) => return Err(Error::io("reading the record of windows", &path)(error)),
        };
        match made.parse(&path, &bytes)? {
            Some(starts) => made.starts = starts,
            None => events.push(Event::WindowRecordDamaged { path }),
        }
        Ok(made)
    }

    fn parse(&self, path: &Path, bytes: &[u8]) -> Result<Option<BTreeSet<u64>>, Error> {
        let Some((all, stored)) = bytes.split_last_chunk::<4>() else { return Ok(None) };
        if crc32fast::hash(all) != u32::from_le_bytes(*stored) {
            return Ok(None);
        }
        let Ok((header, records)) = WindowsHeader::ref_from_prefix(all) else { return Ok(None) };
        let (got, newest) = (header.version.get(), format::WINDOWS_VERSION);
        if header.magic == format::WINDOWS_MAGIC && got > newest {
            return Err(Error::NewerVersion { path: path.to_owned(), got, newest });
        }
        let is_ours = (header.magic, header.reserved, header.folder_id)
            == (format::WINDOWS_MAGIC, [0; 2], self.folder_id);
        let records = <[WindowRecord]>::ref_from_bytes(records).ok();
        let records = records.filter(|all| is_ours && all.len() == header.windows.get() as usize);
        Ok(records.map(|all| all.iter().map(|window| window.start_unix_s.get()).collect()))
    }

    pub fn contains(&self, start_unix_s: u64) -> bool {
        self.starts.contains(&start_unix_s)
    }

    /// The windows that were made and not removed.
    pub fn windows(&self) -> impl Iterator<Item = u64> {
        self.starts.iter().copied().filter(|start| *start != EPOCH_START_UNIX_S)
    }

    /// Notes a window, durably, before its file is begun.
    pub fn add(&mut self, start_unix_s: u64, folder: &Folder) -> Result<(), Error> {
        if self.starts.insert(start_unix_s) { self.save(folder) } else { Ok(()) }
    }

    /// Notes that windows are gone, after their files were removed.
    pub fn remove(&mut self, gone: &[u64], folder: &Folder) -> Result<(), Error> {
        if gone.iter().filter(|start| self.starts.remove(start)).count() == 0 {
            return Ok(());
        }
        self.save(folder)
    }

    fn save(&self, folder: &Folder) -> Result<(), Error> {
        let records: Vec<_> = self
            .starts
            .iter()
            .map(|start| WindowRecord { start_unix_s: (*start).into() })
            .collect();
        let header = WindowsHeader {
            magic: format::WINDOWS_MAGIC,
            version: format::WINDOWS_VERSION.into(),
            reserved: [0; 2],
            windows: u32::try_from(records.len()).unwrap_or(u32::MAX).into(),
            folder_id: self.folder_id,
        };
        let mut crc = crc32fast::Hasher::new();
        crc.update(header.as_bytes());
        crc.update(records.as_bytes());
        let crc = crc.finalize().to_le_bytes();
        folder.publish(WINDOWS_FILE, &[header.as_bytes(), records.as_bytes(), &crc])
    }
}
