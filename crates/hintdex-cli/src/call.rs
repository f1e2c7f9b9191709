//! A call of a command: its options, its console, and the station that runs it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hintdex::Station;

use crate::args::RunArgs;
use crate::console::Console;
use crate::failure::Failure;

/// What every command is given beside its own arguments.
pub struct Call<'a> {
    pub run: &'a RunArgs,
    pub console: Console<'a>,
    /// The station in whose process the command runs; `None` for a process of its own.
    pub running: Option<Running<'a>>,
}

/// A station that runs, and the folder of its fleet.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    pub station: &'a Station,
    pub folder: &'a Path,
}

impl<'a> Call<'a> {
    /// A call in a process of its own.
    pub const fn of_process(run: &'a RunArgs) -> Self {
        Self { run, console: Console::of_process(), running: None }
    }

    /// The running station, if there is one and `folder` is the folder of its fleet.
    ///
    /// # Errors
    /// `folder` is another folder than that of the running station.
    pub fn running_in(&self, folder: &Path) -> Result<Option<&'a Station>, Failure> {
        let Some(running) = self.running else { return Ok(None) };
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
        let is_same = match (identity(&self.console.path(folder)?), identity(running.folder)) {
            (Ok(given), Ok(own)) => given == own,
            _ => false,
        };
        if is_same {
            return Ok(Some(running.station));
        }
        Err(Failure::usage(format!(
            "{}: the folder has changed since the command was called; call again",
            folder.display()
        )))
    }
}
