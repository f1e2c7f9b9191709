//! Sockets to listen on: inherited from systemd where it passes one of that address, else new.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use listenfd::ListenFd;
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// The room of a socket for datagrams that wait to be read, in bytes: some ten milliseconds of a
/// flood.
const RECEIVE_BUFFER_LEN_BYTES: usize = 4 << 20;

/// The sockets that the process was started with.
#[derive(Debug, Default)]
pub struct Sockets {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

impl Sockets {
    /// Takes over what systemd passes (LISTEN_FDS of sd_listen_fds(3)).
    pub fn inherited() -> Self {
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for number in 0..passed.len() {
            if let Ok(Some(socket)) = passed.take_udp_socket(number) {
                sockets.udp.push(socket);
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(number) {
                sockets.tcp.push(listener);
            } else if let Ok(Some(listener)) = passed.take_unix_listener(number) {
                sockets.unix.push(listener);
            } else {
                tracing::warn!(number, "a socket that systemd passed is of no kind that is used");
            }
        }
        sockets
    }

    /// A UDP socket that is bound to `address`.
    pub fn udp(&mut self, address: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
        let is_it = |socket: &UdpSocket| socket.local_addr().ok() == Some(address);
        let socket = match take(&mut self.udp, is_it) {
            Some(socket) => socket,
            None => UdpSocket::bind(address)?,
        };
        // The kernel grants what net.core.rmem_max allows; less room costs packets of a burst only.
        let _ = set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_LEN_BYTES);
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket)
    }

    /// A TCP listener at `address`.
    pub fn tcp(&mut self, address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
        let is_it = |listener: &TcpListener| listener.local_addr().ok() == Some(address);
        let listener = match take(&mut self.tcp, is_it) {
            Some(listener) => listener,
            None => TcpListener::bind(address)?,
        };
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }

    /// A listener at the path of a Unix socket. A socket that nobody listens on any longer is
    /// replaced.
    pub fn unix(&mut self, path: &Path) -> io::Result<tokio::net::UnixListener> {
        let is_it = |listener: &UnixListener| {
            listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
        };
        let listener = match take(&mut self.unix, is_it) {
            Some(listener) => listener,
            None => bind_unix(path)?,
        };
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

/// Whether the path is a socket that refuses connections: its process has ended.
fn is_abandoned(path: &Path) -> bool {
    let connected = UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn take<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> Option<T> {
    let place = all.iter().position(is_it)?;
    Some(all.swap_remove(place))
}
