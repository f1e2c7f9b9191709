//! The opening of an index: the records of its store, read and checked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::Slot;
use rocksdb::{Direction, IteratorMode, WriteBatch};
use zerocopy::FromBytes;

use crate::Error;
use crate::coverage::LeanRecord;
use crate::fleet::Fleet;
use crate::late_rows::load_late_row;
use crate::params::Params;
use crate::records::{
    ADDED_KEY_PREFIX, ASSOCIATED_KEY, ExtentRecord, FORMAT_VERSION, LEAD_KEY, MAGIC, META_FAMILY,
    META_KEY, Meta, NAMING_KEY, NamingRecord, SETTINGS_KEY_PREFIX, SLOTS_FAMILY, STATES_FAMILY,
    SettingsRecord, SlotRow, SlotRun, SlotState, StateRecord, WINDOW_KEY_PREFIX, WindowRecord,
    device_of_settings, epoch_key, epoch_of_family, late_place_of_key, slot_of_key, window_family,
};
use crate::settings::{DeviceSettings, Settings};
use crate::states::StateTable;
use crate::store::Store;
use crate::time::Timing;
use crate::window::{Declared, Window};

pub(crate) fn load_meta(store: &Store, path: &Path) -> Result<(Meta, Params, Timing), Error> {
    let bytes = store.get(&store.family(META_FAMILY)?, META_KEY)?;
    let Some(bytes) = bytes.filter(|bytes| bytes.starts_with(&MAGIC)) else {
        return Err(Error::NotAnIndex { path: path.to_owned() });
    };
    let version =
        bytes.get(8..10).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
    if version > FORMAT_VERSION {
        return Err(Error::NewerVersion { found: version, supported: FORMAT_VERSION });
    }
    let bad = |why: &str| Error::corrupted("the meta record", why);
    let meta = Meta::read_from_bytes(&bytes).map_err(|_| bad("its length is wrong"))?;
    let associated = store.get(&store.family(META_FAMILY)?, ASSOCIATED_KEY)?;
    let naming = store.get(&store.family(META_FAMILY)?, NAMING_KEY)?;
    let naming = NamingRecord::parse(naming.as_deref())
        .map_err(|why| Error::corrupted("the record of the naming", why))?;
    let associated = associated.as_deref().unwrap_or_default();
    let lead = store.get(&store.family(META_FAMILY)?, LEAD_KEY)?;
    let (params, timing) = meta.parse(associated, naming, lead.as_deref()).map_err(bad)?;
    Ok((meta, params, timing))
}

/// Calls `row` with every key and value of a family, in order.
pub(crate) fn each_row(
    store: &Store,
    family: &str,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    each_row_from(store, family, &[], |key, value| row(key, value).map(|()| true))
}

/// Calls `row` with the keys and values of a family from `first` on, in order, as long as it returns
/// true.
pub(crate) fn each_row_from(
    store: &Store,
    family: &str,
    first: &[u8],
    mut row: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
) -> Result<(), Error> {
    let first = IteratorMode::From(first, Direction::Forward);
    for entry in store.db().iterator_cf(&store.family(family)?, first) {
        let (key, value) = entry.map_err(Error::store("reading the database"))?;
        if !row(&key, &value)? {
            break;
        }
    }
    Ok(())
}

pub(crate) fn load_fleet(store: &Store) -> Result<Fleet, Error> {
    let bad = |why: String| Error::corrupted("a run of slots", why);
    let (mut extents, mut next) = (Vec::new(), 0u32);
    each_row(store, SLOTS_FAMILY, |key, value| {
        if slot_of_key(key) != Some(Slot(next)) {
            return Err(bad(format!("slot {next} does not follow the run before it")));
        }
        let run = ExtentRecord::read(Slot(next), value);
        let run = run.ok_or_else(|| bad("its record is not sound".into()))?;
        next = next.checked_add(run.len_slots()).ok_or_else(|| bad("it is too long".into()))?;
        if let SlotRun::Keys(extent) = run {
            extents.push(extent);
        }
        Ok(())
    })?;
    Fleet::of(extents, next).map_err(|error| bad(error.to_string()))
}

