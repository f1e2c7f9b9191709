//! The standard streams of a caller.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use super::caller::Caller;

/// Bytes that a pipe which is ready takes without blocking (pipe(7)).
const PIPE_LEN_BYTES: usize = 4096;

/// The standard input of a caller. Its end is an end of file only if the caller is still there:
/// a list that was cut off because its pipeline was killed is no list.
///
/// Reading fails once the caller or the station ends.
///
/// See the [example of the module](super).
pub struct CallerInput<'a> {
    pub(super) caller: &'a Caller<'a>,
    pub(super) file: &'a File,
}

impl Read for CallerInput<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.caller.wait_to_read(self.file.as_fd())?;
        let read = self.file.read(into)?;
        if read == 0 && !into.is_empty() {
            self.caller.confirm()?;
        }
        Ok(read)
    }
}

/// Standard output or standard error of a caller. A station that ends does not wait for a reader
/// that stands still.
///
/// Writing fails once the caller has ended.
///
/// See the [example of the module](super).
pub struct CallerOutput<'a> {
    pub(super) caller: &'a Caller<'a>,
    pub(super) file: &'a File,
}

impl Write for CallerOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.caller.wait_to_write(self.file.as_fd())?;
        self.file.write(bytes.get(..PIPE_LEN_BYTES).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
