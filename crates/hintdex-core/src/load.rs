//! Opening: the records of a store, read, checked and put in memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{HintScheme, NonceKind, Slot};
use rocksdb::IteratorMode;
use zerocopy::FromBytes;

use crate::fleet::Fleet;
use crate::held::LeftTo;
use crate::index::MAX_LOOKAHEAD;
use crate::records::{
    ADDED_KEY_PREFIX, ClockRecord, ExtentRecord, FORMAT_VERSION, LifeRecord, MAGIC, META_FAMILY,
    META_KEY, Meta, PendingRecord, SLOTS_FAMILY, STATES_FAMILY, StateRecord, WINDOW_KEY_PREFIX,
    WindowRecord, epoch_key, epoch_of_family, slot_of_key,
};
use crate::states::{SlotState, StateTable};
use crate::store::Store;
use crate::time::{Life, Pending, Timing};
use crate::window::{Declared, Window};
use crate::{Error, Params};

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
    if version != FORMAT_VERSION || meta.reserved != [0; 4] {
        return Err(bad("it has a version or reserved bytes that no version wrote"));
    }
    let scheme =
        HintScheme::from_number(meta.hint_scheme).ok_or_else(|| bad("unknown hint scheme"))?;
    let nonces = NonceKind::from_number(meta.nonce_kind, meta.nonce_unit_s.get())
        .filter(|nonces| scheme.for_nonces(*nonces) == Some(scheme))
        .ok_or_else(|| bad("unknown nonce kind, or one its hints have no room for"))?;
    let lookahead = meta.lookahead.get();
    if lookahead == 0 || lookahead > MAX_LOOKAHEAD {
        return Err(bad("its lookahead is out of range"));
    }
    let timing = meta.timing.timing(nonces);
    let timing = timing.ok_or_else(|| bad("no index goes with time like that"))?;
    Ok((meta, Params { scheme, nonces, lookahead }, timing))
}

/// Calls `row` with every row of a family, in order.
pub(crate) fn each_row(
    store: &Store,
    family: &str,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    for entry in store.db().iterator_cf(&store.family(family)?, IteratorMode::Start) {
        let (key, value) = entry.map_err(Error::store("reading the database"))?;
        row(&key, &value)?;
    }
    Ok(())
}

pub(crate) fn load_fleet(store: &Store) -> Result<Fleet, Error> {
    let bad = |why: String| Error::corrupted("a run of slots", why);
    let (mut ranges, mut next) = (Vec::new(), 0u32);
    each_row(store, SLOTS_FAMILY, |key, value| {
        let record = ExtentRecord::read_from_bytes(value).ok();
        let range = record.and_then(|record| Some((record.range()?, record.provisioned_unix_s)));
        let (range, at) = range.ok_or_else(|| bad("its bytes are none".into()))?;
        if slot_of_key(key) != Some(Slot(next)) {
            return Err(bad(format!("slot {next} does not follow the one before")));
        }
        next = next.saturating_add(range.count);
        ranges.push((range, at.get()));
        Ok(())
    })?;
    let mut fleet = Fleet::default();
    fleet.add(ranges).map_err(|error| bad(error.to_string()))?;
    Ok(fleet)
}

pub(crate) fn load_states(
    store: &Store,
    fleet: &Fleet,
    params: Params,
    left_to: Option<&LeftTo>,
) -> Result<StateTable, Error> {
    let states = StateTable::new();
    if let Some(left_to) = left_to.filter(|_| !params.nonces.tells_time()) {
        let held = StateRecord::fresh(left_to.horizon_nonces);
        states.grow(left_to.slots, SlotState { state: held, clock: None });
    }
    for (slots, provisioned_unix_s) in fleet.provisioned() {
        states.grow(slots.end, params.fresh(provisioned_unix_s));
    }
    each_row(store, STATES_FAMILY, |key, value| {
        let row = slot_of_key(key).zip(parse_state(value, &params));
        let set = row.and_then(|(slot, StateRow { mut known, past, pending })| {
            if known.clock.is_none() {
                known.state.cut(params.lookahead, left_to);
            }
            let mut shard = states.shard(StateTable::shard_of(slot))?;
            let place = StateTable::place_of(slot);
            *shard.states.get_mut(place)? = known.state;
            if let Some(clock) = known.clock {
                *shard.clocks.get_mut(place)? = clock;
            }
            if !past.is_empty() {
                shard.past.insert(place, past);
            }
            if !pending.is_empty() {
                shard.pending.insert(place, pending);
            }
            Some(())
        });
        set.ok_or_else(|| Error::corrupted("a device state", format!("row {key:02x?}")))
    })?;
    Ok(states)
}

