//! Creating and opening a store, even one whose windows are damaged.
//!
//! Meta, slots and states are truth; windows are derived from them. So an unreadable table of a
//! window must not keep the store closed: all windows are dropped, and the index rebuilds them.
//! Damage in the truth or in the log does keep the store closed.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use rocksdb::{ColumnFamilyDescriptor, ErrorKind, Options as RocksOptions, ReadOptions};

use super::database::{Db, family_names};
use super::tuning::Tuning;
use super::{Store, damage_mark, logs};
use crate::Error;
use crate::options::Durability;
use crate::records::{META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, epoch_of_family};

/// The families that cannot be rebuilt.
const TRUTH: [&str; 3] = [META_FAMILY, SLOTS_FAMILY, STATES_FAMILY];

impl Store {
    /// Creates a database with the families of every store, and another one if it is named.
    pub(crate) fn create(path: &Path, tuning: Tuning, more: Option<&str>) -> Result<Self, Error> {
        let mut options = tuning.database(true);
        options.create_missing_column_families(true);
        let families: Vec<_> = TRUTH.into_iter().chain(more).map(String::from).collect();
        let db = open_database(path, &tuning, &options, &families)?;
        Self::from_db(path, tuning, db, Durability::Sync)
    }

    /// Whether the folder `path` holds a database.
    pub(crate) fn exists(path: &Path) -> bool {
        path.join("CURRENT").is_file()
    }

    /// Opens a database with all its families, and creates another one if it is named and missing.
    /// If a table of a window cannot be read, drops all windows and adds a line to `notes`.
    ///
    /// Only an opening creates a family that has a compaction filter: the binding keeps the filters of
    /// an opening as long as the database, and those of `create_cf` only as long as the options.
    pub(crate) fn open(
        path: &Path,
        tuning: Tuning,
        durability: Durability,
        more: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Error> {
        if !Self::exists(path) {
            return Err(Error::NotAnIndex { path: path.to_owned() });
        }
        logs::check(path)?;
        let with_more = |mut families: Vec<String>| {
            let missing = more.filter(|more| !families.iter().any(|name| name == more));
            families.extend(missing.map(String::from));
            families
        };
        let families = with_more(family_names(path)?);
        let mut options = tuning.database(false);
        options.create_missing_column_families(more.is_some());
        // A mark without windows is left from an opening that dropped them.
        let is_marked = damage_mark::exists(path) && has_windows(&families);
        let opened = match is_marked {
            true => Err(damage_mark::reason(path)),
            false => match open_database(path, &tuning, &options, &families) {
                Ok(db) => Ok(db),
                // No other process has the store: RocksDB takes its lock before it reads a table.
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
                damage_mark::write(path, &why)?;
                drop_windows(path, &tuning, &family_names(path)?)?;
                let families = with_more(family_names(path)?);
                let db = open_database(path, &tuning, &options, &families)?;
                notes.push(format!(
                    "the windows of hints are dropped: {why}; decode and roll rebuild them"
                ));
                db
            }
        };
        Self::from_db(path, tuning, db, durability)
    }

    fn from_db(path: &Path, tuning: Tuning, db: Db, durability: Durability) -> Result<Self, Error> {
        remove_leftovers(path)?;
        let mut read_uncached = ReadOptions::default();
        read_uncached.fill_cache(false);
        Ok(Self {
            db: Arc::new(db),
            path: path.to_owned(),
            tuning,
            read: ReadOptions::default(),
            read_uncached,
            durability,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poison: OnceLock::new(),
        })
    }
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
    opened.map_err(|source| opening_error(path, "opening the database", source))
}

/// The error of a database that could not be opened.
fn opening_error(path: &Path, doing: &'static str, source: rocksdb::Error) -> Error {
    let message = source.to_string();
    if message.contains("LOCK")
        && (message.contains("lock ") || message.contains("Resource temporarily"))
    {
        Error::InUse { path: path.to_owned() }
    } else {
        Error::Store { doing, source }
    }
}

/// Whether a store cannot be opened because a table is damaged or missing, rather than for lack
/// of room or descriptors.
fn is_of_a_table(error: &Error) -> bool {
    let Error::Store { source, .. } = error else { return false };
    let message = source.to_string();
    match source.kind() {
        ErrorKind::Corruption => true,
        ErrorKind::IOError => {
            message.contains(".sst")
                && ["No such file", "Input/output error"].iter().any(|why| message.contains(why))
        }
        _ => false,
    }
}

/// Opens the truth alone, read-only. If that succeeds, the log, the manifest and the tables of
/// the truth are sound.
fn check_truth(path: &Path, tuning: &Tuning) -> Result<(), Error> {
    let families = TRUTH.map(|name| ColumnFamilyDescriptor::new(name, tuning.by_name(name)));
    let options = tuning.database(false);
    let opened = Db::open_cf_descriptors_read_only(&options, path, families, false);
    opened.map(drop).map_err(Error::store("opening the database"))
}

/// Drops every window of a store whose truth is sound, whatever the windows' tables hold.
fn drop_windows(path: &Path, tuning: &Tuning, families: &[String]) -> Result<(), Error> {
    // Unreadable tables must not stop this opening. This switch would also hide damage in the
    // log, but the truth was opened just before with paranoid checks on.
    let mut options = tuning.database(false);
    options.set_paranoid_checks(false);
    let described = families.iter().map(|name| {
        let mut of_family = tuning.by_name(name);
        of_family.set_disable_auto_compactions(true);
        ColumnFamilyDescriptor::new(name, of_family)
    });
    let db = Db::open_cf_descriptors(&options, path, described);
    let db = db.map_err(|source| {
        opening_error(path, "opening the database without its windows", source)
    })?;
    for name in families.iter().filter(|name| epoch_of_family(name).is_some()) {
        db.drop_cf(name).map_err(Error::store("dropping a column family"))?;
    }
    Ok(())
}

/// Removes what no version reads from the folder of an open database: the drafts of options that
/// a crash left, of which RocksDB writes one whenever a family is created or dropped, and the
/// journals that former versions let RocksDB write.
fn remove_leftovers(path: &Path) -> Result<(), Error> {
    let listing = || Error::io("listing a folder", path);
    for entry in fs::read_dir(path).map_err(listing())? {
        let file = entry.map_err(listing())?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_draft = name.starts_with("OPTIONS-") && name.ends_with(".dbtmp");
        if is_draft || name == "LOG" || name.starts_with("LOG.old.") {
            fs::remove_file(&file).map_err(Error::io("removing a leftover file", &file))?;
        }
    }
    Ok(())
}
