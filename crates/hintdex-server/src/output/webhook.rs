//! Payloads as POST requests.
//!
//! ureq, a small blocking client on rustls, does the requests on a thread of the runtime's pool: an
//! output hands out one payload after the other, so an asynchronous client would gain nothing.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::sink::{Failed, Sink};
use crate::ServeError;
use crate::event::Event;
use crate::mqtt::{read_authorities, use_ring};

/// A web server. A payload is acknowledged by a status of 200 to 299.
#[derive(Debug)]
pub struct Webhook(Arc<Server>);

/// What the threads share that send requests.
#[derive(Debug)]
struct Server {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
}

impl Webhook {
    /// The server of a URL.
    ///
    /// # Errors
    /// A certificate or the value of a header cannot be read.
    pub fn new(
        place: &str,
        url: &str,
        headers: &[(String, hintdex::SecretSource)],
        ca: Option<&std::path::Path>,
        timeout: Duration,
    ) -> Result<Self, ServeError> {
        use_ring();
        let mut tls = TlsConfig::builder();
        if let Some(path) = ca {
            let pem = read_authorities(place, path)?;
            let roots: Vec<Certificate<'_>> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    // Checked above.
                    _ => None,
                })
                .collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&roots));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls.build())
            .user_agent(concat!("hintdex/", env!("CARGO_PKG_VERSION")))
            .build();
        let headers: Result<Vec<_>, _> =
            headers.iter().map(|(name, source)| header(place, name, source)).collect();
        Ok(Self(Arc::new(Server { agent: config.into(), url: url.to_owned(), headers: headers? })))
    }
}

impl Server {
    fn post(&self, event: &Event) -> Result<(), String> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = request.send(&event.text).map_err(|error| error.to_string())?;
        let status = response.status();
        // The body is read, so that the connection serves the next request.
        let _ = response.body_mut().with_config().limit(64 << 10).read_to_vec();
        if status.is_success() { Ok(()) } else { Err(format!("the server answers {status}")) }
    }
}

fn header(
    place: &str,
    name: &str,
    source: &hintdex::SecretSource,
) -> Result<(String, String), ServeError> {
    let failed = |why: String| ServeError::failed(format!("{place}: header {name}: {why}"));
    let value = source.read("header").map_err(|error| failed(error.to_string()))?;
    let value = str::from_utf8(&value).map_err(|_| failed("its value is no text".into()))?;
    Ok((name.to_owned(), value.trim_ascii().to_owned()))
}

impl Sink for Webhook {
    async fn hand_out(&mut self, events: &[Event]) -> Result<(), Failed> {
        let (server, events) = (Arc::downgrade(&self.0), events.to_vec());
        let posted = tokio::task::spawn_blocking(move || {
            for (acknowledged, event) in events.iter().enumerate() {
                // A reload drops the output, but no thread: the thread ends with its request.
                let server = server.upgrade();
                let server =
                    server.ok_or_else(|| Failed::after(acknowledged, "the output ended"))?;
                server.post(event).map_err(|why| Failed::after(acknowledged, why))?;
            }
            Ok(())
        });
        posted.await.unwrap_or_else(|error| Err(Failed::after(0, error)))
    }
}
