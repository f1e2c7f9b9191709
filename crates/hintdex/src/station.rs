//! A station: the folder of a fleet, opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hintdex_core::{ClockMove, LiveIndex, Params, Report, Section, Stats};
use hintdex_host::Exposed;
use hintdex_snapshot::{BuildReport, Encoding, ManifestKey, OpenError, Snapshot};
use hintdex_wire::{DeviceId, KeySource, Slot, StationSecret};

use crate::backup::Restored;
use crate::folder::FleetFolder;
use crate::keys::{FleetKeys, HintKeys};
use crate::lookup_stats::{LookupStats, Lookups};
use crate::maintenance::{MaintenancePass, MaintenanceThread, WindowTimer};
use crate::options::StationOptions;
use crate::outbox::PayloadSealer;
use crate::scans::{ScanStats, Scans};
use crate::schedule::Scheduled;
use crate::snapshots::{ComingHints, NO_CHAINS, OwnSnapshot, Snapshots, rebuild};
use crate::waiting::WaitingPackets;
use crate::{Error, IndexError, RebuildOptions};

/// The folder of a fleet, opened: packets in, verdicts out. Threads share a station by
/// reference.
///
/// See the [crate documentation](crate) for an example.
///
/// ```
/// use hintdex::{Malformed, Received, ScanStats, Station, StationOptions, Ticket, Unknown, Verdict};
/// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("fleet");
/// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
/// # use hintdex::DeviceRange;
/// // No time for scans while packets come in.
/// let options = StationOptions { scan_core_share: 0.0, ..StationOptions::default() };
/// let station = Station::create(&dir, None, params, &options)?;
/// station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
///
/// # let (keys, id) = (station.key_source(), KeyId::first(DeviceId(42)));
/// # let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
/// # let mut packet = [0; 64];
/// # let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 900)
/// #     .seal(b"21.5 C", &mut packet)
/// #     .unwrap();
/// # let packet = &packet[..len];
/// // Device 42 was away for 900 packets, so the index does not have its hint.
/// let heard = Received { packet, at_unix_s: 1_764_000_000, at_ms: 0, associated_data: None, context: &[] };
/// let noise = Received { packet: b"noise", ..heard };
/// let verdicts = station.decode_received(&[heard, noise])?;
/// let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdicts[0] else { panic!() };
/// let too_short = Malformed::TooShort { len_bytes: 5, least_bytes: 24 };
/// assert_eq!(verdicts[1], Verdict::Malformed(too_short));
///
/// // At the end of the input, every key is tried.
/// let waiting: Vec<(Ticket, Verdict)> = station.scan_all_waiting()?;
/// assert_eq!(waiting[0].0, ticket);
/// assert!(matches!(waiting[0].1, Verdict::Accepted { nonce: 900, .. }));
/// let ScanStats { hints, found, .. } = station.scan_stats();
/// assert_eq!((hints, found), (1, 1));
/// # Ok::<(), hintdex::Error>(())
/// ```
pub struct Station {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) keys: Arc<FleetKeys>,
    pub(crate) hint_keys: Arc<HintKeys>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// Why the station's own snapshot was not attached at opening, if it was rejected.
    pub(crate) refused: Option<Error>,
    pub(crate) own: OwnSnapshot,
    pub(crate) options: StationOptions,
    pub(crate) maintenance: MaintenanceThread,
    pub(crate) window_timer: WindowTimer,
    /// Files of the fleet that other users can read, until they are reported.
    pub(crate) exposed: Mutex<Vec<Exposed>>,
    pub(crate) scans: Scans,
    pub(crate) lookups: Lookups,
    /// `None` unless packets follow a schedule.
    pub(crate) scheduled: Option<Scheduled>,
    /// Seals what the outbox stores; `None` without an outbox.
    pub(crate) payload_sealer: Option<PayloadSealer>,
    /// The secret of a station whose packets have no hints, ready for use.
    pub(crate) station_secret: Option<StationSecret>,
    pub(crate) waiting: WaitingPackets,
    pub(crate) restored: Option<Restored>,
    /// The lock of the folder. Declared last, so that it is released after all else is closed.
    pub(crate) folder: Arc<FleetFolder>,
}

impl Station {
    /// Whether a write or a sync has failed, so that the state on disk is not known. The
    /// station then refuses everything until the fleet is opened again.
    pub fn is_poisoned(&self) -> bool {
        self.index.is_poisoned()
    }

    /// The backup that the fleet was restored from; `None` if it was not restored.
    pub const fn restored(&self) -> Option<&Restored> {
        self.restored.as_ref()
    }

