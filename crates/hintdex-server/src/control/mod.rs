//! The control socket: commands of other processes run inside the process of a station.
//!
//! A fleet has one owner at a time, the process that holds the lock of its folder. That process
//! listens on the socket `control.sock` in the folder, mode 0600. Another process of the same user
//! sends a command line with its standard streams, its working folder and its root as descriptors.
//! The station runs the command, which reads and writes those streams, and answers with the exit
//! code. docs/decisions/0018-commands-run-in-the-station.md has the reasons.
//!
//! ```text
//! station                                        caller
//!   GREETING  protocol, version, holder    →
//!   ←  COMMAND  arguments, and 5 to 13 descriptors
//!   ASK                                    →     at the end of standard input
//!   ←  HERE
//!   ANSWER    exit code, failure           →
//! ```
//!
//! A frame is its length without these four bytes as a big-endian `u32`, a byte for its kind, and
//! its body. The format is not stable: both sides must have the same version.
//!
//! ```
//! use std::io::{Read, Write};
//! use hintdex_server::control::{Answer, Call, Connection, ControlError, Holder, Listener};
//! use hintdex_server::control::{CallerInput, CallerOutput, Request};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // In the process that has opened the fleet, and so holds the lock of its folder.
//! let listener = Listener::start(folder, "decode", |request: &Request| {
//!     let (mut text, mut input): (String, CallerInput<'_>) = (String::new(), request.stdin());
//!     let read = input.read_to_string(&mut text);
//!     let mut output: CallerOutput<'_> = request.stdout();
//!     let written = writeln!(output, "{} arguments", request.arguments().len());
//!     let failure = read.and(written).err().map(|error| error.to_string());
//!     Answer { code: u8::from(failure.is_some()), failure }
//! })?;
//!
//! // In another process. Without a station, there is no connection.
//! # let (mut read, write) = std::io::pipe()?;
//! let opened: Result<Option<Connection>, ControlError> = Connection::open(folder);
//! let connection = opened?.ok_or("no station runs")?;
//! let holder: &Holder = connection.holder();
//! assert_eq!(holder.command, "decode");
//! let stdin = std::fs::File::open("/dev/null")?;
//! let arguments = ["hintdex".into(), "inspect".into()];
//! let answer = connection.run(&Call {
//!     arguments: &arguments,
//!     streams: [&stdin, &write, &write],
//!     secrets: &[],
//! })?;
//! assert_eq!(answer.code, 0);
//! # drop(write);
//! # let mut text = String::new();
//! # read.read_to_string(&mut text)?;
//! # assert_eq!(text, "2 arguments\n");
//!
//! drop(listener); // waits for running commands, and removes the socket
//! assert!(Connection::open(folder)?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod caller;
mod connection;
mod error;
mod frame;
pub(crate) mod greeting;
mod listener;
pub(crate) mod request;
mod session;
mod socket;
mod streams;
mod turns;

pub use answer::Answer;
pub use connection::{Call, Connection};
pub use error::ControlError;
pub use greeting::Holder;
pub use listener::Listener;
pub use request::Request;
pub use socket::SOCKET_NAME;
pub use streams::{CallerInput, CallerOutput};
