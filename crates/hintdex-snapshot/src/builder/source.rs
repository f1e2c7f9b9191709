//! The source of a build: the hints of a fleet.

use std::ops::Range;

use hintdex_wire::Slot;

/// Where the hints of a fleet come from.
///
/// A build whose memory does not hold all hints (twelve bytes each) asks for
/// them once a pass, from several threads: making a hint again, 10 to 15 ns, is
/// cheaper than writing its twelve bytes to a disk and reading them back.
pub trait HintSource: Sync {
    /// How many hints there are in all, 2⁴⁰ at most. The number and the width of the
    /// shards depend on it, so it must be exact.
    fn hint_count(&self) -> u64;

    /// Gives `each` the head ([`Hint::head`](hintdex_wire::Hint::head)) and the
    /// slot of every hint of `slots`, in any order, the same at every call.
    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot));
}
