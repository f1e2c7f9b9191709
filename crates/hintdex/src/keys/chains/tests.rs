//! The file of chains after a process or a machine that stopped at any step of a move.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use hintdex_wire::{Chain, DeviceId, KeyId, MasterKey};
use tempfile::TempDir;

use super::*;

const KEY: KeyId = KeyId::first(DeviceId(7));
/// Where the record of the only key lies, and its two cells.
const RECORD: usize = 128;
const CELLS: [std::ops::Range<usize>; 2] =
    [RECORD + 8..RECORD + 8 + 52, RECORD + 8 + 52..RECORD + 8 + 104];

fn master() -> MasterKey {
    MasterKey::new(&[1; 32])
}

fn chain(epoch: u32) -> Chain {
    let mut chain = Chain::copy_of(0, &[9; 32]);
    chain.advance_to(epoch);
    chain
}

fn open(path: &Path) -> Arc<ChainStore> {
    Arc::new(ChainStore::open(path, &master()).expect("it opens"))
}

/// A file with the chain of a key that was given and stored in `epoch`.
fn stored(epoch: u32) -> (TempDir, PathBuf, Arc<ChainStore>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("device.chains");
    let store = open(&path);
    let mut import = AppendedChains::begin(&store, &master()).expect("no file yet");
    import.add(KEY, &chain(0)).expect("one key");
    import.finish().expect("it is written");
    import.keep();
    drop(import);
    store.move_to(KEY, &chain(epoch));
    store.store(&master()).expect("it is written");
    (folder, path, store)
}

fn held(store: &ChainStore) -> Option<(u32, [u8; 32])> {
    let epoch = store.epoch(KEY)?;
    let chain = store.chain(KEY, epoch)??;
    Some((epoch, *chain.expose()))
}

fn expected(epoch: u32) -> Option<(u32, [u8; 32])> {
    Some((epoch, *chain(epoch).expose()))
}

#[test]
fn a_move_leaves_one_cell_and_a_given_chain_never_goes_back() {
    let (_folder, path, store) = stored(3);
    let bytes = fs::read(&path).expect("it is there");
    let is_empty =
        |cell: &std::ops::Range<usize>| bytes[cell.clone()].iter().all(|byte| *byte == 0);
    assert_eq!(CELLS.iter().filter(|cell| is_empty(cell)).count(), 1);
    assert_eq!(held(&store), expected(3));
    assert!(store.chain(KEY, 2).is_some_and(|chain| chain.is_none()));
    assert_eq!(
        store.chain(KEY, 5).flatten().map(|chain| *chain.expose()),
        Some(*chain(5).expose())
    );
    store.move_to(KEY, &chain(1));
    assert_eq!(held(&open(&path)), expected(3));
    assert_eq!(store.verify().expect("it is sound"), 1);
}

/// Whatever part of the writes reached the disk, the key has a chain, and what an interrupted move
/// has left of the older one is overwritten.
#[test]
fn a_move_that_stops_anywhere_loses_no_chain() {
    let (_folder, path, store) = stored(3);
    let before = fs::read(&path).expect("it is there");
    store.move_to(KEY, &chain(8));
    store.store(&master()).expect("it is written");
    let after = fs::read(&path).expect("it is there");
    let old = CELLS.iter().position(|cell| before[cell.clone()].iter().any(|byte| *byte != 0));
    let old = old.expect("one of them holds the chain");
    let (old, new) = (CELLS[old].clone(), CELLS[1 - old].clone());
    let left = before[old.clone()].to_vec();
    for written in 0..=new.len() {
        // The new cell is written up to here, and the old one is whole.
        let mut bytes = before.clone();
        bytes[new.clone()][..written].copy_from_slice(&after[new.clone()][..written]);
        fs::write(&path, &bytes).expect("it can be written");
        let store = open(&path);
        let epoch = if written == new.len() { 8 } else { 3 };
        assert_eq!(held(&store), expected(epoch), "{written} bytes of the new cell");
        store.move_to(KEY, &chain(9));
        store.store(&master()).expect("it is written");
        let now = fs::read(&path).expect("it is there");
        assert!(!now.windows(32).any(|run| run == &left[20..]), "{written}: the old cell is left");
        assert_eq!(held(&open(&path)), expected(9));
    }
    for zeroed in 0..old.len() {
        // The new cell is whole, and the old one is overwritten up to here.
        let mut bytes = after.clone();
        bytes[old.clone()][zeroed..].copy_from_slice(&left[zeroed..]);
        fs::write(&path, &bytes).expect("it can be written");
        let store = open(&path);
        assert_eq!(held(&store), expected(8), "{zeroed} bytes of the old cell");
        store.store(&master()).expect("nothing has moved");
        let now = fs::read(&path).expect("it is there");
        assert!(now[old.clone()].iter().all(|byte| *byte == 0), "{zeroed}: the old cell is left");
        assert_eq!(held(&open(&path)), expected(8));
    }
}

#[test]
fn an_import_that_is_not_kept_leaves_nothing() {
    let (_folder, path, store) = stored(3);
    let before = fs::read(&path).expect("it is there");
    let other = KeyId::first(DeviceId(8));
    for finishes in [false, true] {
        let mut import = AppendedChains::begin(&store, &master()).expect("no other import");
        import.add(other, &chain(0)).expect("one key");
        // A derived chain that moves meanwhile waits for the end of the import.
        let derived = KeyId::first(DeviceId(100));
        store.move_to(derived, &chain(1));
        store.store(&master()).expect("it waits");
        if finishes {
            import.finish().expect("it is written");
            assert!(store.has(other));
        }
        import.take_back();
        assert!(!store.has(other));
        assert_eq!(fs::read(&path).expect("it is there"), before);
        store.forget(&[derived]).expect("it has no record");
    }
}

#[test]
fn forgotten_chains_leave_zeros_and_their_record_is_used_again() {
    let (_folder, path, store) = stored(3);
    store.forget(&[KEY]).expect("it is written");
    assert!(!store.has(KEY));
    let bytes = fs::read(&path).expect("it is there");
    assert!(bytes[RECORD..].iter().all(|byte| *byte == 0));
    let store = open(&path);
    assert!(store.is_empty());
    store.move_to(KEY, &chain(4));
    store.store(&master()).expect("it is written");
    assert_eq!(fs::read(&path).expect("it is there").len(), bytes.len());
    assert_eq!(held(&open(&path)), expected(4));
}

#[test]
fn a_damaged_record_is_reported_and_holds_no_chain() {
    let (_folder, path, _) = stored(3);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[CELLS[1].end - 1] ^= 1;
    bytes[CELLS[0].end - 1] ^= 1;
    fs::write(&path, &bytes).expect("it can be written");
    let store = open(&path);
    assert!(!store.has(KEY) && !store.is_empty());
    assert!(matches!(store.verify(), Err(Error::DeviceKeys { .. })));
    let other = ChainStore::open(&path, &MasterKey::new(&[2; 32]));
    assert!(matches!(other, Err(Error::DeviceKeys { .. })));
}
