//! The control socket between threads: paths and streams of the caller, turns, and messages that
//! are no commands.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use hintdex_host::SplitMix64;
use hintdex_server::control::{Answer, Call, Connection, Listener, Request, SOCKET_NAME};

const DONE: Answer = Answer { code: 0, failure: None };

/// Calls a command with these words and this input. Returns the answer, and the output.
fn call(folder: &Path, words: &[&str], input: &str) -> (Answer, String) {
    let (stdin, mut to_stdin) = std::io::pipe().expect("a pipe");
    to_stdin.write_all(input.as_bytes()).expect("a short input");
    drop(to_stdin);
    let (mut from_stdout, stdout) = std::io::pipe().expect("a pipe");
    let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    let connection = Connection::open(folder).expect("a socket").expect("a station listens");
    let streams: [&dyn AsFd; 3] = [&stdin, &stdout, &stdout];
    let call = Call { arguments: &arguments, streams, secrets: &[] };
    let answer = connection.run(&call).expect("an answer");
    drop(stdout);
    let mut text = String::new();
    from_stdout.read_to_string(&mut text).expect("the output is text");
    (answer, text)
}

#[test]
fn a_command_reads_and_writes_the_streams_of_its_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = |request: &Request<'_>| {
        let mut text = String::new();
        let read = request.stdin().read_to_string(&mut text);
        assert_eq!(read.ok(), Some(text.len()));
        let mut out = request.stdout();
        let words: Vec<_> = request.arguments().iter().map(|word| word.to_string_lossy()).collect();
        write!(out, "{}: {text}", words.join(" ")).expect("the caller reads");
        request.stderr().write_all(b"!").expect("the caller reads");
        Answer { code: 7, failure: Some("on purpose".to_owned()) }
    };
    let listener = Listener::start(folder.path(), "decode", echo).expect("it listens");
    for _ in 0..3 {
        let (answer, text) = call(folder.path(), &["hintdex", "é"], "input\n");
        assert_eq!(answer, Answer { code: 7, failure: Some("on purpose".to_owned()) });
        assert_eq!(text, "hintdex é: input\n!");
    }
    drop(listener);
    assert!(!folder.path().join(SOCKET_NAME).exists());
    assert!(Connection::open(folder.path()).expect("no error").is_none());
}

#[test]
fn paths_lead_to_the_files_of_the_caller_and_are_shown_as_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("list.csv");
    fs::write(&file, "id\n").expect("a file");
    let named = file.clone();
    let look = move |request: &Request<'_>| {
        let path = request.path(&named).expect("a path of the root");
        assert_ne!(path, named);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("id\n"));
        let said = request.in_words_of_caller(&format!("{}: bad", path.display()));
        assert_eq!(said, format!("{}: bad", named.display()));
        let stdin = request.path(Path::new("/dev/stdin")).expect("standard input");
        for given in ["Cargo.toml", "./src/lib.rs", "../hintdex-server/Cargo.toml", "."] {
            let path = request.path(Path::new(given)).expect("a path of the working folder");
            assert!(path.exists(), "{given}");
            let text = format!("{0}, {0} and {1}/x", path.display(), stdin.display());
            let said = format!("{given}, {given} and /dev/stdin/x");
            // A slash behind standard input is eaten: it has no files.
            assert_eq!(request.in_words_of_caller(&text), said.replace("stdin/x", "stdinx"));
        }
        for given in ["/dev/fd/63", "/dev/tty", "/proc/self/fd/9", "/proc/self/environ"] {
            assert_eq!(request.path(Path::new(given)), None, "{given}");
        }
        let root = request.path(Path::new("/")).expect("the root");
        assert_eq!(request.in_words_of_caller(&root.display().to_string()), "/");
        let (of_working, of_others) = (root.parent(), "/proc/self/fd/9999/x, /proc/self/fd/");
        assert_eq!(of_working, Some(Path::new("/proc/self/fd")));
        assert_eq!(request.in_words_of_caller(of_others), of_others);
        DONE
    };
    let _listener = Listener::start(folder.path(), "decode", look).expect("it listens");
    assert_eq!(call(folder.path(), &["hintdex"], "").0, DONE);
}