    /// Attaches the snapshot in the file `path`: lookups ask it first from now on. At most two
    /// snapshots are asked, this one and its predecessor. No lookup waits for the change.
    ///
    /// Copies the file into memory, so a later change of the file does not affect lookups.
    /// Costs the length of the file in memory, and the time to read it.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if the file is no snapshot, is damaged, or is of another fleet;
    /// [`Error::SnapshotRefused`] if it is older than a change of keys.
    pub fn attach(&self, path: &Path) -> Result<(), Error> {
        self.attach_by(path, |path, key| Snapshot::open_in_memory(path, key))
    }

    /// [`attach`](Self::attach) that maps the file, so that processes share its pages.
    ///
    /// The caller promises that no process writes into the file or truncates it while the
    /// station is open; *renaming* another file over it is allowed. If the promise is
    /// broken, a lookup can end the process with a bus error.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach).
    pub fn attach_mapped(&self, path: &Path) -> Result<(), Error> {
        self.attach_by(path, |path, key| Snapshot::open(path, key))
    }

    fn attach_by(
        &self,
        path: &Path,
        open: fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
    ) -> Result<(), Error> {
        self.snapshots.attach_by(&self.index, path, open)?;
        self.lock_exposed().extend(Exposed::find(path));
        Ok(())
    }

