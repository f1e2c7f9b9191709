//! The secret of a station whose devices agree on a key with it for each packet, and its sealed
//! file in the fleet's folder.
//!
//! The file is sealed under the master key, so that it is as well protected as that key is: in
//! the clear, under a passphrase, or elsewhere. The station's point is bound to it, which the index
//! stores as a parameter. So a file of another fleet, or a damaged one, does not unseal.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hintdex_host::{Draft, SecretSource};
use hintdex_wire::{MasterKey, StationPoint, StationSecret};
use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::master::{Secret, random, read_key};
use super::siv::Sealer;
use crate::Error;

/// The file of the station key, inside a fleet's folder.
const FILE: &str = "station.key";
/// The name of a station key in messages.
const STATION_KEY: &str = "station key";
/// The first bytes of the file.
const MAGIC: [u8; 8] = *b"hdxstat\0";
/// The format version that this version writes and reads.
const FORMAT_VERSION: u16 = 1;

/// The secret of a station, from which its devices' point follows. Zeroized on drop, redacted in
/// `Debug`.
///
/// ```
/// use std::sync::Arc;
/// use hintdex::wire::{DeviceId, EphemeralSealer, EphemeralSuite, KeyId};
/// use hintdex::{KeyAccess, Params, Protection, Station, StationKey, StationOptions, Verdict};
/// # use hintdex::{DeviceRange, SystemClock};
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("fleet");
///
/// let station_key = StationKey::generate()?;
/// let params = Params::ephemeral(EphemeralSuite::X25519Seq, station_key.point());
/// let access = KeyAccess { station_key: Some(station_key.clone()), ..KeyAccess::default() };
/// let (options, clock) = (StationOptions::default(), Arc::new(SystemClock));
/// let station =
///     Station::create_by(&dir, &access, &Protection::File, params, &options, clock)?;
/// station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
///
/// // In the field: device 42 knows its MAC key and the station's point.
/// let device = DeviceId(42);
/// let mac_key = station.key_source().mac_key(KeyId::first(device)).unwrap();
/// let suite = EphemeralSuite::X25519Seq;
/// let mut sealer = EphemeralSealer::new(suite, device, station_key.point(), mac_key, 5);
/// let mut packet = [0; 64];
/// let random = [3; 32]; // from a source that nobody can predict
/// let len = sealer.seal(&random, b"21.5 C", &mut packet).unwrap();
///
/// let verdict = station.decode(&packet[..len])?;
/// assert!(matches!(verdict, Verdict::Accepted { device: DeviceId(42), nonce: 5, .. }));
/// # Ok::<(), hintdex::Error>(())
/// ```
#[derive(Clone)]
pub struct StationKey(Secret);

impl StationKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`Error::File`] if the machine has no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut secret = Secret::default();
        random(secret.as_mut_slice(), Path::new(STATION_KEY))?;
        Ok(Self(secret))
    }

    /// Reads a key of 64 hex digits from a source.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if the text is no such key, or is all zeros, or [`Error::Secret`].
    pub fn read(source: &SecretSource) -> Result<Self, Error> {
        let secret: Secret = read_key(source, STATION_KEY)?;
        if **secret == [0; 32] {
            let (path, why) = (PathBuf::from(source.place()), "it is all zeros");
            return Err(Error::KeyFile { path, what: STATION_KEY, digits: 64, why });
        }
        Ok(Self(secret))
    }

    /// The point for the devices, which is no secret. Costs a scalar multiplication.
    pub fn point(&self) -> StationPoint {
        *self.secret().point()
    }

    /// The key, ready for use. Costs a scalar multiplication.
    pub(crate) fn secret(&self) -> StationSecret {
        StationSecret::new(&self.0)
    }

    /// Seals the key into the folder `dir` of a fleet.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn store(&self, dir: &Path, master: &MasterKey) -> Result<(), Error> {
        let mut record = Record::of(self);
        let (header, point) = (record.header(), self.point());
        let path = dir.join(FILE);
        let siv = Sealer::new(master).seal(&[&header, &point.0], &mut record.sealed);
        // The cipher takes every length of this size; a key that is not sealed is not written.
        let not_sealed = || Error::StationKey { path: path.clone(), why: "it cannot be sealed" };
        record.siv = siv.ok_or_else(not_sealed)?;
        let mut draft = Draft::beside(&path)?;
        draft.write(record.as_bytes())?;
        Ok(draft.publish()?)
    }

    /// The key in the folder `dir` of the fleet whose station has this point; `None` if there is no
    /// file.
    ///
    /// # Errors
    /// [`Error::StationKey`] if the file is damaged or of another fleet, or [`Error::File`].
    pub(crate) fn load(
        dir: &Path,
        master: &MasterKey,
        point: &StationPoint,
    ) -> Result<Option<Self>, Error> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading the station key", &path)(error)),
        };
        let refused = |why| Error::StationKey { path: path.clone(), why };
        let mut record = Record::read_from_bytes(&bytes)
            .ok()
            .filter(|record| record.magic == MAGIC)
            .ok_or_else(|| refused("it is no file of a station key, or is damaged"))?;
        if record.version.get() != FORMAT_VERSION {
            return Err(refused("a later version of hintdex wrote it"));
        }
        let header = record.header();
        let opened =
            Sealer::new(master).unseal(&[&header, &point.0], &mut record.sealed, &record.siv);
        opened.ok_or_else(|| refused("it is damaged, or is that of another fleet"))?;
        let mut secret = Secret::default();
        secret.copy_from_slice(&record.sealed);
        Ok(Some(Self(secret)))
    }

    /// The path of the key in the folder `dir`.
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }
}

