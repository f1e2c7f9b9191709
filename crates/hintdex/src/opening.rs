//! Creating, opening and discarding the fleet of a station.

use std::path::Path;
use std::sync::{Arc, Mutex};

use hintdex_core::{LiveIndex, Naming, Params};
use hintdex_host::{Clock, Exposed, SecretSource, SystemClock};

use crate::backup::Restored;
use crate::folder::FleetFolder;
use crate::keys::{FleetKeys, HintKeys, KeyAccess, MasterFiles, Protection, Secret};
use crate::lookup_stats::Lookups;
use crate::maintenance::{MaintenanceThread, WindowTimer};
use crate::options::StationOptions;
use crate::outbox::PayloadSealer;
use crate::scans::Scans;
use crate::schedule::Scheduled;
use crate::snapshots::{OwnSnapshot, Snapshots};
use crate::waiting::WaitingPackets;
use crate::{Error, IndexError, Station, StationKey};

/// The live index, inside a fleet's folder.
pub(crate) const INDEX_FOLDER: &str = "index";

impl Station {
    /// Creates a fleet without devices in the folder `dir`.
    ///
    /// `master_key` names a file of 64 hex digits, which is copied into the folder. Without
    /// it, a new random key is generated there, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::KeyFile`], [`Error::OtherMasterKey`], [`Error::Index`] or [`Error::File`].
    /// A folder with a master key may then exist; the same call continues from it.
    pub fn create(
        dir: &Path,
        master_key: Option<&Path>,
        params: Params,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        Self::create_with(dir, master_key, params, options, Arc::new(SystemClock))
    }

