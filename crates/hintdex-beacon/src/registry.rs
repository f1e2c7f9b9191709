//! The registered beacons: rows of a file, in memory as they are on disk.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hintdex_snapshot::{ManifestKey, SnapshotParams};
use hintdex_wire::{DeviceId, KeySource, MasterKey};
use zerocopy::{FromBytes, FromZeros, IntoBytes};
use zeroize::{Zeroize, Zeroizing};

use crate::folder::Folder;
use crate::records::{BeaconRecord, KeysHeader};
use crate::registration::{Scheme, Status};
use crate::{Error, format};

/// The file's name.
pub const KEYS_FILE: &str = "beacons.keys";

/// The label of the digests of wiped keys.
const DIGEST_LABEL: &[u8; 12] = b"revoked-key:";

const REMEDY: &str = "restore it from a copy, or remove it and import the keys again";

/// Rows in memory, wiped when they are dropped and when they move.
#[derive(Default)]
struct Rows(Vec<BeaconRecord>);

impl Rows {
    fn push(&mut self, row: BeaconRecord) {
        if self.0.len() == self.0.capacity() {
            let mut grown = Vec::with_capacity((2 * self.0.len()).max(64));
            grown.extend_from_slice(&self.0);
            // The rows of the old memory are wiped as they go.
            *self = Self(grown);
        }
        self.0.push(row);
    }
}

/// The beacons of a folder, by slot: their place in the order of registration.
pub struct Registry {
    header: KeysHeader,
    rows: Rows,
    /// Tells this state of the registry from others.
    crc: u32,
}

