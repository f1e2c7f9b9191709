//! The scheme as its Python users write it: a dict.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hintdex_wire::Hint;

use super::{Clock, Entry, Home, Kind, Peer, Way};
use crate::Outcome;
use crate::gauge;
use crate::workload::{Row, Site};

const SCRIPT: &str = include_str!("../../../../python/dict_index.py");

struct Python {
    child: Child,
    /// `None` once it has been closed, which ends the program.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    empty_bytes: u64,
    message: Vec<u8>,
}

pub fn entry() -> Entry {
    Entry {
        clock: Clock::Wall,
        note: "`dict` from hint to (device, nonce), hints made by PyCryptodome from keys and \
               loading is that, too; asked through a pipe, some hundred thousand at a time",
        lacks,
        ..Entry::new("python-dict", "Python dict", Kind::Memory, Home::Process(make))
    }
}

fn lacks() -> Option<String> {
    let mut command = Command::new("python3");
    command.args(["-c", "import Crypto.Cipher.AES"]).stderr(Stdio::null());
    let works = command.status().is_ok_and(|status| status.success());
    (!works).then(|| "python3 with PyCryptodome is not installed".into())
}

fn make(site: &Site, rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    drop(rows);
    let master: String = site.size.secret().iter().map(|byte| format!("{byte:02x}")).collect();
    let (devices, horizon) = (site.size.devices.to_string(), site.size.horizon.to_string());
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, &master, &devices, &horizon])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let to = child.stdin.take();
    let from = BufReader::new(child.stdout.take().ok_or("python3 has no output")?);
    let mut python = Python { child, to, from, empty_bytes: 0, message: Vec::new() };
    python.expect("started\n")?;
    python.empty_bytes = gauge::proportional_bytes(python.child.id());
    python.send(b"\n")?;
    python.expect("ready\n")?;
    Ok(Box::new(python))
}

impl Python {
    fn expect(&mut self, said: &str) -> Outcome<()> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line == said { Ok(()) } else { Err(format!("python3 said {line:?}").into()) }
    }

    fn send(&mut self, message: &[u8]) -> Outcome<()> {
        let to = self.to.as_mut().ok_or("python3 has ended")?;
        to.write_all(message)?;
        Ok(to.flush()?)
    }
}

impl Peer for Python {
    fn look_up(&mut self, _: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        message.extend(u32::try_from(hints.len())?.to_le_bytes());
        hints.iter().for_each(|hint| message.extend(hint.as_bytes()));
        self.send(&message)?;
        message.resize(4 * hints.len(), 0);
        self.from.read_exact(&mut message)?;
        for device in message.as_chunks().0 {
            devices.push(u32::from_le_bytes(*device));
        }
        self.message = message;
        Ok(())
    }

    fn resident_bytes(&mut self) -> Outcome<Option<u64>> {
        let now = gauge::proportional_bytes(self.child.id());
        Ok(Some(now.saturating_sub(self.empty_bytes)))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.child.wait();
    }
}