/// The states of all slots. A slot whose row is not sound is out of service. A row without a
/// slot adds a line to `notes`. Returns also whether there are rows of late windows.
pub(crate) fn load_states(
    store: &Store,
    fleet: &Fleet,
    params: Params,
    lean: Option<&LeanRecord>,
    notes: &mut Vec<String>,
) -> Result<(StateTable, bool), Error> {
    let states = StateTable::new();
    let lean_counters = lean.filter(|_| !params.nonces.is_clocked());
    for extent in fleet.extents() {
        let (slots, fresh) = (extent.slots(), SlotState::fresh(&params, extent.provisioned_unix_s));
        let held = lean_counters.map_or(slots.start, |lean| slots.end.min(lean.slots));
        if let Some(lean) = lean_counters.filter(|_| slots.start < held) {
            let state = StateRecord::fresh(lean.horizon_nonces);
            states.assign(slots.start..held, SlotState { state, ..fresh });
        }
        states.assign(slots.start.max(held)..slots.end, fresh);
    }
    // The last slots may be free.
    let end = fleet.slot_count();
    states.assign(end..end, SlotState::fresh(&params, 0));
    let mut has_late_rows = false;
    each_row(store, STATES_FAMILY, |key, value| {
        // The rows of a slot's late window follow the row of its state.
        let late = late_place_of_key(key).filter(|_| !params.nonces.is_clocked());
        let late_slot = late.map(|(slot, _)| slot);
        let slot = late_slot.or(slot_of_key(key)).filter(|slot| fleet.key(*slot).is_some());
        let shard = slot.and_then(|slot| states.shard(StateTable::shard_of(slot)));
        let Some((slot, mut shard)) = slot.zip(shard) else {
            notes.push(format!("the states have a row {key:02x?} without a slot; it is ignored"));
            return Ok(());
        };
        if let Some((_, at)) = late {
            has_late_rows = true;
            if let Err(why) = load_late_row(&mut shard, slot, at, value) {
                states.put_out_of_service(&mut shard, slot, why);
            }
            return Ok(());
        }
        match SlotRow::read(value, &params) {
            Ok(mut row) => {
                if row.known.clock.is_none() {
                    row.known.state.cut(params.lookahead, lean);
                }
                shard.set_row(StateTable::place_of(slot), row);
            }
            Err(why) => states.put_out_of_service(&mut shard, slot, why),
        }
        Ok(())
    })?;
    Ok((states, has_late_rows))
}