    pub(crate) fn lock_exposed(&self) -> MutexGuard<'_, Vec<Exposed>> {
        self.exposed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The paths of the attached snapshots, the newest first.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        self.snapshots.paths()
    }

    /// Why the station's own snapshot was rejected at opening, if there is one and it was.
    /// The live index and scans answer in its place, and the next roll builds a new snapshot.
    pub const fn refused_snapshot(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Builds a snapshot of the coming hints of every device and publishes it as `path`,
    /// whole or not at all. Stations that have attached an earlier file of that name keep it.
    ///
    /// Costs the computation of every hint and about 0.1 µs more for each. `report` counts
    /// hints.
    ///
    /// ```
    /// use hintdex::snapshot::{Dial, Encoding};
    /// use hintdex::{RebuildOptions, Station, StationOptions};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 1000)], None)?;
    /// # let path = folder.path().join("coming.hdx");
    ///
    /// // The next 100 hints of every device, without a hint in the file.
    /// let options = RebuildOptions {
    ///     encoding: Encoding::Chain,
    ///     dial: Dial::Evaluations(16),
    ///     horizon_nonces: 100,
    ///     ..RebuildOptions::default()
    /// };
    /// let report = station.rebuild(&path, &options, None)?;
    /// assert_eq!(report.hints, 100_000);
    /// station.attach(&path)?;
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rebuild`], and for a chain [`Error::Index`] if the key source lacks a key.
    pub fn rebuild(
        &self,
        path: &Path,
        options: &RebuildOptions,
        report: Option<Report<'_>>,
    ) -> Result<BuildReport, Error> {
        if !self.params().naming.has_index() {
            let why = "its packets have no hints that a snapshot could hold";
            return Err(IndexError::NotForThisIndex { call: "rebuild", why }.into());
        }
        let is_chain = options.encoding == Encoding::Chain;
        if is_chain && self.params().ratchet.is_some() {
            return Err(Error::SnapshotRefused { path: path.to_owned(), why: NO_CHAINS });
        }
        let span = options.span.map(|(from, to)| from..to);
        let view = self.index.fleet_view();
        let coming = ComingHints::of(&view, options.horizon_nonces, span);
        let table = is_chain.then(|| self.hint_keys.table_of(&view)).transpose()?;
        rebuild(&self.index, &coming, table.as_deref(), path, options, report)
    }

    /// The notes since the last call, one line each: damage found in the index and how it
    /// was repaired, files of the fleet that other users of the machine can read, and, once, a key
    /// table that is not locked in memory.
    pub fn take_notes(&self) -> Vec<String> {
        let exposed = std::mem::take(&mut *self.lock_exposed());
        let exposed = exposed.into_iter().map(|exposed| exposed.to_string());
        exposed.chain(self.hint_keys.take_note()).chain(self.index.take_notes()).collect()
    }

    /// The devices that are out of service, each with the reason: their stored state or
    /// their key is damaged, and their packets are not accepted. All other devices go on.
    pub fn out_of_service(&self) -> Vec<(DeviceId, &'static str)> {
        let slots = self.index.out_of_service().into_iter();
        slots.map(|(key, why)| (key.device, why)).collect()
    }

    /// The device whose key has the number `slot`.
    pub fn device(&self, slot: Slot) -> Option<DeviceId> {
        self.index.key(slot).map(|key| key.device)
    }

    /// Derives every hint key now instead of with the first packet.
    ///
    /// Takes 0.1 s a million devices on two cores with SHA-256 instructions, and 0.5 s
    /// without.
    ///
    /// # Errors
    /// [`Error::Index`] if the key source lacks a key.
    pub fn warm_up(&self) -> Result<(), Error> {
        self.hint_keys.slot_keys().map(|_| ())
    }

    /// The contents of the index, and its bytes on disk and in memory. The section `snapshot`
    /// is the station's own snapshots.
    ///
    /// ```
    /// use hintdex::{Durability, Report, Section, Station, StationOptions, Stats, Verified};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintScheme};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// let options =
    ///     StationOptions { durability: Durability::ProcessCrash, ..StationOptions::default() };
    /// let station = Station::create(&dir, None, params, &options)?;
    /// let show: Report<'_> = &|done, total| eprintln!("{done} of {total}");
    /// station.provision(&[DeviceRange::new(DeviceId(0), 1000)], Some(show))?;
    ///
    /// let Stats { slots, entries, sections, .. } = station.stats()?;
    /// // The station's own snapshot holds all hints.
    /// assert_eq!((slots, entries), (1000, 0));
    /// for Section { name, disk_bytes, .. } in sections {
    ///     println!("{name}: {disk_bytes} bytes");
    /// }
    /// let Verified { rows, .. } = station.verify(None)?;
    /// assert!(rows > 0);
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = self.index.stats()?;
        let disk_bytes = self.snapshots.file_bytes_in(self.own.folder());
        stats.sections.push(Section { name: "snapshot", disk_bytes, buffered_bytes: 0 });
        Ok(stats)
    }

    /// What scans did and cost since the station was opened.
    pub fn scan_stats(&self) -> ScanStats {
        self.waiting.add_to(self.scans.stats())
    }

    /// How many slots the snapshots and the index have named, and how many tags were tried, since the station
    /// was opened.
    ///
    /// ```
    /// use hintdex::{LookupStats, Station, StationOptions};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let (keys, id) = (station.key_source(), KeyId::first(DeviceId(42)));
    /// # let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
    /// # let mut packet = [0; 64];
    /// # let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 3)
    /// #     .seal(b"21.5 C", &mut packet)
    /// #     .unwrap();
    /// # let packet = &packet[..len];
    /// station.decode(packet)?;
    /// let LookupStats { candidates, tags, .. } = station.lookup_stats();
    /// assert_eq!((candidates, tags), (1, 1));
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    pub fn lookup_stats(&self) -> LookupStats {
        self.lookups.stats()
    }

    /// The random id of the fleet.
    pub fn fleet_id(&self) -> &[u8; 16] {
        self.index.id()
    }

    /// The parameters of the fleet's index.
    pub fn params(&self) -> Params {
        self.index.params()
    }

    /// The station's time, in seconds since 1970.
    pub fn now_s(&self) -> u64 {
        self.index.now_s()
    }

    /// The source of the fleet's keys.
    pub fn key_source(&self) -> &Arc<dyn KeySource> {
        self.index.key_source()
    }

    /// The devices whose clocks jumped since the last call: two packets that agree have moved
    /// each of them.
    pub fn take_clock_moves(&self) -> Vec<(DeviceId, ClockMove)> {
        let moves = self.index.take_clock_moves().into_iter();
        moves.filter_map(|moved| Some((self.index.key(moved.slot)?.device, moved))).collect()
    }

    /// A maintenance pass with the station's options.
    pub(crate) fn maintenance_pass(&self) -> MaintenancePass {
        // A chain of hints needs keys of past points, which a ratchet wipes.
        let has_chains = self.params().ratchet.is_none() && self.params().naming.has_index();
        let keeps = has_chains
            && (self.options.snapshot_at_roll
                || self.options.lean
                || self.params().nonces.is_clocked());
        MaintenancePass {
            index: self.index.clone(),
            snapshots: self.snapshots.clone(),
            hint_keys: self.hint_keys.clone(),
            own: keeps.then(|| self.own.clone()),
            rebuild: RebuildOptions {
                encoding: Encoding::Chain,
                horizon_nonces: u64::from(self.params().lookahead)
                    * u64::from(StationOptions::SNAPSHOT_LOOKAHEADS),
                memory_bytes: self.options.memory_bytes,
                ..RebuildOptions::default()
            },
            lean: self.options.lean && has_chains,
            evaluations: self.options.evaluations,
            alone: self.maintenance.alone.clone(),
        }
    }
}

impl Drop for Station {
    /// Waits for a roll in the background, whose work would otherwise be lost, and stores the
    /// chains that have moved.
    fn drop(&mut self) {
        self.window_timer.stop();
        self.maintenance.wait();
        // If this fails, the chains of the file lag, and the next opening walks them forward.
        let _ = self.hint_keys.store_chains();
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("index", &self.index).finish_non_exhaustive()
    }
}
