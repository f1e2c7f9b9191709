//! A decode that is fed, killed at a random moment, and judged by what it
//! acknowledged before it died.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::devices::payload;
use crate::program::{Running, Said};
use crate::{Breach, Devices, Ledger, Random};

/// A packet of a run: who sends it, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Who sends it.
    pub device: u32,
    /// Under which nonce.
    pub nonce: u64,
    /// Whether it is above every nonce the device sent before, so that it has to
    /// be accepted.
    pub is_new: bool,
}

/// Devices that go on sending through all crashes of their station.
#[derive(Debug)]
pub struct Senders {
    next: Vec<u64>,
    late: Vec<Sent>,
}

impl Senders {
    /// So many devices that sent nothing yet.
    pub fn new(count: usize) -> Self {
        Self { next: vec![0; count], late: Vec::new() }
    }

    /// The next packets: new ones, some after a leap, some late, some repeated.
    pub fn packets(&mut self, count: usize, random: &mut Random) -> Vec<Sent> {
        let mut sent: Vec<Sent> = Vec::new();
        while sent.len() < count {
            let place = random.place(self.next.len());
            let (Ok(device), Some(next)) = (u32::try_from(place), self.next.get_mut(place)) else {
                continue;
            };
            match random.below(100) {
                0..5 => *next += random.below(40),
                5..10 => {
                    self.late.push(Sent { device, nonce: *next, is_new: false });
                    *next += 1;
                }
                10..15 if !self.late.is_empty() => {
                    sent.push(self.late.swap_remove(random.place(self.late.len())));
                }
                15..20 if !sent.is_empty() => {
                    let repeated = sent.get(random.place(sent.len())).copied();
                    sent.extend(repeated.map(|packet| Sent { is_new: false, ..packet }));
                }
                _ => {
                    sent.push(Sent { device, nonce: *next, is_new: true });
                    *next += 1;
                }
            }
        }
        sent
    }
}

/// The packets as lines of input.
pub fn lines(devices: &Devices, packets: &[Sent]) -> String {
    let line =
        |sent: &Sent| devices.line(sent.device, sent.nonce, &payload(sent.device, sent.nonce));
    packets.iter().map(line).collect()
}

/// When a run is killed.
#[derive(Clone, Copy, Debug)]
pub enum Kill {
    /// So long after its start: mostly while the index is opened.
    AfterStart(Duration),
    /// So long after its first verdict.
    AfterFirstVerdict(Duration),
    /// When everything was answered.
    AtTheEnd,
}

/// Lines that are sent together, so that a run has many batches.
const LINES_AT_ONCE: usize = 20;
/// What it is left to answer them in.
const PAUSE: Duration = Duration::from_micros(300);

/// Feeds a decode of `fleet`, kills it, and returns what it acknowledged of this input.
pub fn decode_and_kill(fleet: &Path, more: &[&str], input: String, kill: Kill) -> Vec<Said> {
    let all = decode_until_killed(fleet, more, input, kill).into_iter();
    all.filter(|said| !said.again).collect()
}

/// Feeds a decode of `fleet`, kills it, and returns every line that it wrote.
pub fn decode_until_killed(fleet: &Path, more: &[&str], input: String, kill: Kill) -> Vec<Said> {
    let mut running = Running::start(fleet, more);
    let (mut stdin, mut stdout) = (running.take_stdin(), running.take_stdout());
    let line_count = input.lines().count();
    let writer = thread::spawn(move || {
        let lines: Vec<_> = input.split_inclusive('\n').collect();
        for lines in lines.chunks(LINES_AT_ONCE) {
            // It is killed while this writes; the pipe stays open until then.
            if stdin.write_all(lines.concat().as_bytes()).is_err() {
                break;
            }
            thread::sleep(PAUSE);
        }
        stdin
    });
    let (answered, answers) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let end = stdout.read_line(&mut line).is_ok_and(|len_bytes| len_bytes == 0);
            // A line without its end was not acknowledged.
            if end || !line.ends_with('\n') {
                return lines;
            }
            lines.push(line);
            let _ = answered.send(());
        }
    });
    match kill {
        Kill::AfterStart(after) => thread::sleep(after),
        Kill::AfterFirstVerdict(after) => {
            let _ = answers.recv();
            thread::sleep(after);
        }
        Kill::AtTheEnd => drop(answers.iter().take(line_count).count()),
    }
    running.kill();
    let lines = reader.join().expect("the reader ends");
    drop(writer.join().expect("the writer ends"));
    let outcome = running.end();
    assert_eq!(outcome.code, None, "it ended before it was killed: {}", outcome.stderr);
    lines.iter().map(|line| Said::parse(line)).collect()
}

/// Enters what was said of packets into the ledger.
///
/// # Errors
/// The first promise that was broken.
pub fn judge(ledger: &mut Ledger, packets: &[Sent], said: &[Said]) -> Result<(), Breach> {
    for (Sent { device, nonce, is_new }, said) in packets.iter().copied().zip(said) {
        ledger.enter(device, nonce, said)?;
        if is_new && said.verdict != "accepted" {
            return Err(Breach::Misjudged { device, nonce, verdict: said.verdict.clone() });
        }
    }
    Ok(())
}
