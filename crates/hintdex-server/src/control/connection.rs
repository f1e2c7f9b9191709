//! The connection of a caller to a station.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::answer::Answer;
use super::error::ControlError;
use super::frame;
use super::greeting::{self, Greeting, Holder};
use super::request;
use super::socket;

/// How long a station may take to greet: it does so before anything else.
const GREETING_LIMIT: Duration = Duration::from_secs(10);

/// A command for a station.
///
/// See the [example of the module](super).
pub struct Call<'a> {
    /// The command line, with the name of the program in front.
    pub arguments: &'a [OsString],
    /// Standard input, standard output and standard error.
    pub streams: [&'a dyn AsFd; 3],
    /// The read ends of secrets that the caller has read for the command; 8 at most.
    pub secrets: &'a [OwnedFd],
}

/// A connection to a running station.
///
/// See the [example of the module](super).
#[derive(Debug)]
pub struct Connection {
    folder: PathBuf,
    stream: UnixStream,
    holder: Holder,
}

impl Connection {
    /// Connects to the station that has the fleet in `folder` open. `None` if no station listens:
    /// there is no socket, or it is stale, or it is another user's.
    ///
    /// # Errors
    /// [`ControlError::Silent`], [`ControlError::OtherVersion`] or [`ControlError::Socket`].
    pub fn open(folder: &Path) -> Result<Option<Self>, ControlError> {
        let path = folder.to_owned();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ControlError::Silent { folder: folder.to_owned() }
            }
            _ => ControlError::Socket { folder: folder.to_owned(), source },
        };
        let Some(stream) = socket::connect(folder).map_err(failed)? else { return Ok(None) };
        stream.set_read_timeout(Some(GREETING_LIMIT)).map_err(failed)?;
        let greeting = match frame::read(&stream) {
            // The station has ended since, or does not serve this user.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            read => read.map_err(failed)?,
        };
        stream.set_read_timeout(None).map_err(failed)?;
        match greeting::parse(&greeting.body) {
            Greeting::Same(holder) => Ok(Some(Self { folder: path, stream, holder })),
            Greeting::OtherVersion(version) => {
                Err(ControlError::OtherVersion { folder: path, version })
            }
        }
    }

    /// The process that has the fleet open.
    pub const fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Lets the station run a command, which reads and writes the streams of this process, and
    /// waits for its answer.
    ///
    /// # Errors
    /// [`ControlError::Lost`] if the station ends before it answers: it is then not known whether
    /// the command was carried out.
    pub fn run(self, call: &Call<'_>) -> Result<Answer, ControlError> {
        let Self { folder, stream, .. } = self;
        send(&stream, call).and_then(|()| wait(&stream)).map_err(|_| ControlError::Lost { folder })
    }
}

/// Sends a command.
fn send(stream: &UnixStream, call: &Call<'_>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &str| rustix::fs::open(path, flags, Mode::empty());
    let (folder, root) = (open(".")?, open("/")?);
    let streams = call.streams.iter().map(|stream| stream.as_fd());
    let folders = [folder.as_fd(), root.as_fd()];
    let secrets = call.secrets.iter().map(AsFd::as_fd);
    let descriptors: Vec<BorrowedFd<'_>> = streams.chain(folders).chain(secrets).collect();
    frame::write_with(stream, frame::COMMAND, &request::to_body(call.arguments), &descriptors)
}

/// Answers questions of the station until its answer comes.
fn wait(stream: &UnixStream) -> io::Result<Answer> {
    loop {
        let frame = frame::read(stream)?;
        match frame.kind {
            frame::ASK => frame::write(stream, frame::HERE, &[])?,
            frame::ANSWER => {
                let answer = Answer::parse(&frame.body);
                return answer.ok_or_else(|| frame::invalid("the answer is cut off"));
            }
            _ => return Err(frame::invalid("a message of an unknown kind")),
        }
    }
}
