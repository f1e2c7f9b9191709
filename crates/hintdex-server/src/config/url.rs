//! Inputs and outputs in one word each, like `semtech-udp://0.0.0.0:1700`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::nearest::nearest;

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputUrl {
    SemtechUdp(SocketAddr),
    Udp(SocketAddr),
    /// Lines of standard input.
    Stdin,
    /// Lines of the clients of a Unix socket.
    Unix(PathBuf),
    Mqtt(Broker),
    /// The topics of the ChirpStack gateway bridge.
    ChirpStack(Broker),
}

/// Where payloads go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputUrl {
    Stdout,
    File(PathBuf),
    Unix(PathBuf),
    Mqtt(Broker),
    Webhook(String),
}

/// A broker of MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The path of the URL: a topic. Empty for that of the kind.
    pub topic: String,
}

const INPUT_SCHEMES: [&str; 8] =
    ["semtech-udp", "udp", "lines", "unix", "mqtt", "mqtts", "chirpstack", "chirpstacks"];
const OUTPUT_SCHEMES: [&str; 7] = ["lines", "file", "unix", "mqtt", "mqtts", "http", "https"];

impl InputUrl {
    /// Reads an input.
    ///
    /// # Errors
    /// What is wrong with the text, and the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = scheme(text, &INPUT_SCHEMES, "semtech-udp://0.0.0.0:1700")?;
        Ok(match scheme {
            "semtech-udp" => Self::SemtechUdp(address(rest, 1700)?),
            "udp" => Self::Udp(address(rest, 0)?),
            "lines" => stdio(rest, "input").map(|()| Self::Stdin)?,
            "unix" => Self::Unix(path(rest)?),
            "chirpstack" => Self::ChirpStack(broker(rest, false)?),
            "chirpstacks" => Self::ChirpStack(broker(rest, true)?),
            "mqtt" => Self::Mqtt(broker(rest, false)?),
            _ => Self::Mqtt(broker(rest, true)?),
        })
    }
}

impl OutputUrl {
    /// Reads an output.
    ///
    /// # Errors
    /// What is wrong with the text, and the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = scheme(text, &OUTPUT_SCHEMES, "lines:- or mqtt://localhost")?;
        Ok(match scheme {
            "lines" => stdio(rest, "output").map(|()| Self::Stdout)?,
            "file" => Self::File(path(rest)?),
            "unix" => Self::Unix(path(rest)?),
            "mqtt" => Self::Mqtt(broker(rest, false)?),
            "mqtts" => Self::Mqtt(broker(rest, true)?),
            _ => {
                no_credentials(rest.trim_start_matches('/'))?;
                Self::Webhook(text.to_owned())
            }
        })
    }
}

/// Splits a text behind its scheme.
fn scheme<'a>(
    text: &'a str,
    known: &[&'static str],
    example: &str,
) -> Result<(&'static str, &'a str), String> {
    let (scheme, rest) = text
        .split_once(':')
        .ok_or_else(|| format!("it lacks a scheme; give one like {example}"))?;
    if let Some(found) = known.iter().find(|known| **known == scheme) {
        return Ok((found, rest));
    }
    let hint = nearest(scheme, known).map_or_else(
        || format!("this version knows {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Err(format!("unknown scheme {scheme:?}; {hint}"))
}

fn stdio(rest: &str, which: &str) -> Result<(), String> {
    if rest == "-" {
        Ok(())
    } else {
        Err(format!("lines:- is standard {which}; a socket is unix:PATH"))
    }
}

fn path(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() { Err("it lacks a path".into()) } else { Ok(PathBuf::from(path)) }
}

/// An address to listen on. A name is looked up; port 0 is a free port, which the log reports.
fn address(rest: &str, default_port: u16) -> Result<SocketAddr, String> {
    let text = rest.strip_prefix("//").unwrap_or(rest).trim_end_matches('/');
    listen_address(text, default_port)
}

/// Reads `HOST:PORT` or `[IPV6]:PORT`.
///
/// # Errors
/// What is wrong with the text, and the remedy.
pub fn listen_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
        (!host.contains(':') || host.ends_with(']')) && port.parse::<u16>().is_ok()
    });
    let with_port = match (has_port, default_port) {
        (true, _) => text.to_owned(),
        (false, 0) => {
            return Err(format!("{text:?} lacks a port; give HOST:PORT like 127.0.0.1:8080"));
        }
        (false, port) => format!("{text}:{port}"),
    };
    let mut found = with_port
        .to_socket_addrs()
        .map_err(|error| format!("{text:?} is no address: {error}; give HOST:PORT"))?;
    found.next().ok_or_else(|| format!("{text:?} has no address; give HOST:PORT"))
}

/// A password in a URL shows in the process list and in logs.
fn no_credentials(rest: &str) -> Result<(), String> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it holds a user name or a password, which process lists show; use the keys \
                    username and password = \"FILE\" of the configuration file"
            .into());
    }
    Ok(())
}

fn broker(rest: &str, is_tls: bool) -> Result<Broker, String> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    no_credentials(rest)?;
    let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{port:?} is no port"))?)
        }
        _ => (authority, if is_tls { 8883 } else { 1883 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("it lacks the host of the broker; give one like mqtt://localhost:1883".into());
    }
    Ok(Broker { host: host.to_owned(), port, is_tls, topic: topic.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read() {
        let read = InputUrl::parse;
        let at = |text: &str| text.parse().map_err(|_| String::new());
        assert_eq!(read("semtech-udp://0.0.0.0"), at("0.0.0.0:1700").map(InputUrl::SemtechUdp));
        assert_eq!(read("semtech-udp://[::]:1701"), at("[::]:1701").map(InputUrl::SemtechUdp));
        assert_eq!(read("udp://127.0.0.1:0"), at("127.0.0.1:0").map(InputUrl::Udp));
        assert_eq!(read("lines:-"), Ok(InputUrl::Stdin));
        assert_eq!(read("unix:/run/x"), Ok(InputUrl::Unix("/run/x".into())));
        let broker = |host: &str, port, is_tls, topic: &str| Broker {
            host: host.into(),
            port,
            is_tls,
            topic: topic.into(),
        };
        assert_eq!(read("mqtt://h/a/+/b"), Ok(InputUrl::Mqtt(broker("h", 1883, false, "a/+/b"))));
        assert_eq!(read("mqtts://h"), Ok(InputUrl::Mqtt(broker("h", 8883, true, ""))));
        assert_eq!(
            read("chirpstack://[::1]:9"),
            Ok(InputUrl::ChirpStack(broker("::1", 9, false, "")))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |text: &str| InputUrl::parse(text).err().unwrap_or_default();
        assert!(why("semtech://0.0.0.0").contains("did you mean semtech-udp?"));
        assert!(why("0.0.0.0").contains("lacks a scheme"));
        assert!(why("udp://127.0.0.1").contains("lacks a port"));
        assert!(why("lines:packets").contains("standard input"));
        assert!(why("unix:").contains("path"));
        assert!(why("mqtt://user:secret@host").contains("password = "));
        assert!(!why("mqtt://user:secret@host").contains("secret"));
        assert!(OutputUrl::parse("https://user:secret@host/").is_err());
        assert!(OutputUrl::parse("semtech-udp://x").is_err());
    }
}
