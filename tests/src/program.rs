//! The program, run as its users run it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::{env, fs};

use crate::capture::Capture;

/// What the program's environment calls its path.
const PATH_VARIABLE: &str = "HINTDEX_BIN";

/// The program under test: `$HINTDEX_BIN`, or the one built beside these tests.
pub fn path() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(path) = env::var_os(PATH_VARIABLE) {
            return path.into();
        }
        let test = env::current_exe().expect("a test has a path");
        // target/release/deps/program-0123 → target/release/hintdex
        let folder = test.parent().and_then(Path::parent).expect("cargo builds in a folder");
        let path = folder.join("hintdex");
        assert!(
            path.is_file(),
            "{} is not there; build it with: cargo build --release -p hintdex-cli",
            path.display()
        );
        check_age(&path);
        path
    })
}

/// Refuses a program that is older than its sources.
fn check_age(path: &Path) {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    for source in sources.split_ascii_whitespace().skip(1).map(Path::new) {
        assert!(
            modified(source) <= modified(path),
            "{} is older than {}; build it with: cargo build --release -p hintdex-cli",
            path.display(),
            source.display()
        );
    }
}

/// A call of the program, to be completed.
pub fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(path());
    command.args(args).env("RUST_BACKTRACE", "1");
    command
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the program with nothing to read.
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Outcome {
    run_with(command(args), Vec::new())
}

/// Runs a command that reads `input`, and checks what holds of every run.
pub fn run_with(mut command: Command, input: impl Into<Vec<u8>>) -> Outcome {
    let input = input.into();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("output is text"),
        stderr: String::from_utf8(output.stderr).expect("messages are text"),
    };
    outcome.check_manners();
    outcome
}

impl Outcome {
    /// No panic and no key reaches a user.
    fn check_manners(&self) {
        static KEY: OnceLock<String> = OnceLock::new();
        let key = KEY.get_or_init(Capture::master_key_hex);
        for text in [&self.stdout, &self.stderr] {
            for word in ["panicked", "backtrace", "internal error", "thread '"] {
                assert!(!text.contains(word), "{word:?} in the output: {self:?}");
            }
            assert!(!text.to_ascii_lowercase().contains(key.as_str()), "a key in the output");
        }
    }

