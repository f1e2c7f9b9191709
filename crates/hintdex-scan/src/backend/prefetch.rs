//! Prefetching of keys.

use super::Block;

/// The number of blocks in a cache line.
const BLOCKS_PER_LINE: usize = 4;

/// The highest number of blocks that a call prefetches: the processor itself
/// prefetches the rest of a longer run.
const MOST_BLOCKS: usize = 64;

/// Prefetches the cache lines of `blocks`, up to 1 KB.
#[inline(always)]
pub(crate) fn prefetch(blocks: &[Block]) {
    let near = blocks.get(..MOST_BLOCKS).unwrap_or(blocks);
    near.iter().step_by(BLOCKS_PER_LINE).chain(near.last()).for_each(prefetch_line);
}

/// Prefetches the cache line of a block.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "an intrinsic")]
pub(crate) fn prefetch_line(block: &Block) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch is a hint: it reads nothing and faults on no address.
    // SSE, which has the instruction, is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().cast()) };
}

/// Prefetches the cache line of a block.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch_line(_: &Block) {}