impl fmt::Debug for StationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StationKey([redacted])")
    }
}

/// The file: a header, and the sealed secret. Zeroized on drop, since it holds the secret before
/// it is sealed.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Record {
    magic: [u8; 8],
    version: U16,
    reserved: [u8; 6],
    siv: [u8; 16],
    sealed: [u8; 32],
}

impl Record {
    /// The record of a key that is not sealed yet.
    fn of(key: &StationKey) -> Self {
        let mut record = Self::new_zeroed();
        (record.magic, record.version) = (MAGIC, FORMAT_VERSION.into());
        record.sealed.copy_from_slice(key.0.as_slice());
        record
    }

    /// The bytes in front of the tag, which the tag covers.
    fn header(&self) -> [u8; 16] {
        let mut header = [0; 16];
        header.copy_from_slice(self.as_bytes().split_at(16).0);
        header
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.sealed);
    }
}

/// The fields of the file as (name, offset, width), and the constants.
pub mod format {
    use core::mem::offset_of;

    use super::{FORMAT_VERSION, MAGIC, Record};

    /// The first bytes of the file, and its version.
    pub const MAGIC_AND_VERSION: ([u8; 8], u16) = (MAGIC, FORMAT_VERSION);

    /// The fields of the file.
    pub fn record() -> Vec<(&'static str, usize, usize)> {
        vec![
            ("magic", offset_of!(Record, magic), 8),
            ("version", offset_of!(Record, version), 2),
            ("reserved", offset_of!(Record, reserved), 6),
            ("siv", offset_of!(Record, siv), 16),
            ("sealed", offset_of!(Record, sealed), 32),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_loads_and_no_other_master_point_or_byte_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let (dir, master) = (folder.path(), MasterKey::new(&[1; 32]));
        let key = StationKey::generate().expect("random bytes");
        let load = |master: &MasterKey, point: &StationPoint| StationKey::load(dir, master, point);
        assert!(load(&master, &key.point()).expect("no file").is_none());
        key.store(dir, &master).expect("it is stored");
        let loaded = load(&master, &key.point()).expect("sound").expect("there is one");
        assert_eq!(loaded.point(), key.point());
        let other = StationKey::generate().expect("random bytes");
        assert!(load(&master, &other.point()).is_err());
        assert!(load(&MasterKey::new(&[2; 32]), &key.point()).is_err());
        let (path, bytes) = (dir.join(FILE), fs::read(dir.join(FILE)).expect("a file"));
        assert!(!bytes.windows(8).any(|run| key.0.starts_with(run)), "the secret is sealed");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged.get_mut(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
            fs::write(&path, damaged).expect("it is written");
            assert!(load(&master, &key.point()).is_err(), "bit {bit}");
        }
    }
}
