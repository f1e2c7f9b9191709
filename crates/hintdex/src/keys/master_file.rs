//! The master key on disk: 64 hex digits, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use crate::Error;

/// A master secret, zeroized on drop.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Room for 64 hex digits and white space around them.
const MAX_FILE_LEN_BYTES: usize = 256;

/// Reads the secret in the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Secret, Error> {
    let mut text = Zeroizing::new(Vec::with_capacity(2 * MAX_FILE_LEN_BYTES));
    let file = File::open(path).map_err(Error::io("reading the master key", path))?;
    let read = file.take(MAX_FILE_LEN_BYTES as u64).read_to_end(&mut text);
    read.map_err(Error::io("reading the master key", path))?;
    let bad = |why| Error::KeyFile { path: path.to_owned(), why };
    let digits = text.trim_ascii();
    let mut secret = Secret::default();
    hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|error| match error {
        hex::FromHexError::InvalidHexCharacter { .. } => {
            bad("it holds something else than hex digits")
        }
        _ => bad("it is too short or too long"),
    })?;
    Ok(secret)
}

/// Makes a new secret.
pub(crate) fn generate(path: &Path) -> Result<Secret, Error> {
    let mut secret = Secret::default();
    getrandom::fill(secret.as_mut_slice()).map_err(|error| {
        Error::io("reading random bytes", path)(std::io::Error::other(error.to_string()))
    })?;
    Ok(secret)
}

/// Writes a secret to `path`, mode 0600, whole or not at all.
pub(crate) fn write(path: &Path, secret: &Secret) -> Result<(), Error> {
    let unfinished = path.with_extension("key.new");
    let failed = |doing| Error::io(doing, path);
    let mut text = Zeroizing::new(hex::encode(secret.as_slice()));
    text.push('\n');
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&unfinished).map_err(failed("writing the master key"))?;
    file.write_all(text.as_bytes()).map_err(failed("writing the master key"))?;
    file.sync_all().map_err(failed("syncing the master key"))?;
    text.zeroize();
    fs::rename(&unfinished, path).map_err(failed("moving the master key into place"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing its folder"))
}
