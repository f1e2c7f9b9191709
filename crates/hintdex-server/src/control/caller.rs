//! The process that has sent a command, as the station sees it.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

use super::frame;

/// The end of the station, which every thread of the control socket can wait for.
///
/// It is a pair of connected sockets. Once they are shut down, the watched one is ready for
/// reading, for every thread and for good.
pub struct End {
    watched: UnixStream,
    other: UnixStream,
}

impl End {
    pub fn new() -> io::Result<Self> {
        let (watched, other) = UnixStream::pair()?;
        Ok(Self { watched, other })
    }

    pub fn declare(&self) {
        // Connected sockets can be shut down.
        let _ = self.other.shutdown(Shutdown::Both);
    }

    pub fn has_come(&self) -> bool {
        let mut watched = [PollFd::new(&self.watched, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }
}

/// What a wait has found.
struct Ready {
    stream: bool,
    station_ends: bool,
}

fn station_ends() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the station ends; call again")
}

/// The connection to the process that has sent a command.
pub struct Caller<'a> {
    pub stream: &'a UnixStream,
    pub end: &'a End,
}

impl Caller<'_> {
    /// Waits until `stream` can be read, or hands out its end.
    ///
    /// # Errors
    /// The caller has ended, or the station ends.
    pub fn wait_to_read(&self, stream: BorrowedFd<'_>) -> io::Result<()> {
        match self.wait(stream, PollFlags::IN)? {
            Ready { station_ends: true, .. } => Err(station_ends()),
            Ready { .. } => Ok(()),
        }
    }

    /// Waits until `stream` can be written. The end of the station cuts no output off that a
    /// reader takes.
    ///
    /// # Errors
    /// The caller has ended, or the station ends and the reader stands still.
    pub fn wait_to_write(&self, stream: BorrowedFd<'_>) -> io::Result<()> {
        match self.wait(stream, PollFlags::OUT)? {
            Ready { stream: false, .. } => Err(station_ends()),
            Ready { .. } => Ok(()),
        }
    }

    fn wait(&self, stream: BorrowedFd<'_>, flags: PollFlags) -> io::Result<Ready> {
        let mut watched = [
            PollFd::from_borrowed_fd(stream, flags),
            // Hang-ups are reported without a flag.
            PollFd::new(self.stream, PollFlags::empty()),
            PollFd::new(self.end, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
        let [stream, caller, end] = watched.map(|watched| !watched.revents().is_empty());
        if caller {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the caller has ended"));
        }
        Ok(Ready { stream, station_ends: end })
    }

    /// Asks the caller whether it is still there, and waits for its answer.
    ///
    /// A signal to a pipeline ends the writer and the caller. The end of the input may be seen
    /// before the end of the caller. A process with a deadly signal pending does not answer.
    ///
    /// # Errors
    /// The caller has ended, or the station ends.
    pub fn confirm(&self) -> io::Result<()> {
        frame::write(self.stream, frame::ASK, &[])?;
        self.wait_to_read(self.stream.as_fd())?;
        match frame::read(self.stream)?.kind {
            frame::HERE => Ok(()),
            _ => Err(frame::invalid("the caller has sent another message than expected")),
        }
    }
}
