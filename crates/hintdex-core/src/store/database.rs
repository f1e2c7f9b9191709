//! The database of a store, and the handles of its families.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{BoundColumnFamily, DBWithThreadMode, MultiThreaded, Options as RocksOptions};

use crate::Error;

/// RocksDB with families that can be created and dropped while threads share it.
pub(crate) type Db = DBWithThreadMode<MultiThreaded>;
/// A family's handle.
pub(crate) type Family<'a> = Arc<BoundColumnFamily<'a>>;

self_cell::self_cell!(
    /// A family's handle together with its database. Looking a handle up by name costs a lock,
    /// a search and four atomic operations: a fortieth of a lookup.
    pub(crate) struct OwnedFamily {
        owner: Arc<Db>,
        #[covariant]
        dependent: Family,
    }
);

/// The handle of the family called `name`.
pub(super) fn family<'a>(db: &'a Db, name: &str) -> Result<Family<'a>, Error> {
    db.cf_handle(name)
        .ok_or_else(|| Error::corrupted("the store", format!("its family {name} is missing")))
}

/// The families of a database. No family may be created or dropped meanwhile.
pub(super) fn family_names(path: &Path) -> Result<Vec<String>, Error> {
    Db::list_cf(&RocksOptions::default(), path).map_err(Error::store("listing the column families"))
}
