//! The listener of a station.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, poll};

use super::answer::Answer;
use super::caller::End;
use super::error::ControlError;
use super::greeting::{self, Holder};
use super::request::Request;
use super::session::{Host, serve};
use super::socket;
use super::turns::Turns;

/// The commands that run at a time; others wait.
const MAX_RUNNING: usize = 8;

/// The connections that are open at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// How the commands of callers are run.
type Run = dyn Fn(&Request<'_>) -> Answer + Send + Sync;

/// The control socket of a fleet whose folder this process has locked. Each command runs on a
/// thread of its own.
///
/// Dropping the listener closes the socket, waits for the commands that run, and removes the
/// socket. A command that waits for its caller's streams fails then.
///
/// See the [example of the module](super).
pub struct Listener {
    folder: PathBuf,
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens in `folder` and runs each command by `run`. The greeting names `command`, the command
    /// of this process. An existing socket is stale and is replaced: this process holds the lock of
    /// the folder.
    ///
    /// # Errors
    /// [`ControlError::Socket`].
    pub fn start(
        folder: &Path,
        command: &str,
        run: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Socket { folder: folder.to_owned(), source };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let holder = Holder {
            process_id: std::process::id(),
            command: command.to_owned(),
            since_unix_s: since.as_secs(),
        };
        let end = Arc::new(End::new().map_err(failed)?);
        let socket = socket::listen(folder).map_err(failed)?;
        let (greeting, run): (_, Box<Run>) = (greeting::to_body(&holder), Box::new(run));
        let watched = end.clone();
        let accept = move || accept_all(&socket, &watched, &greeting, run.as_ref());
        let thread = thread::Builder::new().name("control".to_owned()).spawn(accept);
        Ok(Self { folder: folder.to_owned(), end, thread: Some(thread.map_err(failed)?) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A process that looks for a station from now on finds none, and opens the folder.
        let _ = socket::remove(&self.folder);
        self.end.declare();
        if let Some(thread) = self.thread.take() {
            // It does not panic: sessions catch panics of commands.
            let _ = thread.join();
        }
    }
}

/// Accepts connections until the end, then waits for their sessions.
fn accept_all(socket: &UnixListener, end: &End, greeting: &[u8], run: &Run) {
    let (turns, connections) = (Turns::new(MAX_RUNNING), Turns::new(MAX_CONNECTIONS));
    let host = &Host { greeting, end, turns: &turns, run };
    thread::scope(|scope| {
        loop {
            let place = connections.take();
            let Some(stream) = next(socket, end) else { break };
            let session = move || {
                let _place = place;
                // Only the caller could receive a report, and its connection has failed.
                let _ = stream.and_then(|stream| serve(&stream, host));
            };
            // If no thread can be started, the connection is closed.
            let _ = thread::Builder::new().name("command".to_owned()).spawn_scoped(scope, session);
        }
    });
}

/// The next connection; `None` at the end.
fn next(socket: &UnixListener, end: &End) -> Option<io::Result<std::os::unix::net::UnixStream>> {
    let mut watched = [PollFd::new(socket, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
    let polled = rustix::io::retry_on_intr(|| poll(&mut watched, None));
    let [_, ended] = watched;
    if polled.is_err() || !ended.revents().is_empty() {
        return None;
    }
    Some(socket.accept().map(|(stream, _)| stream))
}
