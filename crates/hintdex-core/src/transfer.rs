//! Devices with their states, on their way from one index to another.
//!
//! A transferred device goes on where it was: with its nonces, its replay window, its clock and
//! its generation. Windows are not transferred; the receiving index builds them from the states.

use std::ops::Range;
use std::sync::Arc;

use hintdex_wire::{KeyId, Nonce, NonceKind, REPLAY_WINDOW_NONCES, ReplayWindow, Slot};
use rocksdb::WriteBatch;

use crate::Error;
use crate::device_range::{DeviceRange, KeyOrigin};
use crate::fleet::{Extent, Fleet};
use crate::index::LiveIndex;
use crate::late_rows::put_late_rows;
use crate::late_window::LateWindow;
use crate::params::MAX_LATE_NONCES;
use crate::records::{
    ADDED_KEY_PREFIX, ClockRecord, META_FAMILY, STATES_FAMILY, ScheduleRecord, SlotRow, SlotState,
    StateRecord, Unsound, WINDOW_KEY_PREFIX, epoch_key, slot_key,
};
use crate::retire::Retirement;
use crate::settings::{DeviceSettings, Settings};
use crate::states::StateTable;
use crate::time::{Anchor, DeviceClock, Pending, ScheduleClock};

/// A key of a device, with everything that an index stores of it.
///
/// ```
/// use hintdex_core::{ClockTransfer, KeyTransfer, LateTransfer};
/// # use hintdex_core::{Admission, Arrival, DeviceRange, LiveIndex, Options};
/// # use std::sync::Arc;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
/// # let folder = tempfile::tempdir().unwrap();
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
/// # let create = |name: &str| {
/// #     let path = folder.path().join(name);
/// #     LiveIndex::create(&path, keys.clone(), params, &Options::default())
/// # };
/// # let (here, there) = (create("here")?, create("there")?);
/// # here.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
/// # let key = here.key(Slot(3)).unwrap();
/// let arrival = Arrival { slot: Slot(3), key, nonce: 5, hint_key: None, received_unix_s: 0 };
/// assert_eq!(here.admit(&arrival)?, Admission::Accepted);
///
/// let transfers: Vec<KeyTransfer> = here.export(Slot(0)..Slot(here.slot_count()))?;
/// // A counter has no clock, and this device no late window.
/// let clock: &Option<ClockTransfer> = &transfers[3].clock;
/// let late: &Option<LateTransfer> = &transfers[3].late;
/// assert!(clock.is_none() && late.is_none());
/// there.import(&transfers)?;
/// there.roll(None)?;
/// // What was accepted here is a replay there.
/// assert_eq!(there.admit(&arrival)?, Admission::Replay);
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTransfer {
    /// The device, and the generation of the key.
    pub key: KeyId,
    /// The origin of the key. The keys themselves are the caller's.
    pub origin: KeyOrigin,
    /// The time at which the key was added, in seconds since 1970.
    pub provisioned_unix_s: u64,
    /// How long older keys of the device stay valid once this one is used, in seconds.
    pub grace_s: u32,
    /// How the key retired or will; `None` if it is in service.
    pub retirement: Option<Retirement>,
    /// One more than the highest accepted nonce.
    pub next_nonce: Nonce,
    /// The replay window: bit *i* is set if nonce `next_nonce` − 1 − *i* was accepted.
    pub seen: u64,
    /// For counters, the time of the last packet, in seconds since 1970, if it is known.
    pub heard_unix_s: Option<u64>,
    /// With clocked nonces, the clock of the device and its sessions.
    pub clock: Option<ClockTransfer>,
    /// With a schedule, the clock of the device; `None` before its first packet.
    pub schedule: Option<ScheduleClock>,
    /// For counters, the packets that wait for one that agrees: nonce and time of reception. With a
    /// schedule, the reading of the device's clock and the time of reception, in milliseconds.
    pub pending: Vec<(Nonce, u64)>,
    /// For counters, the late window of a device with a setting for it.
    pub late: Option<LateTransfer>,
    /// The settings that apply to the device, where they are not the usual ones; the same for
    /// all keys of a device.
    pub settings: DeviceSettings,
}

/// The late window of a counter, as [`KeyTransfer`] transfers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LateTransfer {
    /// The first nonce whose acceptance is known.
    pub first: Nonce,
    /// The length of the window, in nonces.
    pub late_nonces: u32,
    /// The blocks with accepted nonces: bit *i* of block *b* is nonce 64 *b* + *i*.
    pub blocks: Vec<(u64, u64)>,
}