    /// It did what it was asked.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// It refused with this exit code and one line that has all of these words. Notes of
    /// what was mended at opening may stand before the line.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let lines = self.stderr.lines().filter(|line| !line.starts_with("hintdex: note: "));
        let lines: Vec<_> = lines.collect();
        let [line] = lines.as_slice() else {
            panic!("more or less than one line: {}", self.stderr);
        };
        assert!(line.starts_with("hintdex: "), "{}", self.stderr);
        for word in words {
            assert!(line.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }

    /// The verdicts of a decode, whose lines are numbered from 1.
    #[track_caller]
    pub fn verdicts(&self) -> Vec<Said> {
        let said: Vec<_> =
            self.stdout.lines().map(Said::parse).filter(|said| !said.again).collect();
        for (number, said) in (1..).zip(&said) {
            assert_eq!(said.line, number);
        }
        said
    }
}

/// Makes a fleet, or adds to one, under the capture's master key.
pub fn provision(fleet: &Path, more: &[&str]) -> Outcome {
    let key = Capture::master_key_file();
    let base = ["provision".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    let key = ["--master-key".as_ref(), key.as_os_str()];
    run(base.into_iter().chain(key).chain(more.iter().map(OsStr::new)))
}

/// Decodes packets that are piped in.
pub fn decode(fleet: &Path, more: &[&str], packets: impl Into<Vec<u8>>) -> Outcome {
    let base = ["decode".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run_with(command(base.into_iter().chain(more.iter().map(OsStr::new))), packets)
}

/// Checks everything there is in a fleet's folder.
#[track_caller]
pub fn verify(fleet: &Path) -> String {
    run(["verify".as_ref(), fleet.as_os_str()]).done().stdout
}

/// What `inspect --json` says of a fleet.
#[track_caller]
pub fn inspect(fleet: &Path) -> serde_json::Value {
    let outcome = run(["inspect".as_ref(), fleet.as_os_str(), "--json".as_ref()]).done();
    serde_json::from_str(&outcome.stdout).expect("inspect writes JSON")
}

/// The same at a moment, in seconds since 1970.
#[track_caller]
pub fn inspect_at(fleet: &Path, unix_s: u64) -> serde_json::Value {
    let now = unix_s.to_string();
    let more = ["--json", "--now", &now].map(OsStr::new);
    let outcome = run(["inspect".as_ref(), fleet.as_os_str()].into_iter().chain(more)).done();
    serde_json::from_str(&outcome.stdout).expect("inspect writes JSON")
}

/// A verdict, as `decode` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The number of the line it is about, from 1; 0 for a packet of an earlier call.
    pub line: u64,
    /// Whether it repeats the payload of a packet that an earlier call accepted.
    pub again: bool,
    /// `accepted`, `replay`, `stale`, `early`, `forged`, `unknown` or `malformed`.
    pub verdict: String,
    /// The folder of its fleet, where the call has several.
    pub fleet: String,
    /// Device and nonce of an authentic packet.
    pub sender: Option<(u32, u64)>,
    /// What its nonce says of when it was made, where nonces tell time.
    pub time: String,
    /// The payload of an accepted packet, in hex.
    pub payload: String,
    /// Who knew the device.
    pub source: String,
}

impl Said {
    /// How the device was found: by a `lookup` in the index or a snapshot, or by a `scan`;
    /// empty where no device was.
    pub fn found_by(&self) -> &str {
        match self.source.as_str() {
            "snapshot" | "index" => "lookup",
            other => other,
        }
    }

    /// Reads a line of output.
    #[track_caller]
    pub fn parse(line: &str) -> Self {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name| value.get(name).and_then(serde_json::Value::as_str).unwrap_or("");
        let number = |name| value.get(name).and_then(serde_json::Value::as_u64);
        let again = value.get("again").is_some_and(|again| *again == true);
        assert_eq!(value.get("line").is_some_and(serde_json::Value::is_null), again, "{line}");
        let said = Self {
            line: number("line").unwrap_or(0),
            again,
            verdict: text("verdict").to_owned(),
            fleet: text("fleet").to_owned(),
            sender: number("device")
                .and_then(|device| Some((u32::try_from(device).ok()?, number("nonce")?))),
            time: text("time").to_owned(),
            payload: text("payload").to_owned(),
            source: text("source").to_owned(),
        };
        let authentic = matches!(said.verdict.as_str(), "accepted" | "replay" | "stale" | "early");
        assert_eq!(said.sender.is_some(), authentic, "{line}");
        assert_eq!(value.get("payload").is_some(), said.verdict == "accepted", "{line}");
        assert_eq!(
            matches!(said.source.as_str(), "snapshot" | "index" | "scan" | "packet" | "schedule"),
            authentic,
            "{line}"
        );
        said
    }
}

/// A `decode` that is fed packet by packet, and may be killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a decode of `fleet`.
    pub fn start(fleet: &Path, more: &[&str]) -> Self {
        let base = ["decode".as_ref(), "--index".as_ref(), fleet.as_os_str()];
        let mut command = command(base.into_iter().chain(more.iter().map(OsStr::new)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut pipe = child.stderr.take().expect("a pipe");
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        });
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr: Some(stderr),
            child,
        }
    }

    /// Hands its input to someone else, who feeds it.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("taken once")
    }

    /// Hands its output to someone else, who reads it.
    pub fn take_stdout(&mut self) -> BufReader<ChildStdout> {
        self.stdout.take().expect("taken once")
    }

    /// Sends lines to it.
    pub fn send(&mut self, lines: &str) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin.write_all(lines.as_bytes()).and_then(|()| stdin.flush()).expect("it reads");
    }

    /// The next verdict.
    pub fn next_verdict(&mut self) -> Said {
        loop {
            let mut line = String::new();
            let stdout = self.stdout.as_mut().expect("not taken");
            stdout.read_line(&mut line).expect("it writes");
            let said = Said::parse(&line);
            if !said.again {
                return said;
            }
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
    }

    /// Closes its input and output, waits for it, and returns how it ended.
    pub fn end(mut self) -> Outcome {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let status = self.child.wait().expect("it ends");
        let stderr = self.stderr.take().map(|reader| reader.join().expect("the reader ends"));
        let outcome = Outcome {
            code: status.code(),
            stdout: String::new(),
            stderr: stderr.unwrap_or_default(),
        };
        outcome.check_manners();
        outcome
    }
}
