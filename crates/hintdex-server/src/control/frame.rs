//! Frames: messages with their length, and the fields in them.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The kinds of messages.
pub const GREETING: u8 = 1;
pub const COMMAND: u8 = 2;
pub const ASK: u8 = 3;
pub const HERE: u8 = 4;
pub const ANSWER: u8 = 5;

/// The longest frame. The arguments of a process have 2 MiB at most (execve(2)).
pub const MAX_FRAME_LEN_BYTES: usize = 4 << 20;

/// The most descriptors of a frame.
pub const MAX_DESCRIPTORS: usize = 13;

/// The length of a frame's head: the length of the rest, and the kind.
const HEAD_LEN_BYTES: usize = 5;

/// Writes a frame without descriptors.
pub fn write(stream: &UnixStream, kind: u8, body: &[u8]) -> io::Result<()> {
    let mut stream = stream;
    stream.write_all(&[&head(kind, body)?, body].concat())
}

/// Writes a frame whose first byte carries descriptors.
pub fn write_with(
    stream: &UnixStream,
    kind: u8,
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let frame = [&head(kind, body)?, body].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(invalid("too many descriptors"));
    }
    let parts = [io::IoSlice::new(&frame)];
    let sent = sendmsg(stream, &parts, &mut control, SendFlags::NOSIGNAL)?;
    let mut stream = stream;
    stream.write_all(frame.get(sent..).unwrap_or_default())
}

fn head(kind: u8, body: &[u8]) -> io::Result<[u8; HEAD_LEN_BYTES]> {
    let len = body.len() + 1;
    let len = u32::try_from(len).ok().filter(|_| len <= MAX_FRAME_LEN_BYTES);
    let [a, b, c, d] = len.ok_or_else(|| invalid("the message is too long"))?.to_be_bytes();
    Ok([a, b, c, d, kind])
}

/// A frame as it was received.
pub struct Frame {
    pub kind: u8,
    pub body: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// Reads a frame.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the other side has closed the connection, and
/// [`io::ErrorKind::InvalidData`] for a frame of a wrong length.
pub fn read(stream: &UnixStream) -> io::Result<Frame> {
    let (mut head, mut descriptors) = ([0; HEAD_LEN_BYTES], Vec::new());
    let first = receive(stream, &mut head, &mut descriptors)?;
    let mut reader = stream;
    reader.read_exact(head.get_mut(first..).unwrap_or_default())?;
    let [a, b, c, d, kind] = head;
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(1..=MAX_FRAME_LEN_BYTES).contains(&len) {
        return Err(invalid("the length of a message is wrong"));
    }
    // A long body is read as it comes: a length alone takes no memory.
    let mut body = Vec::new();
    let body_len = len - 1;
    reader.take(body_len as u64).read_to_end(&mut body)?;
    if body.len() < body_len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Frame { kind, body, descriptors })
}

/// Receives the first bytes of a frame with its descriptors. Returns how many bytes came.
fn receive(
    stream: &UnixStream,
    into: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(into)];
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    match received.bytes {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        len => Ok(len),
    }
}

/// An error of a message that does not follow the protocol.
pub fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Appends bytes with their length in front.
pub fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    // A frame is much shorter than 4 GiB; a longer one is refused when it is written.
    body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(bytes);
}

/// The fields of a message, one after the other. Each is `None` once the message is at its end.
pub struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    pub fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub fn long_number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn text(&mut self) -> Option<String> {
        Some(str::from_utf8(self.bytes()?).ok()?.to_owned())
    }
}
