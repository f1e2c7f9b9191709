//! Standard output: verdicts and answers.

use std::io::{self, Write};
use std::path::Path;

use crate::failure::Failure;

/// Writes text to the output. Returns whether the reader still has it open.
pub fn write_out(output: &mut impl Write, text: &str) -> Result<bool, Failure> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("writing answers", Path::new("standard output"), &error)),
    }
}
