//! Beacons on their way to another folder, with what was learned of their clocks.

use std::fmt;

use hintdex_wire::DeviceId;
use zeroize::Zeroizing;

use crate::bounds::ClockBounds;
use crate::changes::Changes;
use crate::hypotheses::Former;
use crate::hypothesis::Hypothesis;
use crate::inventory::Inventory;
use crate::records::{BeaconRecord, ClockOf};
use crate::registration::{Refusal, Rule, Status};

/// A beacon as one folder hands it to another.
///
/// ```
/// use hintdex_beacon::{BeaconTransfer, Changes, ClockTransfer, Inventory};
/// # use hintdex_beacon::{Registration, Rule, wire::{DeviceId, HintKey}};
/// # let folder = tempfile::tempdir()?;
/// # let (here, there) = (folder.path().join("here"), folder.path().join("there"));
/// # let now = 1_764_000_000;
/// # let mut changes = Changes::open(&here, now)?;
/// # let key = HintKey::from_bytes([7; 16]);
/// # changes.add(&Registration { device: DeviceId(42), key, rule: Rule::BleRpa })?;
/// # changes.publish()?;
/// let beacons: Vec<BeaconTransfer> = Inventory::open(&here)?.transfers().collect();
/// // Nothing was learned of its clock yet.
/// let learned: &[ClockTransfer] = &beacons[0].clocks;
/// assert_eq!(learned, []);
/// let mut changes = Changes::open(&there, now)?;
/// for beacon in &beacons {
///     changes.add_transfer(beacon)?;
/// }
/// assert_eq!(changes.publish()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BeaconTransfer {
    /// The id.
    pub device: DeviceId,
    /// Whether the beacon is resolved.
    pub status: Status,
    /// How its identifiers are made.
    pub rule: Rule,
    /// The key as the folder keeps it: for gaen the key of the identifiers. `None` for a revoked
    /// beacon: the digest of its key is of no use in another folder.
    pub key: Option<Zeroizing<[u8; 16]>>,
    /// What was learned of its clock.
    pub clocks: Vec<ClockTransfer>,
}

impl fmt::Debug for BeaconTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeaconTransfer")
            .field("device", &self.device)
            .field("status", &self.status)
            .field("rule", &self.rule)
            .field("clocks", &self.clocks)
            .finish_non_exhaustive()
    }
}

/// A hypothesis of a beacon's clock. The fields have the meanings of the clock record of
/// docs/format/beacons.md.
///
/// See the example of [`BeaconTransfer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockTransfer {
    /// 1 known, 2 former, 3 suspected.
    pub kind: u8,
    /// For a former clock: rotations of the known clock since.
    pub held: u8,
    /// For a former clock: rotations of it since the known one was heard.
    pub back: u8,
    /// For a former clock: when the clock that took its place was heard first, in unix time.
    pub since_unix_s: u64,
    /// The least and the greatest offset, in microseconds.
    pub offset_us: (i64, i64),
    /// When the bounds held, in unix time.
    pub heard_unix_s: u64,
    /// The newest rotation that was heard; all ones if none was.
    pub newest_step: u64,
    /// The bounds by that rotation alone, in microseconds.
    pub newest_us: (i64, i64),
}

impl ClockTransfer {
    fn of(of: &ClockOf) -> Self {
        let (kind, clock, former) = match of {
            ClockOf::Known(clock) => (1, clock, None),
            ClockOf::Former(former) => (2, &former.clock, Some(former)),
            ClockOf::Suspected(clock) => (3, clock, None),
        };
        let ClockBounds { least_us, most_us, heard_unix_s } = *clock.bounds();
        let (newest_step, newest_least_us, newest_most_us) = clock.newest();
        Self {
            kind,
            held: former.map_or(0, |former| former.held),
            back: former.map_or(0, |former| former.back),
            since_unix_s: former.map_or(0, |former| former.since_unix_s),
            offset_us: (least_us, most_us),
            heard_unix_s,
            newest_step,
            newest_us: (newest_least_us, newest_most_us),
        }
    }

    /// The hypothesis; `None` if no clock can have it.
    fn clock(&self) -> Option<ClockOf> {
        let (least_us, most_us) = self.offset_us;
        let bounds = ClockBounds { least_us, most_us, heard_unix_s: self.heard_unix_s };
        let clock = Hypothesis::checked(bounds, self.newest_step, self.newest_us)?;
        let Self { held, back, since_unix_s, .. } = *self;
        match self.kind {
            1 => Some(ClockOf::Known(clock)),
            2 => Some(ClockOf::Former(Former { clock, since_unix_s, held, back })),
            3 => Some(ClockOf::Suspected(clock)),
            _ => None,
        }
    }
}

impl Inventory {
    /// All beacons with their keys and clocks, in the order of registration.
    pub fn transfers(&self) -> impl Iterator<Item = BeaconTransfer> {
        let rows = (0_u32..).zip(self.registry.rows());
        rows.filter_map(|(slot, row)| {
            let (status, rule) = (row.status()?, row.registered()?);
            let key = (status != Status::Revoked).then(|| Zeroizing::new(row.key));
            let learned = self.clocks.learned(slot, row);
            let clocks = learned.iter().map(ClockTransfer::of).collect();
            Some(BeaconTransfer { device: row.device(), status, rule, key, clocks })
        })
    }
}

impl Changes {
    /// Adds a beacon with its status and its learned clocks. A revoked beacon is added without
    /// its key: its id is taken, and nothing is resolved to it.
    ///
    /// # Errors
    /// [`Refusal`]; [`Refusal::UnsoundTransfer`] if key or clocks cannot be those of a beacon.
    pub fn add_transfer(&mut self, beacon: &BeaconTransfer) -> Result<(), Refusal> {
        let BeaconTransfer { device, status, rule, .. } = *beacon;
        let unsound = Refusal::UnsoundTransfer { device };
        if beacon.key.is_none() != (status == Status::Revoked) {
            return Err(unsound);
        }
        let clocks: Option<Vec<ClockOf>> = beacon.clocks.iter().map(ClockTransfer::clock).collect();
        let clocks = clocks.ok_or(unsound)?;
        let mut key = [0; 16];
        match &beacon.key {
            Some(bytes) => key = **bytes,
            // In the place of the digest: no key has it.
            None => getrandom::fill(&mut key).map_err(|_| Refusal::UnsoundTransfer { device })?,
        }
        let row = BeaconRecord::of_key(device, &key, rule).with_status(status);
        let slot = self.add_row(row)?;
        self.clocks.extend(clocks.into_iter().map(|clock| (slot, clock)));
        Ok(())
    }
}
