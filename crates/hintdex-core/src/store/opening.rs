//! Making and opening a store, also one whose windows are damaged.
//!
//! Meta, slots and states are truth; windows are made from them. So a table of a window
//! that cannot be read must not keep the store closed: all windows are dropped then, and
//! whoever opens the index builds them again. Damage in the truth, or in the log, keeps the
//! store closed.

use std::fs;
use std::io::ErrorKind as ErrorKindOfIo;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use hintdex_host::publish;
use rocksdb::{ColumnFamilyDescriptor, ErrorKind, Options as RocksOptions, ReadOptions};

use super::{Db, Store, Tuning, logs};
use crate::records::{META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, epoch_of_family};
use crate::{Durability, Error};

/// The families that cannot be made again.
const TRUTH: [&str; 3] = [META_FAMILY, SLOTS_FAMILY, STATES_FAMILY];

/// The file, beside those of the store, that says that a table cannot be read: the next
/// opening drops the windows before a compaction meets the table again. It stays until a
/// window is declared: without it, devices without a window, and a record whose window is
/// missing, tell that the store has lost more than windows.
const DAMAGED_FILE: &str = "windows.damaged";

/// Notes that the store met a table that it cannot read.
pub(super) fn mark_damaged(path: &Path, why: &str) -> Result<(), Error> {
    let mark = path.join(DAMAGED_FILE);
    // What the mark announces must not be durable before the mark is.
    Ok(publish(&mark, &[why.as_bytes(), b"\n"])?)
}

impl Store {
    /// Makes a database with the families that are always there.
    pub(crate) fn create(path: &Path, tuning: Tuning) -> Result<Self, Error> {
        let mut options = tuning.database(true);
        options.create_missing_column_families(true);
        let families = TRUTH.map(String::from);
        let db = open_database(path, &tuning, &options, &families)?;
        Self::with(path, tuning, db, Durability::Sync)
    }

    /// Whether there is a database in the folder `path`.
    pub(crate) fn exists(path: &Path) -> bool {
        path.join("CURRENT").is_file()
    }

    /// Opens a database with every family it has. Where a table of a window cannot be read,
    /// the windows are dropped and `notes` says so.
    pub(crate) fn open(
        path: &Path,
        tuning: Tuning,
        durability: Durability,
        notes: &mut Vec<String>,
    ) -> Result<Self, Error> {
        if !Self::exists(path) {
            return Err(Error::NotAnIndex { path: path.to_owned() });
        }
        logs::check(path)?;
        let families = family_names(path)?;
        let options = tuning.database(false);
        let mark = path.join(DAMAGED_FILE);
        // A mark without windows was left by an opening that dropped them.
        let is_marked = mark.exists() && has_windows(&families);
        let opened = match is_marked {
            true => Err(fs::read(&mark).map_or_else(
                |error| error.to_string(),
                |why| String::from_utf8_lossy(&why).trim_end().to_owned(),
            )),
            false => match open_database(path, &tuning, &options, &families) {
                Ok(db) => Ok(db),
                // Nobody else has the store: its lock is taken before a table is read.
                Err(error @ Error::Store { .. })
                    if is_of_a_table(&error)
                        && has_windows(&families)
                        && check_truth(path, &tuning).is_ok() =>
                {
                    Err(error.to_string())
                }
                Err(error) => {
                    if matches!(&error, Error::Store { source, .. }
                        if source.kind() == ErrorKind::Corruption
                            && !source.as_ref().contains(".sst"))
                    {
                        logs::locate_damage(path)?;
                    }
                    return Err(error);
                }
            },
        };
        let db = match opened {
            Ok(db) => db,
            Err(why) => {
                check_truth(path, &tuning)?;
                mark_damaged(path, &why)?;
                drop_windows(path, &tuning, &families)?;
                let db = open_database(path, &tuning, &options, &family_names(path)?)?;
                notes.push(format!(
                    "the windows of hints are dropped: {why}; decode and roll build them again"
                ));
                db
            }
        };
        Self::with(path, tuning, db, durability)
    }

    /// Whether windows were dropped for damage, and none was declared since.
    pub(crate) fn has_dropped_windows(&self) -> bool {
        self.path().join(DAMAGED_FILE).exists()
    }

    /// Notes that windows are about to be dropped for damage.
    pub(crate) fn note_dropped_windows(&self, why: &str) -> Result<(), Error> {
        mark_damaged(self.path(), why)
    }

