//! Which process has a fleet open.

use std::path::Path;

use hintdex_server::control::Connection;

use crate::failure::Failure;
use crate::unix_time::time_text;

/// The failure of a command that needs a fleet for itself while another process has it open:
/// names that process, if it listens.
pub fn in_use(folder: &Path, error: hintdex::Error) -> Failure {
    let hintdex::Error::Index(hintdex::IndexError::InUse { .. }) = &error else {
        return error.into();
    };
    match Connection::open(folder) {
        Ok(Some(connection)) => {
            let holder = connection.holder();
            Failure::usage(format!(
                "{}: process {} has this index open: hintdex {}, since {}; stop that process first",
                folder.display(),
                holder.process_id,
                holder.command,
                time_text(holder.since_unix_s)
            ))
        }
        _ => error.into(),
    }
}
