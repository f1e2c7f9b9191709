//! What a command reads and writes beside the fleet: the standard streams, the files that it
//! names, and its secrets. They are those of this process, or those of the caller for which a
//! station runs the command.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hintdex::SecretSource;
use hintdex_server::control::{CallerInput, Request};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::caller_terminal::CallerTerminal;
use crate::failure::Failure;
use crate::output::write_out;

/// The streams, files and secrets of a command.
pub struct Console<'a> {
    /// The request of the caller; `None` for a command of this process.
    caller: Option<&'a Request<'a>>,
    /// How many secrets that the caller has read were taken.
    secrets_taken: Cell<usize>,
}

/// Standard input, or a file.
pub enum Input<'a> {
    File(File),
    Caller(CallerInput<'a>, Option<u64>),
}

impl<'a> Console<'a> {
    /// The console of this process.
    pub const fn of_process() -> Self {
        Self { caller: None, secrets_taken: Cell::new(0) }
    }

    /// The console of the caller that has sent `request`.
    pub const fn of_caller(request: &'a Request<'a>) -> Self {
        Self { caller: Some(request), secrets_taken: Cell::new(0) }
    }

    /// Standard output.
    pub fn out(&self) -> Box<dyn Write + '_> {
        match self.caller {
            None => Box::new(io::stdout()),
            Some(request) => Box::new(request.stdout()),
        }
    }

    /// Writes text to standard output. A reader that has closed the pipe needs no more.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        write_out(&mut self.out(), text).map(|_| ())
    }

    /// Writes a line to standard error, with the name of the program in front.
    pub fn report(&self, text: &str) {
        let line = format!("hintdex: {}\n", self.in_words_of_caller(text));
        // There is no other place for what cannot be written.
        let _ = match self.caller {
            None => io::stderr().write_all(line.as_bytes()),
            Some(request) => request.stderr().write_all(line.as_bytes()),
        };
    }

    /// Standard input, without the buffer of the standard library: that buffer is never zeroized,
    /// and a wait for bytes would miss those in it.
    pub fn input(&self) -> io::Result<Input<'a>> {
        match self.caller {
            None => Ok(Input::File(File::from(io::stdin().as_fd().try_clone_to_owned()?))),
            Some(request) => Ok(Input::Caller(request.stdin(), request.stdin_len_bytes())),
        }
    }

    /// The path by which this process opens a file that the command names. Messages show the
    /// path as it was given.
    ///
    /// # Errors
    /// The path leads to a descriptor of the caller.
    pub fn path(&self, given: &Path) -> Result<PathBuf, Failure> {
        let Some(request) = self.caller else { return Ok(given.to_owned()) };
        request.path(given).ok_or_else(|| {
            Failure::usage(format!(
                "{}: the running station cannot open what only the calling process has; give - and \
                 the file on standard input, or the path of a file",
                given.display()
            ))
        })
    }

    /// The source from which this process reads a secret. A caller reads its terminal, its
    /// commands and its credentials itself.
    ///
    /// # Errors
    /// Those of [`path`](Self::path).
    pub fn secret(&self, given: &SecretSource) -> Result<SecretSource, Failure> {
        let Some(request) = self.caller else { return Ok(given.clone()) };
        if let SecretSource::File(path) = given {
            return Ok(SecretSource::File(self.path(path)?));
        }
        let place = self.secrets_taken.replace(self.secrets_taken.get() + 1);
        let read = request.secret(place).map(SecretSource::File);
        read.ok_or_else(|| Failure::usage("the secret is missing that the caller had to read"))
    }

    /// A text with paths as they were given.
    pub fn in_words_of_caller(&self, text: &str) -> String {
        self.caller.map_or_else(|| text.to_owned(), |request| request.in_words_of_caller(text))
    }

    /// Shows a progress bar on the terminal of the command, if it has one.
    pub fn show(&self, bar: ProgressBar) -> ProgressBar {
        if let Some(request) = self.caller {
            bar.set_draw_target(match CallerTerminal::of(request.stderr_file()) {
                Some(terminal) => ProgressDrawTarget::term_like(Box::new(terminal)),
                None => ProgressDrawTarget::hidden(),
            });
        }
        bar
    }
}

impl Input<'_> {
    /// The length of the input, if it is known.
    pub fn len_bytes(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(file.metadata().ok()?.len()),
            Self::Caller(_, len_bytes) => *len_bytes,
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Caller(input, _) => input.read(into),
        }
    }
}
