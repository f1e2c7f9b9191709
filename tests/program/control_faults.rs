//! What goes wrong between a caller and a running station: kills, stale sockets, messages that are no
//! commands, readers that stand still.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use hintdex_tests::program::{Running, command};
use hintdex_tests::{Devices, provision};

use super::control::{run_in, small_fleet, station};

#[test]
fn a_socket_that_a_killed_station_left_keeps_nobody_out() {
    let (folder, fleet) = small_fleet();
    let socket = fleet.join("control.sock");
    let mut running = station(&fleet);
    running.kill();
    running.end();
    assert!(socket.exists(), "a killed process removes nothing");
    let retire = |id| run_in(folder.path(), &["device", "retire", "--index", "fleet", id], "");
    retire("1").done();
    let running = station_again(&fleet);
    retire("2").done();
    running.end();
    assert!(!socket.exists());
}

/// A station of a fleet that has accepted the first packet of device 99 before.
fn station_again(fleet: &Path) -> Running {
    let mut running = Running::start(fleet, &[]);
    running.send(&Devices::of_capture().line(99, 0, b"up"));
    assert_eq!(running.next_verdict().verdict, "replay");
    running
}

/// A call that reads the list of its devices from a pipe.
fn adding(folder: &Path) -> Child {
    let mut call = command(["device", "add", "--index", "fleet", "--keys", "-"]);
    call.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    call.spawn().expect("the program starts")
}

/// Waits until the station has read what a pipe holds: then the command has begun.
fn wait_until_read(call: &mut Child) {
    let fd = std::os::fd::AsRawFd::as_raw_fd(call.stdin.as_ref().expect("a pipe"));
    let path = format!("/proc/self/fd/{fd}");
    let pipe = fs::OpenOptions::new().read(true).open(path).expect("the other end");
    let waits = |pipe: &fs::File| {
        let mut watched = [rustix::event::PollFd::new(pipe, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
    };
    while waits(&pipe) {
        let ended = call.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "the command has not read its input: {ended:?}");
        thread::yield_now();
    }
}

#[test]
fn a_list_whose_caller_was_killed_is_no_list() {
    let (folder, fleet) = small_fleet();
    let running = station(&fleet);
    for closes_first in [false, true] {
        let mut call = adding(folder.path());
        call.stdin.as_mut().expect("a pipe").write_all(b"id\n700\n").expect("it reads");
        wait_until_read(&mut call);
        if closes_first {
            // As a signal to the whole pipeline does it: the caller is stopped while the input
            // ends, and never answers that it is still there.
            signal(&call, rustix::process::Signal::STOP);
            drop(call.stdin.take());
        }
        call.kill().expect("a child can be killed");
        call.wait().expect("it ends");
        drop(call.stdin.take());
        let list = ["device", "list", "--index", "fleet", "--ids", "700", "--json"];
        // A change waits for the one before: it has ended then.
        run_in(folder.path(), &["device", "set", "--index", "fleet", "3", "--late", "99"], "")
            .done();
        assert_eq!(run_in(folder.path(), &list, "").done().stdout, "", "{closes_first}");
    }
    assert_eq!(running.end().code, Some(0));
}

fn signal(call: &Child, signal: rustix::process::Signal) {
    let id = i32::try_from(call.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.expect("an id"), signal).expect("a child gets signals");
}

#[test]
fn a_station_that_ends_does_not_wait_for_a_list() {
    let (folder, fleet) = small_fleet();
    let running = station(&fleet);
    let mut call = adding(folder.path());
    call.stdin.as_mut().expect("a pipe").write_all(b"id\n700\n").expect("it reads");
    wait_until_read(&mut call);
    assert_eq!(running.end().code, Some(0));
    let input = call.stdin.take();
    let output = call.wait_with_output().expect("it ends");
    drop(input);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the station ends"), "{stderr}");
    let list = ["device", "list", "--index", "fleet", "--ids", "700", "--json"];
    assert_eq!(run_in(folder.path(), &list, "").done().stdout, "");
}

#[test]
fn what_is_no_command_harms_nobody() {
    let (folder, fleet) = small_fleet();
    let mut running = station(&fleet);
    let command = |body: &[u8]| {
        let len = u32::try_from(body.len() + 1).expect("a short body");
        [&len.to_be_bytes(), &[2][..], body].concat()
    };
    let argument = [&1_u32.to_be_bytes()[..], &7_u32.to_be_bytes(), b"inspect"].concat();
    let many = [&u32::MAX.to_be_bytes()[..], &argument[4..]].concat();
    let messages: [&[u8]; 9] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 5],
        &[0xff; 64],
        &[0, 0, 0, 1, 9],
        &command(&argument),
        &command(&many),
        &command(&argument[..9]),
        &command(b""),
    ];
    for message in messages {
        let mut stream = UnixStream::connect(fleet.join("control.sock")).expect("it listens");
        stream.write_all(message).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        let mut answer = Vec::new();
        // It greets, and closes the connection.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 200, "{} bytes", answer.len());
    }
    run_in(folder.path(), &["device", "retire", "--index", "fleet", "1"], "").done();
    running.send(&Devices::of_capture().line(99, 1, b"still up"));
    assert_eq!(running.next_verdict().sender, Some((99, 1)));
    assert_eq!(running.end().code, Some(0));
}

