//! Blocks, and wiping them.

/// A stored key, or a block of the cipher.
pub(crate) type Block = [u8; 16];

/// Zeroizes blocks, many bytes at a time. `Zeroize` for arrays writes byte by byte,
/// which would take longer than a search.
pub(crate) fn wipe(blocks: &mut [Block]) {
    blocks.fill([0; 16]);
    zeroize::optimization_barrier(blocks);
}