/// What a state's row has.
struct StateRow {
    known: SlotState,
    past: Vec<Life>,
    pending: Vec<Pending>,
}

/// The parts of a state's row, if it is sound.
fn parse_state(value: &[u8], params: &Params) -> Option<StateRow> {
    let (mut state, rest) = StateRecord::read_from_prefix(value).ok()?;
    if !state.is_sound(params.max_nonce()) {
        return None;
    }
    let lives = usize::from(std::mem::take(&mut state.past_lives));
    if !params.nonces.tells_time() {
        let known = SlotState { state, clock: None };
        let is_all = rest.is_empty() && lives == 0;
        return is_all.then_some(StateRow { known, past: Vec::new(), pending: Vec::new() });
    }
    let (clock, rest) = ClockRecord::read_from_prefix(rest).ok()?;
    let (past, pending) = <[LifeRecord]>::ref_from_prefix_with_elems(rest, lives).ok()?;
    let pending = <[PendingRecord]>::ref_from_bytes(pending).ok()?;
    Some(StateRow {
        known: SlotState { state, clock: Some(clock) },
        past: past.iter().map(|life| life.first.get()..life.end.get()).collect(),
        pending: pending
            .iter()
            .map(|pending| Pending {
                nonce: pending.nonce.get(),
                received_s: pending.received_unix_s.get(),
            })
            .collect(),
    })
}

/// What the windows leave to a snapshot, if one does.
pub(crate) fn left_to_of(declared: &[Arc<Window>]) -> Option<LeftTo> {
    let counters = declared.iter().filter(|window| window.span.is_none());
    counters.into_iter().find_map(|window| window.left_to)
}

/// The declared windows; families that were never declared are dropped.
pub(crate) fn load_windows(
    store: &Store,
    fleet: &Fleet,
    params: Params,
) -> Result<Declared, Error> {
    let mut declared = Declared::new();
    each_row(store, META_FAMILY, |key, value| {
        let Some(epoch) = key.strip_prefix(WINDOW_KEY_PREFIX) else { return Ok(()) };
        let bad = |why: &str| Error::corrupted("a window record", why);
        let epoch =
            epoch.try_into().map(u32::from_be_bytes).map_err(|_| bad("its key has no epoch"))?;
        let record =
            WindowRecord::read_from_bytes(value).map_err(|_| bad("its length is wrong"))?;
        let slots = record.slots.get().max(record.snapshot_slots.get());
        if slots > fleet.slot_count() || record.reserved != [0; 2] {
            return Err(bad("it has slots that the fleet has not, or bytes no version wrote"));
        }
        let span = record.span();
        let is_second = declared.iter().any(|window| window.span == span);
        if span.is_some() != params.nonces.tells_time() || is_second {
            return Err(bad("there are two, or its time is not of this kind of nonces"));
        }
        let window = Window::new(store, epoch, &record)?;
        let added = store.get(&store.family(META_FAMILY)?, &epoch_key(ADDED_KEY_PREFIX, epoch))?;
        let added =
            added.map(|bytes| bytes.as_ref().try_into().map(u64::from_le_bytes)).transpose();
        let added = added.map_err(|_| bad("its counter is not a number"))?;
        window.entries.fetch_add(added.unwrap_or(0), Ordering::Relaxed);
        declared.push(Arc::new(window));
        Ok(())
    })?;
    for name in store.family_names()? {
        let is_declared = declared.iter().any(|window| window.family == name);
        if epoch_of_family(&name).is_some() && !is_declared {
            store.drop_window(&name)?;
        }
    }
    // Where nonces tell time, what is missing is built when it is needed.
    if declared.is_empty() && fleet.slot_count() > 0 && !params.nonces.tells_time() {
        return Err(Error::corrupted("the windows", "there are devices but no window"));
    }
    Ok(declared)
}