impl Registry {
    /// An empty one, with a name and a key of its own.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let mut header = KeysHeader {
            magic: format::KEYS_MAGIC,
            version: format::KEYS_VERSION.into(),
            reserved: [0; 2],
            beacons: 0.into(),
            folder_id: [0; 16],
            window_key: [0; 32],
        };
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|error| {
                Error::io("reading random bytes", folder)(io::Error::other(error.to_string()))
            })
        };
        random(&mut header.folder_id)?;
        random(&mut header.window_key)?;
        Ok(Self { header, rows: Rows::default(), crc: 0 })
    }

    /// Reads the registry of a folder; `None` if nothing was ever registered there.
    pub fn read(folder: &Folder) -> Result<Option<Self>, Error> {
        let path = folder.file(KEYS_FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("opening the keys", &path)(error)),
        };
        let failed = || Error::io("reading the keys", &path);
        let len = file.metadata().map_err(failed())?.len();
        let damaged = |what, offset: usize| Error::Damaged {
            path: path.clone(),
            what,
            offset_bytes: offset as u64,
            remedy: REMEDY,
        };
        let mut bytes = [0; size_of::<KeysHeader>()];
        file.read_exact(&mut bytes).map_err(|_| damaged("the keys end too early", 0))?;
        let header = KeysHeader::read_from_bytes(&bytes)
            .map_err(|_| damaged("the keys end too early", 0))?;
        if header.magic != format::KEYS_MAGIC {
            return Err(damaged("these are no keys of beacons", 0));
        }
        let (got, newest) = (header.version.get(), format::KEYS_VERSION);
        if got > newest {
            return Err(Error::NewerVersion { path, got, newest });
        }
        let row_len = size_of::<BeaconRecord>() as u64;
        let expected = bytes.len() as u64 + u64::from(header.beacons.get()) * row_len + 4;
        if len != expected {
            return Err(damaged("the keys are shorter or longer than their header says", 12));
        }
        let mut rows = Rows(vec![BeaconRecord::new_zeroed(); header.beacons.get() as usize]);
        file.read_exact(rows.0.as_mut_slice().as_mut_bytes()).map_err(failed())?;
        let mut stored = [0; 4];
        file.read_exact(&mut stored).map_err(failed())?;
        bytes.zeroize();
        let mut registry = Self { header, rows, crc: 0 };
        registry.crc = registry.checksum();
        if registry.crc != u32::from_le_bytes(stored) {
            return Err(damaged("the checksum of the keys is wrong", 0));
        }
        let reserved = registry.header.reserved != [0; 2];
        let is_sound = |row: &BeaconRecord| {
            row.registered().is_some() && (got > 1 || row.status() == Some(Status::Active))
        };
        let bad = registry.rows.0.iter().position(|row| !is_sound(row));
        match bad {
            None if !reserved && got >= 1 => Ok(Some(registry)),
            None => Err(damaged("the header of the keys holds what it may not", 8)),
            Some(at) => Err(damaged(
                "a row of the keys holds what it may not",
                size_of::<KeysHeader>() + at * size_of::<BeaconRecord>(),
            )),
        }
    }

    /// Opens a folder that has beacons.
    ///
    /// # Errors
    /// [`Error::NoBeacons`] for any other folder.
    pub fn of_folder(path: &Path) -> Result<(Folder, Self), Error> {
        let nobody = || Error::NoBeacons { folder: path.to_owned() };
        // A folder of something else gets no lock file.
        if !path.join(KEYS_FILE).exists() {
            return Err(nobody());
        }
        let folder = Folder::open(path)?;
        let registry = Self::read(&folder)?.ok_or_else(nobody)?;
        Ok((folder, registry))
    }

    /// Puts it into its folder, whole or not at all.
    pub fn publish(&mut self, folder: &Folder) -> Result<(), Error> {
        self.header.version = format::KEYS_VERSION.into();
        self.header.beacons = self.len().into();
        self.crc = self.checksum();
        let crc = self.crc.to_le_bytes();
        folder.publish(KEYS_FILE, &[self.header.as_bytes(), self.rows.0.as_bytes(), &crc])
    }

    fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(self.header.as_bytes());
        crc.update(self.rows.0.as_bytes());
        crc.finalize()
    }

    /// Adds a row; its slot is the last one.
    pub fn push(&mut self, row: BeaconRecord) {
        self.rows.push(row);
    }

    /// Replaces the row of a slot; the former row is wiped.
    pub fn set(&mut self, slot: u32, row: BeaconRecord) {
        if let Some(place) = self.rows.0.get_mut(slot as usize) {
            *place = row;
        }
    }

    /// The digest that takes the place of a key which is wiped: a pseudo-random function of the
    /// key and the folder, so that the key can be recognised and not be read.
    pub fn digest_of(&self, row: &BeaconRecord) -> [u8; 16] {
        let mut context = Zeroizing::new([0; DIGEST_LABEL.len() + 1 + 16]);
        let (label, rest) = context.split_at_mut(DIGEST_LABEL.len());
        label.copy_from_slice(DIGEST_LABEL);
        if let Some((scheme, key)) = rest.split_first_mut() {
            *scheme = row.scheme;
            key.copy_from_slice(&row.key);
        }
        MasterKey::new(&self.header.window_key).check_value(context.as_slice())
    }

    /// All rows, by slot.
    pub fn rows(&self) -> &[BeaconRecord] {
        &self.rows.0
    }

    pub fn get(&self, slot: u32) -> Option<&BeaconRecord> {
        self.rows.0.get(slot as usize)
    }

    /// The beacon of an id and a scheme; the first of several daily keys.
    pub fn find(&self, device: DeviceId, scheme: Scheme) -> Option<u32> {
        let is_it = |row: &BeaconRecord| row.device() == device && row.scheme == scheme.number();
        let at = self.rows().iter().position(is_it)?;
        u32::try_from(at).ok()
    }

    /// When the newest of the clocks was measured: no later than the present, give or take
    /// a day.
    pub fn newest_measured_unix_s(&self) -> u64 {
        self.rows().iter().map(|row| row.measured_unix_s.get()).max().unwrap_or(0)
    }

    /// How many beacons there are: fewer than 2³², by the refusal to register more.
    pub fn len(&self) -> u32 {
        u32::try_from(self.rows.0.len()).unwrap_or(u32::MAX)
    }

    pub const fn folder_id(&self) -> &[u8; 16] {
        &self.header.folder_id
    }

    /// What authenticates the folder's windows.
    pub fn window_key(&self) -> ManifestKey {
        ManifestKey::from_bytes(self.header.window_key)
    }

    /// A name for a file that was made from this state of the registry.
    pub fn origin_of(&self, parts: &[u64]) -> [u8; 16] {
        let parts: Vec<_> = parts.iter().map(|part| part.to_le_bytes()).collect();
        let (beacons, crc) = (self.len().to_le_bytes(), self.crc.to_le_bytes());
        let mut all: Vec<&[u8]> = vec![b"beacons", &beacons, &crc];
        all.extend(parts.iter().map(<[u8; 8]>::as_slice));
        SnapshotParams::origin_of(&all)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} beacons, keys redacted)", self.len())
    }
}
