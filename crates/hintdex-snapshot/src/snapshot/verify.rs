//! Every check of the data.

use super::Snapshot;
use crate::VerifyError;
use crate::encoding::Padding;
use crate::format::shard_records;

impl Snapshot {
    /// Checks every block of the data now, some GB a second, also those that
    /// were found whole before, and that what fills parts of the data up is zero.
    ///
    /// Opening has checked the other bytes that are zero.
    ///
    /// # Errors
    /// [`VerifyError`] with the first block that is not what was written, or the first
    /// byte of the padding that is not zero.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let bytes = self.view().bytes;
        (0..self.checks.block_count()).try_for_each(|block| bytes.check(block))?;
        let mut first = None;
        let mut check = |padding: Padding| {
            let found = padding.not_zero(&self.storage).map(|at| (at, padding.behind));
            first = first.into_iter().chain(found).min();
        };
        self.shards.each_padding(&mut check);
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
