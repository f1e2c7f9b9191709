//! The file of the master key: 64 hex digits, readable by its owner alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hintdex_host::{Draft, sync_folder_of};
use zeroize::Zeroizing;

use crate::Error;

/// A master secret, zeroized on drop. It lies on the heap, so moving it leaves no copy.
pub(crate) type Secret = Box<Zeroizing<[u8; 32]>>;

/// Room for 64 hex digits and white space around them.
const MAX_FILE_LEN_BYTES: usize = 256;

/// The hex digits of a secret and a line end.
const TEXT_LEN_BYTES: usize = 65;

/// Reads the secret of a fleet from the file `path` in its folder.
pub(crate) fn read(path: &Path) -> Result<Secret, Error> {
    let file = File::open(path).map_err(Error::io("reading the master key", path))?;
    read_from(&file, path)
}

/// Reads the secret from the file whose path a user gave. A path that cannot be opened may
/// be the key itself, so the error describes the path and does not quote it.
pub(crate) fn read_from_user(path: &Path) -> Result<Secret, Error> {
    let file = File::open(path).map_err(|source| Error::no_key_file(path, source))?;
    read_from(&file, path)
}

fn read_from(file: &File, path: &Path) -> Result<Secret, Error> {
    // The capacity is twice the most that is read, so the buffer never moves.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * MAX_FILE_LEN_BYTES));
    let read = file.take(MAX_FILE_LEN_BYTES as u64).read_to_end(&mut text);
    read.map_err(Error::io("reading the master key", path))?;
    let bad = |why| Error::KeyFile { path: path.to_owned(), why };
    let digits = text.trim_ascii();
    let mut secret = Secret::default();
    hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|error| match error {
        hex::FromHexError::InvalidHexCharacter { .. } => {
            bad("it holds characters other than hex digits")
        }
        _ => bad("it is too short or too long"),
    })?;
    Ok(secret)
}

/// Generates a random secret, for the file `path`.
pub(crate) fn generate(path: &Path) -> Result<Secret, Error> {
    let mut secret = Secret::default();
    getrandom::fill(secret.as_mut_slice()).map_err(|error| {
        Error::io("reading random bytes", path)(io::Error::other(error.to_string()))
    })?;
    Ok(secret)
}

/// Writes a secret to `path`, mode 0600, whole or not at all. An existing file is not
/// replaced.
pub(crate) fn write(path: &Path, secret: &Secret) -> Result<(), Error> {
    let failed = |doing| Error::io(doing, path);
    // The length is fixed: a text that grows would leave copies of the key on the heap.
    let mut text = Zeroizing::new([b'\n'; TEXT_LEN_BYTES]);
    if let Some(digits) = text.get_mut(..TEXT_LEN_BYTES - 1) {
        let encoded = hex::encode_to_slice(secret.as_slice(), digits);
        encoded.map_err(|error| failed("writing the master key")(io::Error::other(error)))?;
    }
    let mut draft = Draft::beside(path)?;
    draft.write(text.as_slice())?;
    draft.publish_new()?;
    Ok(())
}

/// Makes the file `path` durable and reads its secret. The file may be from an earlier call
/// that was interrupted, so the key in use is always the key on disk.
pub(crate) fn sync_and_read(path: &Path) -> Result<Secret, Error> {
    let failed = |doing| Error::io(doing, path);
    let file = File::open(path).map_err(failed("reading the master key"))?;
    file.sync_all().map_err(failed("syncing the master key"))?;
    sync_folder_of(path)?;
    read_from(&file, path)
}
