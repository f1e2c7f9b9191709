//! Every check of the data.

use super::Snapshot;
use crate::VerifyError;
use crate::format::shard_records;
use crate::padding::Padding;

impl Snapshot {
    /// Checks the CRC of every block, including blocks that have passed before, and that all
    /// padding of the data is zero. Reads some GB a second.
    ///
    /// Opening has checked the zero bytes outside the data.
    ///
    /// # Errors
    /// [`VerifyError`] with the first block that fails its CRC, or the first byte of the
    /// padding that is not zero.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let bytes = self.view().bytes;
        (0..self.checks.block_count()).try_for_each(|block| bytes.check(block))?;
        let mut first = None;
        let mut check = |padding: Padding| {
            let found = padding.not_zero(&self.storage).map(|at| (at, padding.behind));
            first = first.into_iter().chain(found).min();
        };
        self.shards.each_padding(&mut check);
        if let Some(chain) = &self.chain {
            chain.each_padding(&bytes, &mut check);
        }
        shard_records(&self.storage, &self.directory)
            .unwrap_or_default()
            .iter()
            .for_each(|record| check(Padding::of_bytes("shard", record.padding())));
        match first {
            None => Ok(()),
            Some((offset_bytes, behind)) => Err(VerifyError::Padding { behind, offset_bytes }),
        }
    }
}