/// The clock of a device and the sessions of its nonces.
///
/// See the example of [`KeyTransfer`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockTransfer {
    /// The time of the last packet, in seconds since 1970.
    pub heard_unix_s: u64,
    /// The least and the most that the device's clock was ahead of station time then, in seconds.
    pub offset_s: (i64, i64),
    /// The older observation that bounds the drift: its time, and its least and most.
    pub anchor: Option<(u64, i64, i64)>,
    /// The first nonce of the present session.
    pub session_first: Nonce,
    /// The spent nonces of past sessions, in their order.
    pub past: Vec<Range<Nonce>>,
    /// The replay window of the unit before the present one: its next nonce, and the bits.
    pub late: Option<(Nonce, u64)>,
    /// The packets that wait for one that agrees: nonce and time of reception.
    pub pending: Vec<(Nonce, u64)>,
}

impl LiveIndex {
    /// The keys at those of `slots` that have one, with their states, in order.
    ///
    /// Each state is of one moment, and those of different slots are not of the same moment:
    /// a caller that moves a fleet stops its packets first.
    ///
    /// # Errors
    /// [`Error::OutOfService`] for a device whose state is damaged: what it has sent is not
    /// known. Retire it first.
    pub fn export(&self, slots: Range<Slot>) -> Result<Vec<KeyTransfer>, Error> {
        let mut unknown = self.out_of_service().into_iter();
        if let Some((key, why)) = unknown.next() {
            let others = unknown.len();
            return Err(Error::OutOfService { device: key.device, why, others });
        }
        let fleet = self.fleet();
        let transfer = |(slot, key): (Slot, KeyId)| {
            let extent = fleet.extent_of(slot)?;
            let (shard, place) = (StateTable::shard_of(slot), StateTable::place_of(slot));
            let shard = self.states.shard(shard)?;
            let row = shard.row(place)?;
            let late = shard.late_window(place).map(|late| LateTransfer {
                first: late.first(),
                late_nonces: late.late_nonces(),
                blocks: late.each_block(row.known.state.next_nonce()).collect(),
            });
            let settings = self.settings_in_use(key.device).beyond(&DeviceSettings::default());
            Some(KeyTransfer { late, settings, ..transfer_of(extent, key, &row) })
        };
        Ok(fleet.keys(slots.start.0..slots.end.0).filter_map(transfer).collect())
    }

