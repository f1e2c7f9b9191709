//! The socket in the folder of a fleet.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The name of the socket in the folder of a fleet.
///
/// See the [example of the module](super).
pub const SOCKET_NAME: &str = "control.sock";

/// The longest path of a socket (unix(7)): 108 bytes with the zero behind it.
const MAX_PATH_LEN_BYTES: usize = 107;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// The address of the socket in a folder.
struct Address {
    path: PathBuf,
    /// The folder, opened, where the path of the socket is too long: the address then leads
    /// through the descriptor.
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET_NAME);
        if path.as_os_str().as_bytes().len() <= MAX_PATH_LEN_BYTES {
            return Ok(Self { path, _folder: None });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }
}

/// Connects to the socket in a folder. `None` if no process listens there.
pub fn connect(folder: &Path) -> io::Result<Option<UnixStream>> {
    let connected = Address::of(folder).and_then(|address| UnixStream::connect(&address.path));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        // The folder or the socket is missing, the socket is stale, or it is another user's.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Listens on the socket in a folder whose lock this process holds: a socket that is there is
/// stale, and is replaced. The socket has mode 0600 before the first connection.
pub fn listen(folder: &Path) -> io::Result<UnixListener> {
    remove(folder)?;
    let address = Address::of(folder)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&address.path)?)?;
    fs::set_permissions(folder.join(SOCKET_NAME), Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Removes the socket.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(SOCKET_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