    /// Notes that a window was declared.
    pub(crate) fn forget_dropped_windows(&self) -> Result<(), Error> {
        let mark = self.path().join(DAMAGED_FILE);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != ErrorKindOfIo::NotFound => {
                Err(Error::io("removing a file", &mark)(error))
            }
            _ => Ok(()),
        }
    }

    fn with(path: &Path, tuning: Tuning, db: Db, durability: Durability) -> Result<Self, Error> {
        sweep(path)?;
        let mut read_to_keep = ReadOptions::default();
        read_to_keep.fill_cache(false);
        Ok(Self {
            db: Arc::new(db),
            path: path.to_owned(),
            tuning,
            read: ReadOptions::default(),
            read_to_keep,
            durability,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poison: OnceLock::new(),
        })
    }
}

/// The families of a database that nobody is changing.
pub(super) fn family_names(path: &Path) -> Result<Vec<String>, Error> {
    Db::list_cf(&RocksOptions::default(), path).map_err(Error::store("listing the column families"))
}

fn has_windows(families: &[String]) -> bool {
    families.iter().any(|name| epoch_of_family(name).is_some())
}

fn open_database(
    path: &Path,
    tuning: &Tuning,
    options: &RocksOptions,
    families: &[String],
) -> Result<Db, Error> {
    let families =
        families.iter().map(|name| ColumnFamilyDescriptor::new(name, tuning.by_name(name)));
    let opened = Db::open_cf_descriptors(options, path, families);
    opened.map_err(|source| refused(path, "opening the database", source))
}

/// Why a database was not opened.
fn refused(path: &Path, doing: &'static str, source: rocksdb::Error) -> Error {
    let said = source.to_string();
    if said.contains("LOCK") && (said.contains("lock ") || said.contains("Resource temporarily")) {
        Error::InUse { path: path.to_owned() }
    } else {
        Error::Store { doing, source }
    }
}

/// Whether a store stays closed for a table that is damaged or missing, and not for want of
/// room or descriptors.
fn is_of_a_table(error: &Error) -> bool {
    let Error::Store { source, .. } = error else { return false };
    let said = source.to_string();
    match source.kind() {
        ErrorKind::Corruption => true,
        ErrorKind::IOError => {
            said.contains(".sst")
                && ["No such file", "Input/output error"].iter().any(|why| said.contains(why))
        }
        _ => false,
    }
}

/// Opens the truth alone, and changes nothing: log, manifest and the tables of the truth
/// are whole if that succeeds.
fn check_truth(path: &Path, tuning: &Tuning) -> Result<(), Error> {
    let families = TRUTH.map(|name| ColumnFamilyDescriptor::new(name, tuning.by_name(name)));
    let options = tuning.database(false);
    let opened = Db::open_cf_descriptors_read_only(&options, path, families, false);
    opened.map(drop).map_err(Error::store("opening the database"))
}

/// Drops every window of a store whose truth is whole, whatever its tables are.
fn drop_windows(path: &Path, tuning: &Tuning, families: &[String]) -> Result<(), Error> {
    // Unreadable tables must not stop this opening. The switch would also hide damage in the
    // log, but the truth was opened with the switch on a moment ago.
    let mut options = tuning.database(false);
    options.set_paranoid_checks(false);
    let described = families.iter().map(|name| {
        let mut of_family = tuning.by_name(name);
        of_family.set_disable_auto_compactions(true);
        ColumnFamilyDescriptor::new(name, of_family)
    });
    let db = Db::open_cf_descriptors(&options, path, described);
    let db =
        db.map_err(|source| refused(path, "opening the database without its windows", source))?;
    for name in families.iter().filter(|name| epoch_of_family(name).is_some()) {
        db.drop_cf(name).map_err(Error::store("dropping a column family"))?;
    }
    Ok(())
}

/// Removes the drafts of options that a crash left in the folder of a database that is
/// open: RocksDB makes one whenever a family comes or goes, and never looks for old ones.
fn sweep(path: &Path) -> Result<(), Error> {
    let listing = || Error::io("listing a folder", path);
    for entry in fs::read_dir(path).map_err(listing())? {
        let draft = entry.map_err(listing())?.path();
        let name = draft.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("OPTIONS-") && name.ends_with(".dbtmp") {
            fs::remove_file(&draft).map_err(Error::io("removing a leftover file", &draft))?;
        }
    }
    Ok(())
}
