//! The connection to a broker: options, certificates, and what failures mean.

use std::path::Path;
use std::time::Duration;

use rumqttc::mqttbytes::Error as MqttBytesError;
use rumqttc::{ConnectionError, MqttOptions, StateError, TlsConfiguration, Transport};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::ServeError;
use crate::config::MqttAccess;

const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The longest message, in bytes: a packet in JSON with everything that gateways add.
const MAX_MESSAGE_LEN_BYTES: usize = 256 << 10;
/// The messages that the broker need not have acknowledged, at most.
const MAX_IN_FLIGHT: u16 = 256;

/// The options of a connection. `client` names it where the configuration does not.
///
/// # Errors
/// A certificate or the password cannot be read.
pub fn options(place: &str, access: &MqttAccess, client: &str) -> Result<MqttOptions, ServeError> {
    let id = if access.client_id.is_empty() { client } else { &access.client_id };
    let mut options = MqttOptions::new(id, &access.broker.host, access.broker.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_inflight(MAX_IN_FLIGHT);
    options.set_max_packet_size(MAX_MESSAGE_LEN_BYTES, MAX_MESSAGE_LEN_BYTES);
    if let Some(username) = &access.username {
        let password = match &access.password {
            None => String::new(),
            Some(source) => password(place, source)?,
        };
        options.set_credentials(username, password);
    }
    if access.broker.is_tls {
        options.set_transport(Transport::tls_with_config(tls(place, access)?));
    }
    Ok(options)
}

fn password(place: &str, source: &hintdex::SecretSource) -> Result<String, ServeError> {
    let failed = |why: String| ServeError::failed(format!("{place}: password: {why}"));
    let secret = source.read("password").map_err(|error| failed(error.to_string()))?;
    let text = str::from_utf8(&secret).map_err(|_| failed("it is no text".into()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn tls(place: &str, access: &MqttAccess) -> Result<TlsConfiguration, ServeError> {
    use_ring();
    let client_auth = match &access.client_cert {
        None => None,
        Some((cert, key)) => Some((
            read_pem(place, "cert", cert, check_certificate)?,
            read_pem(place, "key", key, check_key)?,
        )),
    };
    match (&access.ca, client_auth) {
        (Some(ca), client_auth) => Ok(TlsConfiguration::Simple {
            ca: read_authorities(place, ca)?,
            alpn: None,
            client_auth,
        }),
        // The authorities of the machine.
        (None, None) => Ok(TlsConfiguration::default()),
        (None, Some(_)) => {
            let why = "cert needs ca, the certificate of the authority that signed the broker's";
            Err(ServeError::usage(format!("{place}: {why}")))
        }
    }
}

/// Chooses the one provider of TLS of this process. A later call changes nothing.
pub fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads a file in PEM with the certificates of authorities.
///
/// # Errors
/// The file cannot be read, or holds no such certificate.
pub fn read_authorities(place: &str, path: &Path) -> Result<Vec<u8>, ServeError> {
    read_pem(place, "ca", path, |bytes| {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bytes) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.is_empty() { Err("it holds no CERTIFICATE".to_owned()) } else { Ok(()) }
    })
}

/// Reads a file in PEM whose contents pass a check.
fn read_pem(
    place: &str,
    key: &str,
    path: &Path,
    check: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<Vec<u8>, ServeError> {
    let failed = |why: String| {
        let path = path.display();
        ServeError::failed(format!("{place}: {key}: {path}: {why}; give a file in PEM"))
    };
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    check(&bytes).map_err(failed)?;
    Ok(bytes)
}

/// Checks the certificate of a client.
fn check_certificate(bytes: &[u8]) -> Result<(), String> {
    CertificateDer::from_pem_slice(bytes).map(drop).map_err(|error| error.to_string())
}

/// Checks the key of a client, which no message shows.
fn check_key(bytes: &[u8]) -> Result<(), String> {
    PrivateKeyDer::from_pem_slice(bytes).map(drop).map_err(|_| "it holds no PRIVATE KEY".to_owned())
}

/// Whether the connection was lost because the broker sent a message that is too long. The broker sends the
/// message again in the same session.
pub const fn is_message_too_long(error: &ConnectionError) -> bool {
    let ConnectionError::MqttState(StateError::Deserialization(error)) = error else {
        return false;
    };
    matches!(error, MqttBytesError::PayloadSizeLimitExceeded(_))
}

/// What a lost connection means, in one line with the remedy.
pub fn why(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            format!(
                "the broker refuses the client: {code:?}; check client_id, username and password"
            )
        }
        ConnectionError::Tls(error) => {
            format!("TLS: {error}; check ca, and that the broker's certificate names its host")
        }
        error if is_message_too_long(error) => {
            format!("a message is longer than {} KiB", MAX_MESSAGE_LEN_BYTES >> 10)
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the broker does not answer".to_owned()
        }
        other => other.to_string().replace('\n', " "),
    }
}

/// A name of this machine's client that no other machine has, and that stays: the broker keeps the
/// session of a client under its name.
///
/// `way` is `in` or `out`: a broker ends the connection of a client when another has its name.
pub fn client_name(station: &str, way: &str, endpoint: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim_ascii();
    let host = if host.is_empty() { "host" } else { host };
    format!("hintdex-{host}-{station}-{way}-{endpoint}")
}
