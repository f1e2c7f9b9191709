//! A backup as one file: an archive in the format of GNU tar.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hintdex_host::{Draft, create_private_folders, folder_of};
use tar::{Archive, Builder, Header};

use super::manifest::is_inside;
use crate::Error;

/// Whether a backup with this name is one file.
pub(super) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

/// Packs files of a folder into the new file `to`, in this order. Equal files give an equal archive.
pub(super) fn pack<'a>(
    folder: &Path,
    files: impl Iterator<Item = &'a Path>,
    to: &Path,
) -> Result<(), Error> {
    let failed = || Error::io("writing the archive of a backup", to);
    let mut draft = Draft::beside(to)?;
    let mut archive = Builder::new(Parts(&mut draft));
    for path in files {
        let file = File::open(folder.join(path)).map_err(failed())?;
        let mut header = Header::new_gnu();
        header.set_size(file.metadata().map_err(failed())?.len());
        header.set_mode(0o600);
        archive.append_data(&mut header, path, BufReader::new(file)).map_err(failed())?;
    }
    archive.finish().map_err(failed())?;
    drop(archive);
    draft.publish_new()?;
    Ok(())
}

/// A draft as `tar` writes to it.
struct Parts<'a>(&'a mut Draft);

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes);
        written.map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks an archive into a folder: files of mode 0600 with paths inside the folder, and nothing else.
pub(super) fn unpack(from: &Path, folder: &Path) -> Result<(), Error> {
    let failed = || Error::io("reading the archive of a backup", from);
    let refused = |why| Error::Backup { path: from.to_owned(), why };
    let mut archive = Archive::new(BufReader::new(File::open(from).map_err(failed())?));
    for entry in archive.entries().map_err(failed())? {
        let mut entry = entry.map_err(failed())?;
        let path = entry.path().map_err(failed())?.into_owned();
        if !entry.header().entry_type().is_file() || !is_inside(&path) {
            return Err(refused("it holds something else than files of a backup"));
        }
        let target = folder.join(&path);
        create_private_folders(folder_of(&target))?;
        let writing = || Error::io("writing a file of a backup", &target);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&target);
        let mut file = file.map_err(writing())?;
        let len_bytes = io::copy(&mut entry, &mut file).map_err(writing())?;
        if len_bytes < entry.size() {
            return Err(refused("it is cut off"));
        }
    }
    Ok(())
}