    /// Adds the keys of devices that the index does not have, with their states: all of them or
    /// none, even after a crash.
    ///
    /// Drops all windows, so every hint is scanned for until the index is
    /// [rolled](Self::roll), or opened again and rolled. Costs one write of 24 bytes a key.
    ///
    /// # Errors
    /// [`Error::AlreadyProvisioned`], [`Error::SlotsUsedUp`], [`Error::UnsoundTransfer`] for a
    /// state that no index with these parameters has, or those of the store.
    pub fn import(&self, transfers: &[KeyTransfer]) -> Result<(), Error> {
        let mut sorted: Vec<&KeyTransfer> = transfers.iter().collect();
        sorted.sort_by_key(|transfer| (transfer.key.generation, transfer.key.device));
        let rows: Vec<(SlotRow, Option<LateWindow>)> =
            sorted.iter().map(|transfer| self.row_of(transfer)).collect::<Result<_, _>>()?;
        self.maintain(|| {
            let before = self.fleet();
            let after = Arc::new(with_transfers(&before, &sorted)?);
            let mut batch = WriteBatch::default();
            self.put_runs(&mut batch, &before, &after)?;
            let states = self.store.family(STATES_FAMILY)?;
            for (slot, (row, late)) in (before.slot_count()..).map(Slot).zip(&rows) {
                let bytes = row.write(&self.params);
                let bytes = bytes.map_err(|why| Error::unsound("a device state", why))?;
                batch.put_cf(&states, slot_key(slot), bytes);
                if let Some(late) = late {
                    put_late_rows(&mut batch, &states, slot, late, row.known.state.next_nonce());
                }
            }
            let settings = self.with_settings(&sorted, &mut batch)?;
            let windows = self.windows.declared();
            let epochs: Vec<u32> = windows.iter().map(|window| window.epoch).collect();
            let meta = self.store.family(META_FAMILY)?;
            for epoch in &epochs {
                batch.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, *epoch));
                batch.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, *epoch));
            }
            // An opening rolls an index that has the mark and no window.
            self.store.set_damage_mark("devices were imported")?;
            self.store.write_synced(batch)?;
            let fresh = SlotState::fresh(&self.params, self.now_s());
            self.states.assign(before.slot_count()..after.slot_count(), fresh);
            self.set_settings(settings);
            for (slot, (row, late)) in (before.slot_count()..).map(Slot).zip(rows) {
                self.states.update(slot, |known| *known = row);
                if let Some(mut shard) = self.states.shard(StateTable::shard_of(slot)) {
                    shard.set_late_window(StateTable::place_of(slot), late);
                }
            }
            let new = Slot(before.slot_count())..Slot(after.slot_count());
            self.successors.find(&self.states, &after, &[new]);
            self.set_fleet(after);
            let gone = self.windows.write().replace(&epochs, None);
            gone.into_iter().try_for_each(|window| self.store.drop_window(&window.family))
        })
    }

    /// The settings with those of `transfers`, which must be the same for all keys of a device;
    /// adds their records to `batch`.
    fn with_settings(
        &self,
        transfers: &[&KeyTransfer],
        batch: &mut WriteBatch,
    ) -> Result<Settings, Error> {
        let mut settings = self.settings().map_or_else(Settings::default, |known| (*known).clone());
        let fleet = settings.fleet;
        let each = || {
            let own = |transfer: &KeyTransfer| transfer.settings.beyond(&fleet);
            transfers.iter().map(move |transfer| (transfer.key.device, own(transfer)))
        };
        for (device, own) in each().filter(|(_, own)| !own.is_empty()) {
            if settings.devices.insert(device, own).is_none() {
                self.put_settings(batch, Some(device), &own)?;
            }
        }
        for (device, own) in each() {
            if settings.devices.get(&device).copied().unwrap_or_default() != own {
                let why = "the settings of its keys differ";
                return Err(Error::UnsoundTransfer { device, why });
            }
        }
        settings.has_late_rows |= transfers.iter().any(|transfer| transfer.late.is_some());
        Ok(settings)
    }

    /// The row of a transferred key, with a whole lookahead of live hints, and its late window.
    fn row_of(&self, transfer: &KeyTransfer) -> Result<(SlotRow, Option<LateWindow>), Error> {
        let KeyTransfer { key, next_nonce, seen, .. } = transfer;
        let unsound = |why| Error::UnsoundTransfer { device: key.device, why };
        let mut state = StateRecord::fresh(0);
        let end = next_nonce.saturating_add(self.params.lookahead.into());
        let window = ReplayWindow::from_parts(*next_nonce, *seen);
        // The live hints of time steps follow from the clock alone.
        let is_step = matches!(self.params.nonces, NonceKind::Step(_));
        state.advance(&window, if is_step { 0 } else { end }, self.params.max_nonce());
        if let Some(heard_unix_s) = transfer.heard_unix_s.filter(|_| transfer.clock.is_none()) {
            state.set_heard(heard_unix_s);
        }
        let schedule = transfer.schedule.as_ref();
        let has_schedule = schedule.is_some() || self.params.naming.is_schedule();
        let schedule = has_schedule.then(|| ScheduleRecord::of(schedule));
        let mut row = SlotRow::of(SlotState { state, clock: None, schedule });
        if let Some(clock) = &transfer.clock {
            let mut record = ClockRecord::fresh(transfer.provisioned_unix_s);
            record.session_first = clock.session_first.into();
            let (low_s, high_s) = clock.offset_s;
            let anchor = |(at_s, low_s, high_s)| Anchor { at_s, low_s, high_s };
            let anchor = clock.anchor.map(anchor);
            record.set_clock(&DeviceClock { heard_s: clock.heard_unix_s, low_s, high_s, anchor });
            row.known.clock = Some(record);
            row.past.clone_from(&clock.past);
            row.late = clock.late.map(|(next, seen)| ReplayWindow::from_parts(next, seen));
        }
        match transfer.retirement {
            None => {}
            Some(Retirement::At(unix_s)) => row.end_at(unix_s),
            Some(Retirement::Now) => row.retire(false),
            Some(Retirement::Revoked) => row.retire(true),
        }
        let (own, of_clock) = (&transfer.pending, transfer.clock.as_ref());
        row.pending = pending_of(of_clock.map_or(own, |clock| &clock.pending));
        if of_clock.is_some() && !own.is_empty() {
            return Err(unsound("it has packets that wait twice"));
        }
        row.check(&self.params).map_err(unsound)?;
        let settings = transfer.settings.check(&self.params);
        settings.map_err(|_| unsound("its settings are out of range"))?;
        let late = transfer.late.as_ref().filter(|_| !row.known.state.is_retired());
        let late = late.map(|late| self.late_of(late, &window)).transpose().map_err(unsound)?;
        Ok((row, late))
    }

    /// A transferred late window.
    fn late_of(&self, late: &LateTransfer, window: &ReplayWindow) -> Result<LateWindow, Unsound> {
        let LateTransfer { first, late_nonces, blocks } = late;
        let is_longer = u64::from(*late_nonces) > REPLAY_WINDOW_NONCES;
        let is_clocked = self.params.nonces.is_clocked();
        if is_clocked || !is_longer || *late_nonces > MAX_LATE_NONCES || *first > window.next() {
            return Err("its late window is out of range");
        }
        let mut imported = LateWindow::new(*late_nonces, *first, window);
        for (number, bits) in blocks {
            imported.load(*number, *bits, window.next())?;
        }
        Ok(imported)
    }
}

