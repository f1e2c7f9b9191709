//! The side of the caller: a command is handed to the station that has its fleet open.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;

use hintdex::SecretSource;
use hintdex_server::control::{Answer, Call, Connection, ControlError};

use crate::args::Command;
use crate::failure::Failure;

/// Lets the station that has the fleet of `command` open run it. `None` if no station runs: the
/// command opens the fleet itself.
///
/// # Errors
/// The failure of the command, as the station reports it; or the station cannot be asked.
pub fn ask_station(command: &Command) -> Result<Option<()>, Failure> {
    let Some(folder) = command.fleet() else { return Ok(None) };
    let Some(connection) = Connection::open(folder).map_err(unusable)? else { return Ok(None) };
    let secrets = command.secret().map(read_secret).transpose()?;
    let secrets: Vec<OwnedFd> = secrets.flatten().into_iter().collect();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let relayed = match command.list().is_some_and(is_stdin) && io::stdin().is_terminal() {
        true => Some(relay_stdin().map_err(|error| failed_to_read(&error))?),
        false => None,
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let stdin: &dyn AsFd = relayed.as_ref().map_or(&stdin, |relayed| relayed);
    let call =
        Call { arguments: &arguments, streams: [stdin, &stdout, &stderr], secrets: &secrets };
    match connection.run(&call) {
        Ok(Answer { code: 0, failure: None }) => Ok(Some(())),
        Ok(Answer { code, failure }) => Err(Failure::answered(code, failure)),
        Err(error) => {
            let folder = folder.display();
            Err(unusable(error).and(&match command.changes() {
                true => format!(
                    "it is not known whether the change was made: hintdex inspect {folder} and \
                     hintdex device list --index {folder} show the fleet as it is"
                ),
                false => "call again".to_owned(),
            }))
        }
    }
}

fn unusable(error: ControlError) -> Failure {
    let message = error.to_string();
    match error {
        ControlError::OtherVersion { .. } => Failure::usage(message),
        _ => Failure::failed(message),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn failed_to_read(error: &io::Error) -> Failure {
    Failure::io("reading", Path::new("standard input"), error)
}

/// Reads a secret that only this process can read: from its terminal, its credentials or a
/// command. `None` for a file, which the station opens. Returns the read end of a pipe that holds
/// the secret: a secret is shorter than the buffer of a pipe.
fn read_secret(source: &SecretSource) -> Result<Option<OwnedFd>, Failure> {
    if matches!(source, SecretSource::File(_)) {
        return Ok(None);
    }
    let secret = source.read("wrap key").map_err(hintdex::Error::from)?;
    let failed = |error| Failure::io("passing the wrap key", Path::new("a pipe"), &error);
    let (read, mut write) = io::pipe().map_err(failed)?;
    write.write_all(&secret).map_err(failed)?;
    Ok(Some(read.into()))
}

/// The read end of a pipe into which a thread copies the terminal: a station in the background of
/// the same terminal would be stopped by reading it (SIGTTIN).
fn relay_stdin() -> io::Result<OwnedFd> {
    let (read, mut write) = io::pipe()?;
    let copy = move || {
        // The station sees the end of the input, or has closed the pipe.
        let _ = io::copy(&mut io::stdin().lock(), &mut write);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(copy)?;
    Ok(read.into())
}
