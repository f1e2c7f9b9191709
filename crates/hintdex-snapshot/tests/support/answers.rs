//! The candidates of a snapshot as a list, and the places of the parts of its file.

use core::ops::Range;

use hintdex_snapshot::{Damage, Snapshot};

/// The candidates of the hint with this head.
pub fn answer(snapshot: &Snapshot, head: u64) -> Result<Vec<Range<u32>>, Damage> {
    Ok(snapshot.candidates(&super::hint(head))?.collect())
}

/// The length of the manifest of `file`, in bytes, by its header.
pub fn manifest_len(file: &[u8]) -> usize {
    let field = file[120..128].try_into().unwrap_or_else(|_| unreachable!("eight bytes"));
    u64::from_le_bytes(field).try_into().unwrap_or(usize::MAX)
}
