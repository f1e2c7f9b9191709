//! The rows of late windows: written with the packets that change them, read at an opening.

use hintdex_wire::{Nonce, REPLAY_WINDOW_NONCES, Slot};
use rocksdb::WriteBatch;
use zerocopy::{FromBytes, IntoBytes};

use crate::late_window::LateWindow;
use crate::params::MAX_LATE_NONCES;
use crate::records::{LateBlockRecord, LateHeadRecord, Unsound, late_key};
use crate::states::{Shard, StateTable};
use crate::store::Family;

/// Adds the rows of a whole late window to `batch`. `next` is one more than the highest accepted
/// nonce.
pub(crate) fn put_late_rows(
    batch: &mut WriteBatch,
    states: &Family<'_>,
    slot: Slot,
    late: &LateWindow,
    next: Nonce,
) {
    let head = LateHeadRecord::new(late.first(), late.late_nonces());
    batch.put_cf(states, late_key(slot, 0), head.as_bytes());
    for block in late.each_block(next) {
        put_late_block(batch, states, slot, late, block);
    }
}

/// Adds the row of a block to `batch`: its number, and the bits of its accepted nonces.
pub(crate) fn put_late_block(
    batch: &mut WriteBatch,
    states: &Family<'_>,
    slot: Slot,
    late: &LateWindow,
    (number, bits): (u64, u64),
) {
    let record = LateBlockRecord::new(number, bits);
    batch.put_cf(states, late_key(slot, place_of(late, number)), record.as_bytes());
}

/// Deletes all rows of a slot's late window.
pub(crate) fn delete_late_rows(batch: &mut WriteBatch, states: &Family<'_>, slot: Slot) {
    batch.delete_range_cf(states, late_key(slot, 0), late_key(slot, u16::MAX));
}

/// Takes in a row of the late window of `slot`, whose state was read before.
///
/// # Errors
/// Why the row is not sound.
pub(crate) fn load_late_row(
    shard: &mut Shard,
    slot: Slot,
    at: u16,
    value: &[u8],
) -> Result<(), Unsound> {
    let place = StateTable::place_of(slot);
    let Some(known) = shard.get(place).filter(|known| !known.state.is_retired()) else {
        return Ok(());
    };
    let window = known.state.window();
    if at == 0 {
        let head = LateHeadRecord::read_from_bytes(value).ok().and_then(|head| head.parts());
        let (first, late_nonces) = head.ok_or(BAD_HEAD)?;
        let is_longer = u64::from(late_nonces) > REPLAY_WINDOW_NONCES;
        if first > window.next() || !is_longer || late_nonces > MAX_LATE_NONCES {
            return Err(BAD_HEAD);
        }
        shard.set_late_window(place, Some(LateWindow::new(late_nonces, first, &window)));
        return Ok(());
    }
    let late = shard.late_window_mut(place).ok_or("its late window lacks its head")?;
    let block = LateBlockRecord::read_from_bytes(value).map_err(|_| "its length is wrong")?;
    let (number, bits) = block.parts();
    if place_of(late, number) != at {
        return Err("a block of its late window is in another's place");
    }
    late.load(number, bits, window.next())
}

const BAD_HEAD: Unsound = "the head of its late window is not sound";

/// The place of a block in the keys of rows: the head has the place 0.
fn place_of(late: &LateWindow, number: u64) -> u16 {
    // A ring has at most 1,025 blocks.
    u16::try_from(late.place(number)).map_or(u16::MAX, |place| place.saturating_add(1))
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use hintdex_wire::ReplayWindow;

    use super::*;
    use crate::records::{SlotState, StateRecord};

    #[test]
    fn rows_of_a_late_window_are_in_their_place_and_of_its_past() {
        let (slot, table) = (Slot(70), StateTable::new());
        let mut state = StateRecord::fresh(16);
        state.advance(&ReplayWindow::from_parts(1000, 1), 1016, u64::MAX - 1);
        table.grow(71, SlotState { state, clock: None, schedule: None });
        let mut shard = table.shard(StateTable::shard_of(slot)).expect("a shard");
        let head = |first, nonces| LateHeadRecord::new(first, nonces).as_bytes().to_vec();
        let block = |number, bits| LateBlockRecord::new(number, bits).as_bytes().to_vec();
        let mut load = |at: u16, bytes: &[u8]| load_late_row(&mut shard, slot, at, bytes);
        assert!(load(1, &block(15, 1)).is_err(), "it lacks its head");
        for bad in [head(1001, 100), head(0, 64), head(0, MAX_LATE_NONCES + 1), vec![0; 15]] {
            assert!(load(0, &bad).is_err());
        }
        let mut reserved = head(0, 100);
        reserved[15] = 1;
        assert!(load(0, &reserved).is_err());
        // Three blocks: 13, 14 and 15 are in the ring, and 12 and before have left it.
        assert_eq!(load(0, &head(0, 100)), Ok(()));
        assert_eq!(load(1, &block(15, 1 << 39)), Ok(()));
        assert_eq!(load(2, &block(13, u64::MAX)), Ok(()));
        assert_eq!(load(1, &block(12, u64::MAX)), Ok(()));
        assert!(load(2, &block(15, 1)).is_err(), "another's place");
        assert!(load(1, &block(15, 1 << 40)).is_err(), "nonce 1000 is the next one");
        assert!(load(1, &block(u64::MAX, 1)).is_err() && load(1, &[0; 15]).is_err());
        let late = shard.late_window(StateTable::place_of(slot)).expect("it was read");
        let blocks: Vec<_> = late.each_block(1000).collect();
        assert_eq!(blocks, [(13, u64::MAX), (15, 1 << 39)]);
    }
}
