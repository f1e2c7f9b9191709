//! Inputs: where packets come from.

mod bad_message;
mod chirpstack;
mod datagrams;
mod intake;
pub mod line;
mod line_streams;
pub mod message;
mod mqtt;
pub mod semtech;

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{UdpSocket, UnixListener};

pub use intake::{Arrived, Intake, now_ms};

use crate::ServeError;
use crate::config::{Input, InputKind};
use crate::mqtt::{client_name, options};
use crate::sockets::Sockets;
use crate::stop::Stop;

/// An input whose address is bound, so that running it cannot fail.
#[derive(Debug)]
pub enum Bound {
    SemtechUdp(UdpSocket),
    Udp(UdpSocket),
    Stdin,
    Unix(UnixListener),
    Mqtt(Box<mqtt::Topics>),
}

impl Bound {
    /// Binds the address of an input of the station `station`.
    ///
    /// # Errors
    /// The address is taken or may not be bound.
    pub fn new(station: &str, input: &Input, sockets: &mut Sockets) -> Result<Self, ServeError> {
        let place = format!("station {station}: in {}", input.name);
        Ok(match &input.kind {
            InputKind::SemtechUdp(address) => Self::SemtechUdp(udp(&place, *address, sockets)?),
            InputKind::Udp(address) => Self::Udp(udp(&place, *address, sockets)?),
            InputKind::Stdin => Self::Stdin,
            InputKind::Unix(path) => Self::Unix(unix(&place, path, sockets)?),
            InputKind::Mqtt { access, topics, form } => {
                let options = options(&place, access, &client_name(station, "in", &input.name))?;
                let (topics, form) = (topics.clone(), form.clone());
                Self::Mqtt(Box::new(mqtt::Topics { options, topics, form }))
            }
        })
    }

    /// The address that the log reports: a port 0 is replaced by the port that is bound.
    pub fn address(&self) -> String {
        match self {
            Self::SemtechUdp(socket) | Self::Udp(socket) => {
                socket.local_addr().map_or_else(|_| String::new(), |address| address.to_string())
            }
            Self::Stdin => "standard input".to_owned(),
            Self::Mqtt(topics) => topics.topics.join(" "),
            Self::Unix(listener) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(String::new, |path| path.display().to_string())
            }
        }
    }

    /// Takes packets until the order to stop, or until the input ends.
    pub async fn run(self, intake: Intake, stop: Stop) {
        match self {
            Self::SemtechUdp(socket) => datagrams::semtech_udp(socket, intake, stop).await,
            Self::Udp(socket) => datagrams::udp(socket, intake, stop).await,
            Self::Stdin => line_streams::stdin(intake, stop).await,
            Self::Unix(listener) => line_streams::unix(listener, intake, stop).await,
            Self::Mqtt(topics) => topics.run(intake, stop).await,
        }
    }
}

fn udp(place: &str, address: SocketAddr, sockets: &mut Sockets) -> Result<UdpSocket, ServeError> {
    sockets.udp(address).map_err(|error| ServeError::bind(place, &address.to_string(), &error))
}

fn unix(place: &str, path: &Path, sockets: &mut Sockets) -> Result<UnixListener, ServeError> {
    sockets.unix(path).map_err(|error| ServeError::bind(place, &path.display().to_string(), &error))
}
