//! A consistent copy of an index that goes on.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use crate::Error;
use crate::index::LiveIndex;

impl LiveIndex {
    /// Writes the index as of now into the folder `to`, which must not exist. Admissions go on.
    ///
    /// Files that never change are linked where `to` is on the same file system, and copied
    /// elsewhere; the logs are copied. So the folder takes little room until the index has changed. The
    /// caller makes its files durable. Takes some milliseconds, and the copies.
    ///
    /// # Errors
    /// Those of the store.
    pub fn checkpoint(&self, to: &Path) -> Result<(), Error> {
        self.store.check()?;
        let doing = "making a checkpoint";
        let checkpoint = Checkpoint::new(self.store.db()).map_err(Error::store(doing))?;
        // No memtable is flushed, however long the logs are: a flush would delay admissions.
        checkpoint.create_checkpoint_with_log_size(to, u64::MAX).map_err(Error::store(doing))
    }

    /// Runs `work` while no other call changes the devices or the windows; packets are looked up and
    /// admitted meanwhile. Waits for a roll or a provisioning that runs.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Poisoned`] after a failed write.
    pub fn while_fleet_rests<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.maintain(work)
    }
}
