//! The copying of files, with their hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hintdex_host::{create_private_folders, folder_of};
use sha2::{Digest, Sha256};

use super::manifest::Hash;
use crate::Error;

/// The bytes that are read at once.
const PART_LEN_BYTES: usize = 1 << 20;

/// Reads a file and calls `part` with each part of it. Returns the length and the hash.
fn read(
    path: &Path,
    mut part: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(u64, Hash), Error> {
    let failed = || Error::io("reading a file", path);
    let mut file = File::open(path).map_err(failed())?;
    let (mut bytes, mut len_bytes, mut hash) = (vec![0; PART_LEN_BYTES], 0, Sha256::new());
    loop {
        let read = match file.read(&mut bytes) {
            Ok(0) => return Ok((len_bytes, hash.finalize().into())),
            Ok(read) => bytes.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed()(error)),
        };
        hash.update(read);
        part(read)?;
        len_bytes += read.len() as u64;
    }
}

/// The length and the hash of a file.
pub(super) fn hash_of(path: &Path) -> Result<(u64, Hash), Error> {
    read(path, |_| Ok(()))
}

/// Copies a file to a new one, mode 0600, durably but for its name. Returns the length and the hash.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(u64, Hash), Error> {
    create_private_folders(folder_of(to))?;
    let failed = || Error::io("writing a copy of a file", to);
    let mut options = OpenOptions::new();
    let mut copy = options.write(true).create_new(true).mode(0o600).open(to).map_err(failed())?;
    let written = read(from, |part| copy.write_all(part).map_err(failed()))?;
    copy.sync_all().map_err(failed())?;
    Ok(written)
}

/// Makes `to` another name of the file `from`. Returns whether the file system allows that.
pub(super) fn link(from: &Path, to: &Path) -> Result<bool, Error> {
    create_private_folders(folder_of(to))?;
    Ok(fs::hard_link(from, to).is_ok())
}

/// Makes the names in a folder durable, and those in the folders inside.
pub(super) fn sync_names(folder: &Path) -> Result<(), Error> {
    let failed = || Error::io("syncing a folder", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() {
            sync_names(&path)?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed())
}
