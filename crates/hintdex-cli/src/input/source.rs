//! Files of lines, and standard input.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::failure::Failure;

/// Opens a file of lines; `-` is standard input.
///
/// Standard input is opened without the buffer of the standard library, so that a wait for
/// its bytes misses none that are in that buffer.
pub fn open(path: &Path) -> Result<File, Failure> {
    let opened = if path.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    opened.map_err(|error| Failure::usage(format!("{}: opening failed: {error}", path.display())))
}
