//! One connection to a station: a command, and its answer.

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::answer::Answer;
use super::caller::{Caller, End};
use super::frame;
use super::request::Request;
use super::turns::Turns;

/// How long a caller may take to send its command.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// The exit code of a program that panicked.
const PANIC_CODE: u8 = 101;

/// The parts of a listener that its sessions share.
pub struct Host<'a> {
    /// The body of the greeting.
    pub greeting: &'a [u8],
    pub end: &'a End,
    /// The turns of commands.
    pub turns: &'a Turns,
    pub run: &'a (dyn Fn(&Request<'_>) -> Answer + Sync),
}

/// Serves a connection until its answer is sent.
///
/// # Errors
/// The connection fails, or the caller sends no command.
pub fn serve(stream: &UnixStream, host: &Host<'_>) -> io::Result<()> {
    if !is_trusted(stream)? {
        return Ok(());
    }
    stream.set_read_timeout(Some(COMMAND_LIMIT))?;
    stream.set_write_timeout(Some(COMMAND_LIMIT))?;
    frame::write(stream, frame::GREETING, host.greeting)?;
    let command = frame::read(stream)?;
    if command.kind != frame::COMMAND {
        return Err(frame::invalid("the first message of a caller is no command"));
    }
    stream.set_read_timeout(None)?;
    let caller = Caller { stream, end: host.end };
    let request = Request::parse(command, caller)?;
    let answer = {
        let _turn = host.turns.take();
        match host.end.has_come() {
            true => {
                let failure = "the station ends; the command was not begun; call again".to_owned();
                Answer { code: 1, failure: Some(failure) }
            }
            false => run(&request, host),
        }
    };
    // The streams are closed before the answer: a reader of the output sees its end first.
    drop(request);
    frame::write(stream, frame::ANSWER, &answer.to_body())
}

/// Runs a command. A panic ends the command, not the station.
fn run(request: &Request<'_>, host: &Host<'_>) -> Answer {
    let ran = catch_unwind(AssertUnwindSafe(|| (host.run)(request)));
    ran.unwrap_or_else(|_| {
        let failure = "internal error in the station; its standard error names the place; please \
            report it";
        Answer { code: PANIC_CODE, failure: Some(failure.to_owned()) }
    })
}

/// Whether the process on the other side is of this user, or of the superuser.
fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}
