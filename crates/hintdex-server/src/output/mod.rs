//! Outputs: readers of the outbox that hand payloads out and acknowledge them.

mod file;
mod mqtt;
mod reader;
mod sink;
mod socket;
mod stdout;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::MqttOptions;
use tokio::net::UnixListener;

use crate::ServeError;
use crate::config::{Output, OutputKind};
use crate::decoder::Shared;
use crate::fleets::Fleet;
use crate::mqtt::{client_name, options};
use crate::sockets::Sockets;
use crate::stop::Stop;
pub use reader::Reader;

/// An output whose file or address is open, so that running it fails at a peer only.
#[derive(Debug)]
pub enum Opened {
    Stdout,
    File(file::Lines),
    Socket { listener: UnixListener, ack: bool, timeout: Duration },
    Mqtt { options: Box<MqttOptions>, topic: String, timeout: Duration },
    Webhook(webhook::Webhook),
}

impl Opened {
    /// Opens an output of the station `station`.
    ///
    /// # Errors
    /// The file cannot be opened, the address is taken, or a certificate cannot be read.
    pub fn new(station: &str, output: &Output, sockets: &mut Sockets) -> Result<Self, ServeError> {
        let place = format!("station {station}: out {}", output.name);
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
            OutputKind::Unix { path, ack, timeout } => {
                let listener = sockets.unix(path).map_err(|error| {
                    ServeError::bind(&place, &path.display().to_string(), &error)
                })?;
                Self::Socket { listener, ack: *ack, timeout: *timeout }
            }
            OutputKind::Mqtt { access, topic, timeout } => {
                let client = client_name(station, "out", &output.name);
                let options = options(&place, access, &client)?;
                Self::Mqtt { options: Box::new(options), topic: topic.clone(), timeout: *timeout }
            }
            OutputKind::Webhook { url, headers, ca, timeout } => {
                Self::Webhook(webhook::Webhook::new(&place, url, headers, ca.as_deref(), *timeout)?)
            }
        })
    }

    /// Hands payloads out until `finish` is given and none is left.
    pub async fn run(self, name: &str, shared: Arc<Shared>, fleets: Arc<Vec<Fleet>>, finish: Stop) {
        let metrics = shared.metrics.output(name);
        let names = fleets.iter().map(|fleet| fleet.name.clone()).collect();
        let reader = Reader::new(name, shared, fleets, finish);
        match self {
            Self::Stdout => reader.run(stdout::Stdout).await,
            Self::File(lines) => reader.run(lines).await,
            Self::Socket { listener, ack, timeout } => {
                reader.run(socket::Socket::new(listener, ack, timeout, metrics)).await;
            }
            Self::Mqtt { options, topic, timeout } => {
                reader.run(mqtt::Broker::new(*options, topic, names, timeout)).await;
            }
            Self::Webhook(webhook) => reader.run(webhook).await,
        }
    }
}
