//! Lines to standard output.

use std::io::{self, Write as _};

use super::sink::{Failed, Sink};
use crate::event::Event;

/// Standard output. A payload is acknowledged when its line is flushed.
#[derive(Debug, Default)]
pub struct Stdout;

impl Sink for Stdout {
    async fn hand_out(&mut self, events: &[Event]) -> Result<(), Failed> {
        let mut text = String::new();
        for event in events {
            text.push_str(&event.text);
            text.push('\n');
        }
        // A reader that does not read must not hold up a thread of the runtime.
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failed::after(0, format!("writing to standard output: {error}"))),
            Err(error) => Err(Failed::after(0, error)),
        }
    }
}