/// The greeting of a station of some version.
fn greeting(version: &str) -> Vec<u8> {
    let text = |text: &str| {
        let len = u32::try_from(text.len()).expect("a short text").to_be_bytes();
        [&len[..], text.as_bytes()].concat()
    };
    let body = [
        &1_u32.to_be_bytes()[..],
        &text(version),
        &4242_u32.to_be_bytes(),
        &1_764_000_000_u64.to_be_bytes(),
        &text("decode"),
    ]
    .concat();
    let len = u32::try_from(body.len() + 1).expect("a short body").to_be_bytes();
    [&len[..], &[1], &body].concat()
}

#[test]
fn a_station_that_dies_in_between_leaves_the_change_unknown() {
    let (folder, fleet) = small_fleet();
    let listener = UnixListener::bind(fleet.join("control.sock")).expect("a socket");
    let versions = ["0.0.1", env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_VERSION")];
    let dying = thread::spawn(move || {
        for version in versions {
            let (mut stream, _) = listener.accept().expect("a caller");
            stream.write_all(&greeting(version)).expect("it reads");
            // The first bytes of the command, if there is one.
            let _ = stream.read(&mut [0; 64]);
        }
    });
    let retire = ["device", "retire", "--index", "fleet", "1"];
    run_in(folder.path(), &retire, "").refused(2, &["0.0.1", "start the station again"]);
    run_in(folder.path(), &retire, "").refused(1, &["ended before it answered", "not known"]);
    let reads = run_in(folder.path(), &["inspect", "fleet"], "");
    reads.refused(1, &["ended before it answered", "call again"]);
    assert!(!reads.stderr.contains("not known"), "{}", reads.stderr);
    dying.join().expect("three callers");
}

#[test]
fn a_reader_that_stands_still_holds_up_neither_packets_nor_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    // A list that is longer than the buffer of a pipe.
    provision(&fleet, &["--devices", "3000", "--lookahead", "4"]).done();
    let mut running = station(&fleet);
    let mut call = command(["device", "list", "--index", "fleet", "--json"]);
    call.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut call = call.stdin(Stdio::null()).spawn().expect("the program starts");
    let mut first = [0; 1];
    call.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("the list begins");
    running.send(&Devices::of_capture().line(42, 0, b"passes"));
    assert_eq!(running.next_verdict().sender, Some((42, 0)));
    run_in(folder.path(), &["device", "retire", "--index", "fleet", "1"], "").done();
    assert_eq!(running.end().code, Some(0));
    let output = call.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