    /// [`create`](Self::create) with a clock other than the system's.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_with(
        dir: &Path,
        master_key: Option<&Path>,
        params: Params,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let source = master_key.map(|path| SecretSource::File(path.to_owned()));
        let access = KeyAccess { master_key: source, ..KeyAccess::default() };
        Self::create_by(dir, &access, &Protection::File, params, options, clock)
    }

    /// [`create_with`](Self::create_with) a master key from any source, kept as `protection`
    /// says. Without a source, a new random key is generated.
    ///
    /// See the example of [`rewrap_key`](Self::rewrap_key).
    ///
    /// # Errors
    /// Those of [`create`](Self::create), [`Error::Secret`], [`Error::WrappedKey`], and
    /// [`Error::StationKey`] or [`Error::OtherStationKey`] if packets have no hints and the station
    /// key is missing or is of another point.
    pub fn create_by(
        dir: &Path,
        access: &KeyAccess,
        protection: &Protection,
        params: Params,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        params.check()?;
        check_station_key(&params.naming, access)?;
        if matches!(params.naming, Naming::Ephemeral { .. }) && access.station_key.is_none() {
            let path = StationKey::path(dir);
            return Err(Error::StationKey { path, why: "there is no station key yet" });
        }
        let given = access.given()?;
        let folder = FleetFolder::open_or_create(dir)?;
        let index = dir.join(INDEX_FOLDER);
        if index.exists() {
            return Err(hintdex_core::Error::AlreadyAnIndex { path: dir.to_owned() }.into());
        }
        let files = MasterFiles::of(dir);
        files.settle();
        let secret = files.create(access, given.as_ref(), protection)?;
        let keys = FleetKeys::open(dir, &secret)?;
        if let Some(station_key) = &access.station_key {
            keys.store_station_key(dir, station_key)?;
        }
        let index =
            LiveIndex::create_with(&index, keys.clone(), params, &options.of_index(), clock)?;
        let station = Self::assemble(dir, folder, index, keys, options)?;
        station.lock_exposed().extend(access.exposed());
        Ok(station)
    }

    /// Opens the fleet in the folder `dir`.
    ///
    /// Reads every state, about 0.2 s a million devices. The hint keys are derived with the
    /// first packet, or by [`warm_up`](Self::warm_up).
    ///
    /// # Errors
    /// [`Error::KeyFile`], [`Error::KeysMissing`], [`Error::Index`] or [`Error::File`].
    pub fn open(dir: &Path, options: &StationOptions) -> Result<Self, Error> {
        Self::open_with(dir, options, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) with a clock other than the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        dir: &Path,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Self::open_by(dir, &KeyAccess::default(), options, clock)
    }

    /// [`open_with`](Self::open_with) secrets from any source: a passphrase for a wrapped master
    /// key, the key itself for a fleet that keeps none.
    ///
    /// See the example of [`rewrap_key`](Self::rewrap_key).
    ///
    /// # Errors
    /// Those of [`open`](Self::open), [`Error::NoPassphrase`], [`Error::WrongPassphrase`],
    /// [`Error::WrappedKey`], [`Error::KeyElsewhere`], [`Error::OtherMasterKey`] or
    /// [`Error::Secret`].
    pub fn open_by(
        dir: &Path,
        access: &KeyAccess,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Ok(Self::open_with_secret(dir, access, options, clock)?.0)
    }

    /// The station, and the master key, which the station itself keeps only absorbed.
    pub(crate) fn open_with_secret(
        dir: &Path,
        access: &KeyAccess,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Secret), Error> {
        let index = dir.join(INDEX_FOLDER);
        // Checked first: no lock file is created in a folder that holds no fleet.
        if !LiveIndex::exists(&index) {
            return Err(hintdex_core::Error::NotAnIndex { path: dir.to_owned() }.into());
        }
        let folder = FleetFolder::open(dir)?;
        let files = MasterFiles::of(dir);
        files.settle();
        let secret = files.open(access)?;
        let keys = FleetKeys::open(dir, &secret)?;
        let index = LiveIndex::open_with(&index, keys.clone(), &options.of_index(), clock)?;
        if let Some(station_key) = &access.station_key {
            check_station_key(&index.params().naming, access)?;
            // The file is missing or damaged, and the given key is that of the devices.
            if keys.load_station_key(dir, &index.params().naming).is_err() {
                keys.store_station_key(dir, station_key)?;
            }
        }
        let station = Self::assemble(dir, folder, index, keys, options)?;
        station.lock_exposed().extend(access.exposed());
        Ok((station, secret))
    }

    /// Removes the index of a fleet without devices and leaves its keys, for a caller that
    /// created the fleet and could not provision it. Removes nothing if the fleet has
    /// devices, or if the index is [poisoned](Self::is_poisoned) and may have devices.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn discard_empty(self) -> Result<(), Error> {
        if self.is_poisoned() || self.index.slot_count() > 0 {
            return Ok(());
        }
        let index = self.own.path().with_file_name(INDEX_FOLDER);
        let folder = self.folder.clone();
        drop(self);
        folder.remove(&index)
    }

    /// Whether the folder `dir` holds a fleet.
    pub fn exists(dir: &Path) -> bool {
        dir.join(INDEX_FOLDER).is_dir()
    }

    /// The station of an index that was created or opened: attaches the station's own
    /// snapshot, builds missing windows if the options ask for it, and starts the window timer.
    pub(crate) fn assemble(
        dir: &Path,
        folder: FleetFolder,
        index: LiveIndex,
        keys: Arc<FleetKeys>,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        keys.reconcile(&index)?;
        let own = OwnSnapshot::new(dir);
        let recovered = own.recover(&index, index.lean_snapshot());
        let (index, snapshots) = (Arc::new(index), Arc::new(Snapshots::default()));
        let needed = index.lean_snapshot();
        let is_used = needed.is_some() || (options.snapshot_at_roll && own.path().exists());
        let attached = is_used.then(|| snapshots.attach(&index, own.path())).transpose();
        let is_whole = needed.is_none_or(|needed| snapshots.serves(&needed));
        let scheduled = Scheduled::of(&index);
        let station_key = keys.load_station_key(dir, &index.params().naming)?;
        let restored = Restored::load(dir, keys.as_ref())?;
        if let Some((restored, outbox)) = restored.as_ref().zip(index.outbox()) {
            outbox.skip_to(restored.first_payload())?;
        }
        let station = Self {
            restored,
            station_secret: station_key.map(|key| key.secret()),
            payload_sealer: index.outbox().map(|_| {
                let counts_packets = index.params().naming.has_points();
                PayloadSealer::new(keys.sealer(), *index.id(), counts_packets)
            }),
            hint_keys: Arc::new(HintKeys::new(index.clone(), keys.clone(), snapshots.clone())),
            index,
            keys,
            snapshots,
            refused: attached.err(),
            own,
            options: *options,
            maintenance: MaintenanceThread::default(),
            window_timer: WindowTimer::default(),
            exposed: Mutex::new(Exposed::find_in(dir)),
            scans: Scans::new(options.scan_core_share),
            lookups: Lookups::default(),
            waiting: WaitingPackets::default(),
            scheduled,
            folder: Arc::new(folder),
        };
        // The fleet opens all the same: scans resolve the hints until the next build.
        if let Err(error) = recovered {
            station.maintenance.record_failure(error);
        }
        if options.refill && (!is_whole || station.index.lacks_window()) {
            station.refill()?;
        }
        if station.params().nonces.is_clocked() {
            station.maintenance_pass().attach_spans(options.refill)?;
            if options.refill {
                station.maintenance_pass().run(None)?;
            }
            if options.roll_in_background {
                station.window_timer.start(station.maintenance_pass(), &station.maintenance)?;
            }
        }
        Ok(station)
    }

    /// Rolls an index that lacks its window or the snapshot of its lean window. In the
    /// background, if the options allow it: scans resolve the hints meanwhile.
    fn refill(&self) -> Result<(), Error> {
        let pass = self.maintenance_pass();
        if !self.options.roll_in_background {
            return pass.run(None);
        }
        self.maintenance.start(pass);
        Ok(())
    }
}

/// Checks that a station key is given if and only if packets have no hints, and that it is the one
/// of the station's point.
fn check_station_key(naming: &Naming, access: &KeyAccess) -> Result<(), Error> {
    match (naming, &access.station_key) {
        (Naming::Ephemeral { station, .. }, Some(key)) if key.point() != *station => {
            Err(Error::OtherStationKey)
        }
        (Naming::Ephemeral { .. }, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => {
            let why = "the packets of this fleet have hints; only x25519 and x25519-seq packets need \
                a station key";
            Err(IndexError::NotForThisIndex { call: "--station-key", why }.into())
        }
    }
}