/// Packets that wait, as they are transferred.
fn pending_of(pending: &[(Nonce, u64)]) -> Vec<Pending> {
    let pending = pending.iter().copied();
    pending.map(|(nonce, received_s)| Pending { nonce, received_s }).collect()
}

fn transfer_of(extent: &Extent, key: KeyId, row: &SlotRow) -> KeyTransfer {
    let SlotRow { known, past, late, pending, end_unix_s } = row;
    let state = known.state;
    let waiting: Vec<(Nonce, u64)> =
        pending.iter().map(|pending| (pending.nonce, pending.received_s)).collect();
    let clock = known.clock.map(|record| {
        let DeviceClock { heard_s, low_s, high_s, anchor } = record.clock();
        ClockTransfer {
            heard_unix_s: heard_s,
            offset_s: (low_s, high_s),
            anchor: anchor.map(|anchor| (anchor.at_s, anchor.low_s, anchor.high_s)),
            session_first: record.session_first.get(),
            past: past.clone(),
            late: late.map(|late| (late.next(), late.seen())),
            pending: waiting.clone(),
        }
    });
    KeyTransfer {
        key,
        origin: extent.range.origin,
        provisioned_unix_s: extent.provisioned_unix_s,
        grace_s: extent.grace_s,
        retirement: match end_unix_s {
            _ if state.is_revoked() => Some(Retirement::Revoked),
            _ if state.is_retired() => Some(Retirement::Now),
            Some(end_unix_s) => Some(Retirement::At(*end_unix_s)),
            None => None,
        },
        next_nonce: state.next_nonce(),
        seen: state.window().seen(),
        heard_unix_s: if clock.is_none() { state.heard_unix_s() } else { None },
        pending: if clock.is_none() { waiting } else { Vec::new() },
        late: None,
        settings: DeviceSettings::default(),
        clock,
        schedule: known.schedule.and_then(|record| record.clock()),
    }
}

/// The fleet with the keys of `transfers`, which are sorted by generation and id, in the slots
/// that follow the last one.
fn with_transfers(fleet: &Fleet, transfers: &[&KeyTransfer]) -> Result<Fleet, Error> {
    let mut extents = fleet.extents().to_vec();
    let mut next = fleet.slot_count();
    for transfer in transfers {
        let KeyTransfer { key, origin, provisioned_unix_s, grace_s, .. } = **transfer;
        let device = key.device;
        if !fleet.slots(device).is_empty() {
            return Err(Error::AlreadyProvisioned { first: device, last: device });
        }
        let one = DeviceRange { generation: key.generation, origin, ..DeviceRange::new(device, 1) };
        let one = Extent { first_slot: Slot(next), range: one, provisioned_unix_s, grace_s };
        next = next.checked_add(1).ok_or(Error::SlotsUsedUp)?;
        match extents.last_mut() {
            Some(last) if last.is_continued_by(&one) => last.range.count += 1,
            _ => extents.push(one),
        }
    }
    Fleet::of(extents, next)
}
