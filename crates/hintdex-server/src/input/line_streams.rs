//! Inputs of lines: standard input, and the clients of a Unix socket.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::intake::Intake;
use super::line::{self, BadLine, MAX_LINE_LEN_BYTES};
use crate::stop::Stop;

/// The most clients of a socket at a time.
const MAX_CLIENTS: usize = 256;

/// A line of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A line without its end; at most [`MAX_LINE_LEN_BYTES`] of it are kept, and whether that is
    /// all of it.
    Line {
        bytes: Vec<u8>,
        is_whole: bool,
    },
    End,
}

/// Takes the lines of standard input until its end, or until the order to stop.
pub async fn stdin(intake: Intake, stop: Stop) {
    lines(tokio::io::stdin(), "standard input", &intake, stop).await;
}

/// Takes the lines of the clients of a socket until the order to stop.
pub async fn unix(listener: UnixListener, intake: Intake, mut stop: Stop) {
    let mut clients = JoinSet::new();
    while let Some(accepted) = stop.or(listener.accept()).await {
        while clients.try_join_next().is_some() {}
        match accepted {
            Ok(_) if clients.len() >= MAX_CLIENTS => {
                tracing::warn!(
                    input = intake.name,
                    "a client was refused: {MAX_CLIENTS} are connected"
                );
            }
            Ok((stream, _)) => {
                let (intake, stop) = (intake.clone(), stop.clone());
                clients.spawn(async move {
                    intake.metrics.connected.inc();
                    lines(stream, "a client", &intake, stop).await;
                    intake.metrics.connected.dec();
                });
            }
            Err(error) => {
                tracing::warn!(input = intake.name, "accepting a client failed: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    while clients.join_next().await.is_some() {}
}

async fn lines(
    from: impl tokio::io::AsyncRead + Unpin,
    name: &str,
    intake: &Intake,
    mut stop: Stop,
) {
    let mut reader = BufReader::with_capacity(1 << 16, from);
    while let Some(next) = stop.or(next_line(&mut reader)).await {
        let parsed = match next {
            Ok(Line::End) => return,
            Ok(Line::Line { is_whole: false, .. }) => Err(BadLine::TooLong),
            Ok(Line::Line { bytes, .. }) if bytes.trim_ascii().is_empty() => continue,
            Ok(Line::Line { bytes, .. }) => line::parse(&bytes),
            Err(error) => {
                tracing::warn!(input = intake.name, "reading from {name} failed: {error}");
                return;
            }
        };
        match parsed {
            Ok(uplink) => {
                if stop.or(intake.send(uplink)).await != Some(true) {
                    return;
                }
            }
            Err(why) => intake.malformed(name, &why.to_string()),
        }
    }
}

async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line> {
    let (mut bytes, mut is_whole, mut has_begun) = (Vec::new(), true, false);
    loop {
        let buffer = reader.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(if has_begun { Line::Line { bytes, is_whole } } else { Line::End });
        }
        has_begun = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let here = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        if bytes.len() + here.len() <= MAX_LINE_LEN_BYTES {
            bytes.extend_from_slice(here);
        } else {
            is_whole = false;
        }
        let used = here.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Line::Line { bytes, is_whole });
        }
    }
}
