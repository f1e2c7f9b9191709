//! Files with one bit flipped.

use std::io::Write;
use std::os::unix::fs::FileExt;

use hintdex_snapshot::{OpenError, Snapshot};
use rayon::prelude::*;

use super::key;

/// Flips each of `bits` of a file with these bytes, one at a time, and calls `check` with the
/// bit and the opening of the file. Each thread has a file of its own.
pub fn each_flip(
    bytes: &[u8],
    bits: impl IndexedParallelIterator<Item = usize>,
    check: impl Fn(usize, Result<Snapshot, OpenError>) + Sync + Send,
) {
    let copy = || {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("written");
        file
    };
    bits.for_each_init(copy, |file, bit| {
        let (at, byte) = (bit as u64 / 8, bytes[bit / 8]);
        file.as_file().write_all_at(&[byte ^ 1 << (bit % 8)], at).expect("written");
        check(bit, Snapshot::open(file.path(), &key()));
        file.as_file().write_all_at(&[byte], at).expect("written");
    });
}
