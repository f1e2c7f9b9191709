//! A server of the run's own: started for it, ended with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::gauge;

/// How long a server may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A process that ends when this is dropped.
pub struct Server {
    child: Child,
    name: &'static str,
}

impl Server {
    /// Starts `command`, whose own words go to `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Outcome<Self> {
        let log = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { child, name })
    }

    /// Asks until `connect` succeeds.
    pub fn connect<C, E: std::fmt::Display>(
        &mut self,
        mut connect: impl FnMut() -> Result<C, E>,
    ) -> Outcome<C> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended at once: {status}", self.name).into());
            }
            match connect() {
                Ok(connection) => return Ok(connection),
                Err(error) if started.elapsed() > START_LIMIT => {
                    return Err(format!("{} does not answer: {error}", self.name).into());
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < limit {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// What it and the processes it started keep resident, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id();
        gauge::children(id).into_iter().chain([id]).map(gauge::proportional_bytes).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both servers take this for an order to end soon, whoever is connected.
        let id = Pid::from_child(&self.child);
        if kill_process(id, Signal::INT).is_err() || !self.ends_within(STOP_LIMIT) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where `program` is, looked for in `PATH` and then in `also`.
pub fn find(program: &str, also: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(also.iter().cloned());
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs `command` to its end, which has to be a good one.
pub fn run(command: &mut Command) -> Outcome<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(command, output.status, &output.stderr).into())
}

fn failure(command: &Command, status: ExitStatus, words: &[u8]) -> String {
    let program = command.get_program().to_string_lossy();
    format!("{program}: {status}: {}", String::from_utf8_lossy(words).trim())
}
