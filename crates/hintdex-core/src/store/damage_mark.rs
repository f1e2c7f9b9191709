//! The damage mark of a store: the file that announces that its windows must be dropped.
//!
//! The mark makes the next opening drop all windows before a compaction meets the unreadable
//! table again. It stays until a window is declared. Without the mark, devices without a window,
//! or a window record without a family, show that the store has lost more than windows.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hintdex_host::publish;

use crate::Error;

/// The name of the mark, beside the files of the store.
const MARK_FILE: &str = "windows.damaged";

/// Writes the mark, with the reason.
pub(super) fn write(folder: &Path, why: &str) -> Result<(), Error> {
    // The mark must be durable before the drop that it announces.
    Ok(publish(&folder.join(MARK_FILE), &[why.as_bytes(), b"\n"])?)
}

/// Whether the mark exists.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join(MARK_FILE).exists()
}

/// The reason in the mark, or why the mark cannot be read.
pub(super) fn reason(folder: &Path) -> String {
    fs::read(folder.join(MARK_FILE)).map_or_else(
        |error| error.to_string(),
        |why| String::from_utf8_lossy(&why).trim_end().to_owned(),
    )
}

/// Removes the mark, if it exists.
pub(super) fn remove(folder: &Path) -> Result<(), Error> {
    let mark = folder.join(MARK_FILE);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("removing a file", &mark)(error))
        }
        _ => Ok(()),
    }
}