/// The settings of the fleet and of devices. A device whose settings are not sound is out of
/// service.
pub(crate) fn load_settings(
    store: &Store,
    fleet: &Fleet,
    params: &Params,
    states: &StateTable,
) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    let bad = |why: &str| Error::corrupted("the settings of the fleet", why);
    each_row(store, META_FAMILY, |key, value| {
        let Some(rest) = key.strip_prefix(SETTINGS_KEY_PREFIX) else { return Ok(()) };
        let device = device_of_settings(rest).ok_or_else(|| bad("a key has no id of a device"))?;
        let found: Result<DeviceSettings, _> = SettingsRecord::read(value, params);
        match (device, found) {
            (None, found) => settings.fleet = found.map_err(bad)?,
            (Some(device), Ok(found)) => {
                settings.devices.insert(device, found);
            }
            (Some(device), Err(_)) => {
                for slot in fleet.slots(device) {
                    if let Some(mut shard) = states.shard(StateTable::shard_of(slot)) {
                        let why = "its settings are not sound; make them again";
                        states.put_out_of_service(&mut shard, slot, why);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(settings)
}

/// The lean record of the windows, if they are lean.
pub(crate) fn lean_record_of(declared: &[Arc<Window>]) -> Option<LeanRecord> {
    let counters = declared.iter().filter(|window| window.span.is_none());
    counters.into_iter().find_map(|window| window.lean)
}

/// The declared windows. Families that were never declared are dropped. Windows whose record
/// is not sound are dropped, too, with a line in `notes`, and are rebuilt from keys and states.
///
/// A declared window without a family was dropped for damage, which the damage mark shows.
/// Without the mark, the store's manifest is older than its rows, so states may be missing, too.
pub(crate) fn load_windows(
    store: &Store,
    fleet: &Fleet,
    params: Params,
    notes: &mut Vec<String>,
) -> Result<Declared, Error> {
    let meta = store.family(META_FAMILY)?;
    let (mut declared, mut unsound) = (Declared::new(), WriteBatch::default());
    let (families, has_dropped) = (store.family_names()?, store.has_damage_mark());
    each_row(store, META_FAMILY, |key, value| {
        let Some(epoch) = key.strip_prefix(WINDOW_KEY_PREFIX) else { return Ok(()) };
        let family = epoch.try_into().map(u32::from_be_bytes).map(window_family);
        let is_missing = !has_dropped && family.is_ok_and(|family| !families.contains(&family));
        let named = WindowRecord::ref_from_bytes(value).map_or(0, WindowRecord::slots_named);
        if is_missing || named > fleet.slot_count() {
            return Err(older_manifest(
                "a declared window is missing, or has devices that are missing",
            ));
        }
        match load_window(store, fleet, params, epoch, value) {
            Ok(window) if declared.iter().all(|other| other.span != window.span) => {
                declared.push(Arc::new(window));
                return Ok(());
            }
            Ok(_) => notes.push("a window was declared twice; one of the two is dropped".into()),
            Err(why) => notes.push(format!("a window is dropped and will be rebuilt: {why}")),
        }
        unsound.delete_cf(&meta, key);
        unsound.delete_cf(&meta, [ADDED_KEY_PREFIX, epoch].concat());
        Ok(())
    })?;
    if !unsound.is_empty() {
        store.set_damage_mark("the record of a window is not sound")?;
        store.write_synced(unsound)?;
    }
    if declared.is_empty() && fleet.slot_count() > 0 && !params.nonces.is_clocked() {
        // Missing windows of clocked nonces are built when they are needed.
        if !store.has_damage_mark() {
            return Err(older_manifest("there are devices and no declared window"));
        }
    }
    for name in families {
        let is_declared = declared.iter().any(|window| window.family == name);
        if epoch_of_family(&name).is_some() && !is_declared {
            store.drop_window(&name)?;
        }
    }
    Ok(declared)
}

/// The error of window records that contradict the families: the store's manifest is not its
/// newest one, so acknowledged states may be missing.
fn older_manifest(why: &str) -> Error {
    Error::corrupted("the store's manifest", format!("it is older than the rows: {why}"))
}

/// Opens one declared window.
///
/// # Errors
/// Why the window cannot be used.
fn load_window(
    store: &Store,
    fleet: &Fleet,
    params: Params,
    epoch: &[u8],
    value: &[u8],
) -> Result<Window, String> {
    let epoch = epoch.try_into().map(u32::from_be_bytes).map_err(|_| "its key has no epoch")?;
    let record = WindowRecord::read_from_bytes(value).map_err(|_| "its length is wrong")?;
    record.check(fleet.slot_count(), params.nonces.is_clocked())?;
    let window = Window::new(store, epoch, &record).map_err(without_remedy)?;
    let meta = store.family(META_FAMILY).map_err(without_remedy)?;
    let added = store.get(&meta, &epoch_key(ADDED_KEY_PREFIX, epoch));
    let added = added.map_err(without_remedy)?;
    let added = added.map(|bytes| bytes.as_ref().try_into().map(u64::from_le_bytes)).transpose();
    let added = added.map_err(|_| "its counter is not 8 bytes long")?;
    window.entries.fetch_add(added.unwrap_or(0), Ordering::Relaxed);
    Ok(window)
}

/// The finding of an error, without the remedy. A window is rebuilt; the remedy for damaged
/// truth, a backup, does not apply.
fn without_remedy(error: Error) -> String {
    match error {
        Error::Corrupted { what, why } => format!("{what}: {why}"),
        other => other.to_string(),
    }
}
