//! Changing and describing how a fleet's folder keeps the master key.

use std::path::Path;
use std::sync::Arc;

use hintdex_host::Clock;

use crate::keys::{KeptKey, KeyAccess, MasterFiles, Protection};
use crate::options::StationOptions;
use crate::{Error, Station};

impl Station {
    /// Keeps the master key of the fleet in the folder `dir` as `protection` says from now on.
    /// Devices, index and snapshots stay as they are.
    ///
    /// The fleet is opened, so the key is known to be the right one before anything changes. A
    /// crash leaves the old protection or the new one, and the next opening finishes the rest.
    /// The bytes of the old file are overwritten ([`shred`](hintdex_host::shred)).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use hintdex::{KeptKey, KeyAccess, PassphraseCost, Protection, SecretSource};
    /// use hintdex::{Station, StationOptions, SystemClock};
    /// # use hintdex::wire::HintScheme;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let options = StationOptions::default();
    /// let clock = Arc::new(SystemClock);
    /// drop(Station::create_by(
    ///     &dir, &KeyAccess::default(), &Protection::File, params, &options, clock.clone(),
    /// )?);
    /// assert_eq!(Station::kept_key(&dir)?, KeptKey::File);
    ///
    /// let passphrase = SecretSource::parse("command:echo seven words".as_ref()).unwrap();
    /// let cost = PassphraseCost { memory_kib: 1024, passes: 1, lanes: 1 };
    /// let wrapped = Protection::Passphrase { source: passphrase.clone(), cost };
    /// Station::rewrap_key(&dir, &KeyAccess::default(), &wrapped, &options, clock.clone())?;
    /// assert_eq!(Station::kept_key(&dir)?, KeptKey::Passphrase(cost));
    ///
    /// let access = KeyAccess { passphrase: Some(passphrase), ..KeyAccess::default() };
    /// Station::open_by(&dir, &access, &options, clock)?;
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`open_by`](Self::open_by). [`Error::OtherMasterKey`] if a source outside of the
    /// folder holds another key.
    pub fn rewrap_key(
        dir: &Path,
        access: &KeyAccess,
        protection: &Protection,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(), Error> {
        let options = StationOptions { refill: false, roll_in_background: false, ..*options };
        let (station, secret) = Self::open_with_secret(dir, access, &options, clock)?;
        let files = MasterFiles::of(dir);
        files.keep(&secret, protection)?;
        drop(station);
        Ok(())
    }

    /// What the folder `dir` of a fleet keeps of its master key. Reads no other secret, and
    /// takes no lock.
    ///
    /// # Errors
    /// [`Error::KeyFile`] or [`Error::WrappedKey`] for a damaged file, [`Error::File`], or
    /// [`Error::Index`] if the folder holds no fleet.
    pub fn kept_key(dir: &Path) -> Result<KeptKey, Error> {
        if !Self::exists(dir) {
            return Err(hintdex_core::Error::NotAnIndex { path: dir.to_owned() }.into());
        }
        MasterFiles::of(dir).describe()
    }

    /// Whether the folder `dir` keeps the master key as `protection` says, whatever the
    /// passphrase or the place.
    ///
    /// # Errors
    /// Those of [`kept_key`](Self::kept_key).
    pub fn is_key_kept_as(dir: &Path, protection: &Protection) -> Result<bool, Error> {
        Ok(matches!(
            (Self::kept_key(dir)?, protection),
            (KeptKey::File, Protection::File)
                | (KeptKey::Passphrase(_), Protection::Passphrase { .. })
                | (KeptKey::External(_), Protection::External { .. })
        ))
    }
}
