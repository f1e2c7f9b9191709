//! Inputs and outputs, checked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hintdex::SecretSource;

use super::url::Broker;

/// A named input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name in the log and the metrics.
    pub name: String,
    /// Where its packets come from.
    pub kind: InputKind,
}

/// Where packets come from.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// Semtech's packet forwarder.
    SemtechUdp(SocketAddr),
    /// One packet a datagram.
    Udp(SocketAddr),
    /// Lines of standard input.
    Stdin,
    /// Lines of the clients of a Unix socket.
    Unix(PathBuf),
    /// Topics of a broker.
    Mqtt {
        /// The broker.
        access: Box<MqttAccess>,
        /// The topics, with wildcards.
        topics: Vec<String>,
        /// How a message carries a packet; `None` for messages of the ChirpStack gateway bridge.
        form: Option<PayloadForm>,
    },
}

/// How a message of MQTT carries a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadForm {
    /// The message is the packet.
    Raw,
    /// The message is the packet in hex.
    Hex,
    /// The message is the packet in base64.
    Base64,
    /// The message is JSON, with the packet in hex at this pointer (RFC 6901).
    JsonHex(String),
    /// The message is JSON, with the packet in base64 at this pointer.
    JsonBase64(String),
}

/// A broker and how to log in there.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttAccess {
    /// The broker.
    pub broker: Broker,
    /// The name of the client, under which the broker keeps its session.
    pub client_id: String,
    /// The user's name.
    pub username: Option<String>,
    /// Where the user's password comes from.
    pub password: Option<SecretSource>,
    /// The certificates of the authorities that may sign the broker's, in PEM.
    pub ca: Option<PathBuf>,
    /// The certificate of the client and its key, in PEM.
    pub client_cert: Option<(PathBuf, PathBuf)>,
}

/// A named output: a reader of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name under which the outbox keeps what the output has acknowledged.
    pub name: String,
    /// Where its payloads go.
    pub kind: OutputKind,
}

/// Where payloads go.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputKind {
    /// Lines of standard output.
    Stdout,
    /// Lines of a file.
    File {
        /// The file.
        path: PathBuf,
        /// When a new file is begun.
        rotation: FileRotation,
    },
    /// Lines to the clients of a Unix socket.
    Unix {
        /// The socket.
        path: PathBuf,
        /// Whether clients acknowledge each payload.
        ack: bool,
        /// How long a client may take.
        timeout: Duration,
    },
    /// Messages to a broker.
    Mqtt {
        /// The broker.
        access: Box<MqttAccess>,
        /// The topic, with `{fleet}`, `{device}` and `{eui}`.
        topic: String,
        /// How long the broker may take to acknowledge.
        timeout: Duration,
    },
    /// POST requests.
    Webhook {
        /// The URL.
        url: String,
        /// Further headers, each a name and a value.
        headers: Vec<(String, SecretSource)>,
        /// The certificates of the authorities that may sign the server's, in PEM.
        ca: Option<PathBuf>,
        /// How long a request may take.
        timeout: Duration,
    },
}

/// When a new file of lines is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRotation {
    /// The longest file, in bytes.
    pub max_len_bytes: u64,
    /// The longest time that a file is written to.
    pub max_age: Duration,
    /// How many files stay beside the present one.
    pub keep: u32,
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SemtechUdp(address) => write!(f, "semtech-udp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Stdin => f.write_str("lines:-"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Mqtt { access, form, .. } => {
                let kind = if form.is_some() { "mqtt" } else { "chirpstack" };
                write!(f, "{kind}{}", access.broker)
            }
        }
    }
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("lines:-"),
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Mqtt { access, .. } => write!(f, "mqtt{}", access.broker),
            Self::Webhook { url, .. } => f.write_str(url),
        }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.is_tls { "s" } else { "" }, self.host, self.port)
    }
}
