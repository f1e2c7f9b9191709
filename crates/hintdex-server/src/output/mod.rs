//! Outputs: readers of the outbox that hand payloads out and acknowledge them.

mod file;
mod reader;
mod sink;
mod stdout;

use std::sync::Arc;

use crate::ServeError;
use crate::config::{Output, OutputKind};
use crate::decoder::Shared;
use crate::fleets::Fleet;
use crate::sockets::Sockets;
use crate::stop::Stop;
pub use reader::Reader;

/// An output whose file or address is open, so that running it fails at a peer only.
#[derive(Debug)]
pub enum Opened {
    Stdout,
    File(file::Lines),
}

impl Opened {
    /// Opens an output of the station `place`.
    ///
    /// # Errors
    /// The file cannot be opened, the address is taken, or a certificate cannot be read.
    pub fn new(place: &str, output: &Output, _sockets: &mut Sockets) -> Result<Self, ServeError> {
        let place = format!("{place}: out {}", output.name);
        Ok(match &output.kind {
            OutputKind::Stdout => Self::Stdout,
            OutputKind::File { path, rotation } => {
                Self::File(file::Lines::open(path, *rotation).map_err(|error| {
                    let path = path.display();
                    ServeError::failed(format!(
                        "{place}: {path}: opening the file failed: {error}; check the path and \
                         its permissions"
                    ))
                })?)
            }
            _ => return Err(ServeError::usage(format!("{place}: not yet"))),
        })
    }

    /// Hands payloads out until `finish` is given and none is left.
    pub async fn run(self, name: &str, shared: Arc<Shared>, fleets: Arc<Vec<Fleet>>, finish: Stop) {
        let reader = Reader::new(name, shared, fleets, finish);
        match self {
            Self::Stdout => reader.run(stdout::Stdout::default()).await,
            Self::File(lines) => reader.run(lines).await,
        }
    }
}
