//! The source of a build: the hints of a fleet.

use std::ops::Range;

use hintdex_wire::Slot;

/// A source of the hints of a fleet.
///
/// If the memory of a build does not hold all hints, at twelve bytes each, the build asks for
/// them once in each pass, from several threads. To compute a hint again takes 10 to 15 ns,
/// less than to write its twelve bytes to a disk and read them back.
///
/// See the [example of the crate](crate).
pub trait HintSource: Sync {
    /// The number of all hints, at most 2⁴⁰. It must be exact: the number of shards depends on
    /// it.
    fn hint_count(&self) -> u64;

    /// Calls `each` with the head ([`Hint::head`](hintdex_wire::Hint::head)) and the slot of
    /// every hint of `slots`, in any order. Every call must yield the same hints.
    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot));
}
