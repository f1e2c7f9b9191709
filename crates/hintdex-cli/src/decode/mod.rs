//! `hintdex decode`

mod counts;
mod decoder;
mod euis;
mod fleets;
mod handing_on;
mod notices;
mod opening;
mod summary;
mod waiting;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use indicatif::ProgressBar;

use crate::args::DecodeArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::{Batch, Lines, TrailingField, open};
use crate::output::write_out;
use crate::progress;
use decoder::Decoder;

pub fn run(args: &DecodeArgs, call: &Call<'_>) -> Result<(), Failure> {
    let mut lines = Lines::new(open(&args.file)?);
    let (fleets, labels) = opening::open(args, call)?;
    let bar = if io::stderr().is_terminal() {
        progress::bar(&call.console, "decoding", "packets")
    } else {
        ProgressBar::hidden()
    };
    let mut output = io::stdout().lock();
    // A time that is off by a second would set the clock of a device of a schedule wrong.
    let trailing = match fleets.read_times() {
        _ if fleets.have_schedule() => TrailingField::NeededTime,
        true => TrailingField::Time,
        false => TrailingField::Ignored,
    };
    // Commands of other processes run until the input ends.
    let listeners = opening::listen(args, &fleets, &labels);
    let mut decoder = Decoder::new(fleets, labels)?;
    let started = Instant::now();
    while !decoder.summary.closed_early && decoder.write_again()? {
        hand_on(&mut decoder, &mut output)?;
    }
    while !decoder.summary.closed_early {
        let batch = lines
            .next_packets(trailing, decoder.timeout())
            .map_err(|error| Failure::io("reading packets", &args.file, &error))?;
        match batch {
            Batch::End => break,
            Batch::Silence => decoder.scan_waiting()?,
            Batch::Lines(batch) => {
                decoder.decode_lines(&batch)?;
                bar.inc(batch.len() as u64);
            }
        }
        hand_on(&mut decoder, &mut output)?;
    }
    if !decoder.summary.closed_early {
        decoder.scan_all_waiting()?;
        hand_on(&mut decoder, &mut output)?;
    }
    bar.finish_and_clear();
    drop(listeners);
    decoder.summary.print(started.elapsed(), &decoder.schedule_stats());
    match (decoder.summary.nothing_was_a_packet(), lines.first()) {
        (Some(reason), Some(first)) => Err(no_packets(&args.file, &format!("{first}: {reason}"))),
        _ => Ok(()),
    }
}

/// Writes the lines that are ready, and takes their payloads out of the outboxes.
fn hand_on(decoder: &mut Decoder, output: &mut impl Write) -> Result<(), Failure> {
    if write_out(output, &decoder.text)? {
        decoder.text.clear();
        decoder.acknowledge()
    } else {
        decoder.summary.closed_early = true;
        Ok(())
    }
}

/// The failure of an input in which no line is a packet.
fn no_packets(path: &Path, first: &str) -> Failure {
    let name = if path.as_os_str() == "-" { Path::new("standard input") } else { path };
    let message = format!(
        "no line is a packet; the first is {first}; give the hex digits of one packet a line"
    );
    Failure::data(name, &message)
}