/// A gate that commands wait at, and how many have come.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, is_open)| !*is_open).expect("no panic"));
    }

    /// Waits until `count` commands have come. Returns how many have come since.
    fn wait_for(&self, count: usize) -> usize {
        let state = self.state.lock().expect("no panic");
        self.changed.wait_while(state, |(come, _)| *come < count).expect("no panic").0
    }

    fn open(&self) {
        self.state.lock().expect("no panic").1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn eight_commands_run_at_a_time_and_others_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(Gate::default());
    let at_gate = gate.clone();
    let run = move |_: &Request<'_>| {
        at_gate.pass();
        DONE
    };
    let _listener = Listener::start(folder.path(), "decode", run).expect("it listens");
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..20).map(|_| scope.spawn(|| call(folder.path(), &["hintdex"], "").0)).collect();
        assert_eq!(gate.wait_for(8), 8);
        // Twelve more are connected or on the way; none passes a turn that is taken.
        for _ in 0..1000 {
            assert_eq!(gate.wait_for(8), 8);
            thread::yield_now();
        }
        gate.open();
        assert!(callers.into_iter().all(|caller| caller.join().expect("no panic") == DONE));
    });
    assert_eq!(gate.wait_for(20), 20);
}

#[test]
fn the_end_of_a_listener_waits_for_its_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(Gate::default());
    let at_gate = gate.clone();
    let run = move |request: &Request<'_>| {
        at_gate.pass();
        // Output that the caller takes is written all the same.
        request.stdout().write_all(b"whole").expect("the caller reads");
        DONE
    };
    let listener = Listener::start(folder.path(), "decode", run).expect("it listens");
    let (ended, end) = channel();
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(folder.path(), &["hintdex"], ""));
        gate.wait_for(1);
        scope.spawn(move || {
            drop(listener);
            ended.send(()).expect("the test waits");
        });
        // The socket goes first.
        while folder.path().join(SOCKET_NAME).exists() {
            thread::yield_now();
        }
        assert!(end.try_recv().is_err(), "the listener has left its command");
        gate.open();
        assert_eq!(caller.join().expect("no panic"), (DONE, "whole".to_owned()));
        end.recv().expect("the listener ends");
    });
}

#[test]
fn a_panic_of_a_command_ends_the_command_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |request: &Request<'_>| {
        assert_eq!(request.arguments().len(), 1, "on purpose");
        DONE
    };
    let _listener = Listener::start(folder.path(), "decode", run).expect("it listens");
    let (answer, _) = call(folder.path(), &["hintdex", "inspect"], "");
    assert_eq!(answer.code, 101);
    assert!(answer.failure.is_some_and(|failure| failure.contains("internal error")));
    assert_eq!(call(folder.path(), &["hintdex"], "").0, DONE);
}

#[test]
fn bytes_that_are_no_command_run_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |request: &Request<'_>| {
        assert_eq!(request.arguments(), ["hintdex"], "bytes were taken for a command");
        DONE
    };
    let _listener = Listener::start(folder.path(), "decode", run).expect("it listens");
    let mut draws = SplitMix64::new(18);
    for round in 0..500 {
        let mut stream = UnixStream::connect(folder.path().join(SOCKET_NAME)).expect("a socket");
        let mut bytes = [0; 64];
        draws.fill(&mut bytes);
        let mut bytes = bytes.split_at(draws.below_u32(64) as usize).0.to_vec();
        if round % 2 == 0 {
            // A command without descriptors.
            let len = u32::try_from(bytes.len() + 1).expect("few bytes");
            bytes.splice(0..0, [&len.to_be_bytes()[..], &[2]].concat());
        }
        // The station may close the connection before it has read everything.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(call(folder.path(), &["hintdex"], "").0, DONE);
}

#[test]
fn a_secret_of_the_caller_can_be_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |request: &Request<'_>| {
        let path = request.secret(0).expect("a secret");
        let mut secret = String::new();
        File::open(path).expect("it opens").read_to_string(&mut secret).expect("text");
        assert_eq!(secret, "hunter2");
        assert_eq!(request.secret(1), None);
        DONE
    };
    let _listener = Listener::start(folder.path(), "decode", run).expect("it listens");
    let (read, mut write) = std::io::pipe().expect("a pipe");
    write.write_all(b"hunter2").expect("a short secret");
    drop(write);
    let (stdin, secrets) = (std::io::stdin(), [read.into()]);
    let arguments = [OsString::from("hintdex")];
    let call = Call { arguments: &arguments, streams: [&stdin, &stdin, &stdin], secrets: &secrets };
    let connection = Connection::open(folder.path()).expect("a socket").expect("a station");
    assert_eq!(connection.run(&call).expect("an answer"), DONE);
}
