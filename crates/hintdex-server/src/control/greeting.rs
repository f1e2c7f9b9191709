//! The first message of a station: the process that has the fleet open, and the version of its
//! program.

use super::frame::{Body, put_bytes};

/// The version of the messages. Raised with every change of a frame.
const PROTOCOL: u32 = 1;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The process that has a fleet open.
///
/// See the [example of the module](super).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process id, as the process itself sees it.
    pub process_id: u32,
    /// The command that it runs, like `decode`.
    pub command: String,
    /// When it opened the fleet, in seconds since 1970.
    pub since_unix_s: u64,
}

/// The body of the message.
pub fn to_body(holder: &Holder) -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    put_bytes(&mut body, VERSION.as_bytes());
    body.extend(holder.process_id.to_be_bytes());
    body.extend(holder.since_unix_s.to_be_bytes());
    put_bytes(&mut body, holder.command.as_bytes());
    body
}

/// A greeting, read.
pub enum Greeting {
    /// The holder runs this version.
    Same(Holder),
    /// The holder runs another version of the program; empty if even that is not readable.
    OtherVersion(String),
}

/// Reads the body of a greeting.
pub fn parse(body: &[u8]) -> Greeting {
    let mut body = Body(body);
    let (protocol, version) = (body.number(), body.text().unwrap_or_default());
    let mut holder = || {
        let (process_id, since_unix_s) = (body.number()?, body.long_number()?);
        Some(Holder { process_id, command: body.text()?, since_unix_s })
    };
    match (protocol, version.as_str()) {
        (Some(PROTOCOL), VERSION) => {
            holder().map_or(Greeting::OtherVersion(version), Greeting::Same)
        }
        _ => Greeting::OtherVersion(version),
    }
}
