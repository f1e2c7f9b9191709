//! Lines to the clients of a Unix socket.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::sink::{Failed, Sink};
use crate::event::Event;
use crate::metrics::OutputMetrics;

/// The most clients at a time.
const MAX_CLIENTS: usize = 64;
/// The longest answer of a client, in bytes: a number.
const MAX_ANSWER_LEN_BYTES: u64 = 64;

/// A Unix socket, whose clients each get every payload as a line.
///
/// Payloads wait until a client is connected. A payload is acknowledged when its line is written to
/// every connected client; with `ack`, when every client has answered with its number, or a later
/// one. A client that does not keep up is disconnected.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    ack: bool,
    timeout: Duration,
    clients: Vec<Client>,
    metrics: OutputMetrics,
}

#[derive(Debug)]
struct Client {
    answers: BufReader<OwnedReadHalf>,
    lines: OwnedWriteHalf,
}

impl Client {
    fn new(stream: UnixStream) -> Self {
        let (read, lines) = stream.into_split();
        Self { answers: BufReader::new(read), lines }
    }

    /// Hands a part out. Returns the client, unless it does not keep up, and how many payloads it has
    /// acknowledged.
    async fn hand_out(
        mut self,
        part: Arc<Part>,
        ack: bool,
        until: Instant,
    ) -> (Option<Self>, usize) {
        let written = timeout_at(until, self.lines.write_all(part.text.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            return (None, 0);
        }
        let all = part.numbers.len();
        let acknowledged = if ack { self.acknowledged(&part.numbers, until).await } else { all };
        ((acknowledged == all).then_some(self), acknowledged)
    }

    /// Reads answers until the client has acknowledged the last payload. Returns how many payloads are
    /// acknowledged.
    async fn acknowledged(&mut self, numbers: &[u64], until: Instant) -> usize {
        let mut acknowledged = 0;
        while acknowledged < numbers.len() {
            let mut answer = String::new();
            let mut limited = (&mut self.answers).take(MAX_ANSWER_LEN_BYTES);
            let read = timeout_at(until, limited.read_line(&mut answer)).await;
            let answered: Option<u64> = match read {
                Ok(Ok(1..)) => answer.trim_ascii().parse().ok(),
                _ => None,
            };
            let Some(answered) = answered else { return acknowledged };
            acknowledged = numbers.iter().take_while(|number| **number <= answered).count();
        }
        acknowledged
    }
}

/// What every client gets.
#[derive(Debug)]
struct Part {
    text: String,
    numbers: Vec<u64>,
}

impl Socket {
    /// The clients of a listener.
    pub const fn new(
        listener: UnixListener,
        ack: bool,
        timeout: Duration,
        metrics: OutputMetrics,
    ) -> Self {
        Self { listener, ack, timeout, clients: Vec::new(), metrics }
    }

    /// Accepts the clients that have connected, and waits for the first if there is none.
    async fn accept(&mut self) -> Result<(), Failed> {
        loop {
            let is_first = self.clients.is_empty();
            let wait = async {
                if !is_first {
                    // Only clients that have connected already.
                    tokio::task::yield_now().await;
                    return None;
                }
                std::future::pending().await
            };
            let accepted = tokio::select! {
                biased;
                accepted = self.listener.accept() => Some(accepted),
                none = wait => none,
            };
            match accepted {
                None => break,
                Some(Ok((stream, _))) if self.clients.len() < MAX_CLIENTS => {
                    self.clients.push(Client::new(stream));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(Failed::before(format!("accepting a client failed: {error}")));
                }
            }
        }
        self.metrics.connected.set(self.clients.len());
        Ok(())
    }
}

impl Sink for Socket {
    async fn hand_out(&mut self, events: &[Event]) -> Result<(), Failed> {
        self.accept().await?;
        let mut part = Part { text: String::new(), numbers: Vec::new() };
        for event in events {
            part.text.push_str(&event.text);
            part.text.push('\n');
            part.numbers.push(event.number);
        }
        let (part, until) = (Arc::new(part), Instant::now() + self.timeout);
        // Side by side: a client that is slow takes no time of the others.
        let mut handing_out = JoinSet::new();
        for client in std::mem::take(&mut self.clients) {
            handing_out.spawn(client.hand_out(part.clone(), self.ack, until));
        }
        let mut most = 0;
        while let Some(handed_out) = handing_out.join_next().await {
            let Ok((client, acknowledged)) = handed_out else { continue };
            self.clients.extend(client);
            most = most.max(acknowledged);
        }
        self.metrics.connected.set(self.clients.len());
        // A client that is gone acknowledges no longer; it counts as long as another has.
        if most == events.len() {
            Ok(())
        } else {
            Err(Failed::after(most, "every client has disconnected or does not keep up"))
        }
    }
}
