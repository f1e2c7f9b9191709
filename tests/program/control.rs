//! Commands against a running station: the same answers as on a closed folder, packets that see
//! each change, and what goes wrong on the way.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::files::copy_folder;
use hintdex_tests::program::{Running, command, run, run_with};
use hintdex_tests::{Devices, Outcome, decode, provision};
use tempfile::TempDir;

/// A fleet of 100 devices under the capture's master key, in a folder `fleet`.
fn small_fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "100", "--lookahead", "4"]).done();
    (folder, fleet)
}

/// A station that has the fleet open. Its verdict on a first packet, of device 99, shows that it
/// listens.
fn station(fleet: &Path) -> Running {
    let mut station = Running::start(fleet, &[]);
    station.send(&Devices::of_capture().line(99, 0, b"up"));
    assert_eq!(station.next_verdict().verdict, "accepted");
    station
}

/// Runs a command in a working folder, with something to read.
fn run_in(folder: &Path, args: &[&str], input: &str) -> Outcome {
    let mut command = command(args);
    command.current_dir(folder);
    run_with(command, input)
}

/// The outcome without what differs from run to run: fractions and times.
fn comparable(outcome: &Outcome) -> (Option<i32>, String, String) {
    let plain = |text: &str| {
        let ends = |character: char| character.is_whitespace() || "\",".contains(character);
        let plain = |piece: &str| {
            let word = piece.trim_end_matches(ends);
            let is_time = word.starts_with("20") && word.contains('T') && word.len() >= 13;
            let is_fraction = word.contains('.') && word.parse::<f64>().is_ok();
            if is_time || is_fraction { piece.replace(word, "#") } else { piece.to_owned() }
        };
        text.split_inclusive(ends).map(plain).collect::<String>()
    };
    // After a roll, a reopened fleet counts no hints of keys that are awaited; the process that
    // rolled counts them.
    let stdout = match outcome.stdout.split_once(" live hints found") {
        Some((before, rest)) => format!("{}{rest}", before.trim_end_matches(char::is_numeric)),
        None => outcome.stdout.clone(),
    };
    (outcome.code, plain(&stdout), plain(&outcome.stderr))
}

/// The line of a list for a device with keys of its own.
fn row(device: u32) -> String {
    let (hint_key, dev_key) = own_keys(device);
    format!("{device},{},{}\n", hex::encode(hint_key), hex::encode(dev_key))
}

/// The files that commands read, in a working folder.
fn write_lists(folder: &Path) {
    let list = |name: &str, text: String| {
        fs::write(folder.join(name), text).expect("a file can be written");
    };
    let header = "id,hint_key,dev_key\n";
    list("new.csv", format!("{header}{}{}", row(600), row(601)));
    list("later.csv", format!("{header}{}", row(7)));
    list("units.csv", format!("{header}{}", row(8)));
    list("bad.csv", format!("{header}602,00,00\n"));
    list("listed.csv", format!("id\n{}", (0..90).map(|id| format!("{id}\n")).collect::<String>()));
    list("wrap.key", "5a".repeat(32));
    list("short.key", "5a5a\n".to_owned());
    list("long.key", "5a".repeat(2000));
    list("noise.hdx", "noise".repeat(1000));
    fs::create_dir(folder.join("out")).expect("a folder can be made");
    let other = folder.join("other");
    run_in(folder, &["provision", "--index", "other", "--ids", "800-803"], "").done();
    let export = ["device", "export", "--index", "other", "--out", "moved.jsonl"];
    run_in(folder, &[&export[..], &["--wrap-key", "wrap.key"]].concat(), "").done();
    fs::remove_dir_all(other).expect("the fleet can be removed");
}

/// Commands on the fleet `fleet`, one after the other, and what each reads from standard input.
const COMMANDS: &[(&str, &str)] = &[
    ("provision --index fleet --ids 500-509", ""),
    ("provision --index fleet --keys -", "id\n70-b3-d5-7e-d0-00-12-34\n70-b3-d5-7e-d0-00-12-35\n"),
    ("provision --index fleet --keys /dev/stdin", "id\n550\n"),
    ("provision --index fleet --keys new.csv", ""),
    ("provision --index fleet --keys bad.csv", ""),
    ("provision --index fleet --keys missing.csv", ""),
    ("provision --index fleet --ids 500", ""),
    ("provision --index fleet --devices 5 --lookahead 9", ""),
    ("device add --index fleet --ids 510", ""),
    ("device set --index fleet 500 --late 100", ""),
    ("device set --index fleet --all --max-gap 100:1000", ""),
    ("device rotate --index fleet 1-3 --grace 1h", ""),
    ("device replace --index fleet 4", ""),
    ("device replace --index fleet --keys units.csv", ""),
    ("device rekey --index fleet later.csv", ""),
    ("device retire --index fleet 5", ""),
    ("device retire --index fleet 99999", ""),
    ("device retire --index fleet 6 --at 2100-01-01T00:00:00Z", ""),
    ("device revoke --index fleet 7", ""),
    ("device sync --index fleet listed.csv --dry-run --json --skip-bad", ""),
    ("device sync --index fleet - --json", "id\n42\n900\n"),
    ("device sync --index fleet - --ignore-extra --skip-bad", "id,colour\n42,blue\nx,red\n"),
    ("device list --index fleet", ""),
    ("device list --index fleet --json --retired", ""),
    ("device show --index fleet 600 --json", ""),
    ("device show --index fleet 77777", ""),
    ("device export --index fleet --out out/devices.jsonl --wrap-key wrap.key", ""),
    ("device export --index fleet --out out/by-command --wrap-key command:cat__wrap.key", ""),
    ("device export --index fleet --out out/none --wrap-key missing.key", ""),
    ("device export --index fleet --out out/none --wrap-key short.key", ""),
    ("device export --index fleet --out out/none --wrap-key long.key", ""),
    ("device export --index fleet --out out/none --wrap-key command:false", ""),
    ("device export --index fleet --out missing/devices.jsonl", ""),
    ("device import --index fleet moved.jsonl --wrap-key wrap.key", ""),
    ("device import --index fleet moved.jsonl --wrap-key wrap.key", ""),
    ("device import --index fleet moved.jsonl", ""),
    ("roll --index fleet", ""),
    ("rebuild --index fleet --out coming.hdx --tries 8 --memory 64M", ""),
    ("rebuild --index fleet --out missing/coming.hdx", ""),
    ("rebuild --index fleet --out coming.hdx --bits 99", ""),
    ("verify fleet", ""),
    ("verify coming.hdx --index fleet", ""),
    ("verify noise.hdx --index fleet", ""),
    ("resolve --index fleet 067ce53349a8a510b30b3389d6192210", ""),
    ("resolve --index fleet --snapshot coming.hdx 067ce53349a8a510b30b3389d6192210", ""),
    ("resolve --index fleet --snapshot noise.hdx 067ce53349a8a510b30b3389d6192210", ""),
    ("resolve --index fleet 00", ""),
    ("key show --index fleet --json", ""),
    ("device nonsense --index fleet", ""),
];

#[test]
fn every_command_answers_as_on_the_closed_folder() {
    let (folder, fleet) = small_fleet();
    // Both have accepted the packet of device 99.
    decode(&fleet, &[], Devices::of_capture().line(98, 0, b"up")).done();
    station(&fleet).end();
    let (closed, open) = (folder.path().join("closed"), folder.path().join("open"));
    for working in [&closed, &open] {
        fs::create_dir(working).expect("a folder can be made");
        copy_folder(&fleet, &working.join("fleet"));
        write_lists(working);
    }
    let mut running = Running::start(&open.join("fleet"), &[]);
    running.send(&Devices::of_capture().line(99, 0, b"up"));
    assert_eq!(running.next_verdict().verdict, "replay");
    let mut codes = [0; 3];
    for (line, input) in COMMANDS {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("__", " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (expected, got) = (run_in(&closed, &words, input), run_in(&open, &words, input));
        assert_eq!(comparable(&got), comparable(&expected), "{line}");
        let code = got.code.and_then(|code| usize::try_from(code).ok());
        codes[code.expect("an exit code")] += 1;
    }
    assert!(codes.iter().all(|count| *count > 3), "codes {codes:?}");
    for file in ["out/devices.jsonl", "out/by-command", "coming.hdx"] {
        assert!(open.join(file).is_file(), "{file} is not in the folder of the caller");
    }
    let [closed, open] = [closed, open].map(|working| {
        let outcome = run_in(&working, &["inspect", "fleet", "--json"], "").done();
        let value: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        ["devices", "slots", "retired_slots", "index_id"].map(|name| value[name].clone())
    });
    assert_eq!(open, closed);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn packets_see_each_change_at_once() {
    let (folder, fleet) = small_fleet();
    let (devices, mut running) = (Devices::of_capture(), station(&fleet));
    let mut verdict = |line: &str| {
        running.send(line);
        running.next_verdict()
    };
    assert_eq!(verdict(&devices.line(500, 0, b"new")).verdict, "unknown");
    run_in(folder.path(), &["provision", "--index", "fleet", "--ids", "500"], "").done();
    assert_eq!(verdict(&devices.line(500, 0, b"new")).sender, Some((500, 0)));
    let list = format!("id,hint_key,dev_key\n{}", row(600));
    run_in(folder.path(), &["device", "add", "--index", "fleet", "--keys", "-"], &list).done();
    let own = format!("{}\n", hex::encode(own_packet(600, 3)));
    assert_eq!(verdict(&own).sender, Some((600, 3)));
    run_in(folder.path(), &["device", "retire", "--index", "fleet", "500"], "").done();
    assert_eq!(verdict(&devices.line(500, 1, b"gone")).verdict, "unknown");
    let moved = verdict(&devices.line(42, 0, b"moves on"));
    assert_eq!(moved.sender, Some((42, 0)));
    let shown = run_in(folder.path(), &["device", "show", "--index", "fleet", "42", "--json"], "");
    assert!(shown.done().stdout.contains(r#""next_nonce":1"#), "the state is another");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn verdicts_name_the_eui_of_a_device_that_was_added_meanwhile() {
    let (folder, fleet) = small_fleet();
    let mut running = station(&fleet);
    let list = "id\n70-b3-d5-7e-d0-00-12-34\n";
    run_in(folder.path(), &["device", "add", "--index", "fleet", "--keys", "-"], list).done();
    let shown = run_in(folder.path(), &["device", "list", "--index", "fleet", "--json"], "");
    let shown = shown.done().stdout;
    let line = shown.lines().find(|line| line.contains("70b3d57ed0001234")).expect("its row");
    let device: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let device = device["device"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id");
    let mut stdout = running.take_stdout();
    running.send(&Devices::of_capture().line(device, 0, b"hello"));
    let mut verdict = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut verdict).expect("a verdict");
    assert!(verdict.contains(r#""eui":"70b3d57ed0001234""#), "{verdict}");
    running.end();
}

#[test]
fn several_fleets_of_one_process_each_have_their_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    for (fleet, ids) in [(&a, "0-9"), (&b, "100-109")] {
        let index = fleet.to_str().expect("text");
        run(["provision", "--index", index, "--ids", ids]).done();
    }
    let mut running = Running::start(&a, &["--index", b.to_str().expect("text")]);
    running.send("00\n");
    assert_eq!(running.next_verdict().verdict, "malformed");
    for (name, id) in [("a", "5"), ("b", "105")] {
        run_in(folder.path(), &["device", "retire", "--index", name, id], "").done();
    }
    run_in(folder.path(), &["device", "retire", "--index", "a", "105"], "").refused(2, &["105"]);
    running.end();
}

#[test]
fn options_of_opening_are_named_and_not_followed() {
    let (folder, fleet) = small_fleet();
    let running = station(&fleet);
    let args = ["inspect", "fleet", "--memory", "64M", "--now", "1764000000", "--threads", "1"];
    let outcome = run_in(folder.path(), &args, "").done();
    for option in ["--memory", "--now", "--threads", "the running station keeps its own"] {
        assert!(outcome.stderr.contains(option), "{}", outcome.stderr);
    }
    assert!(outcome.stdout.contains("live index"), "{}", outcome.stdout);
    let args = ["provision", "--index", "fleet", "--ids", "500", "--protect", "file"];
    run_in(folder.path(), &args, "").refused(2, &["--protect", "stop the station", "key rewrap"]);
    let args = ["key", "rewrap", "--index", "fleet", "--to", "file"];
    run_in(folder.path(), &args, "").refused(2, &["hintdex decode", "stop"]);
    running.end();
}

#[test]
fn a_second_station_is_told_who_has_the_fleet() {
    let (_folder, fleet) = small_fleet();
    let running = station(&fleet);
    let process = format!("process {} ", running.id());
    decode(&fleet, &[], "").refused(2, &[&process, "hintdex decode", "since 20", "stop"]);
    assert_eq!(running.end().code, Some(0));
    decode(&fleet, &[], "").done();
}

#[test]
fn the_socket_is_private_and_goes_with_the_station() {
    let (_folder, fleet) = small_fleet();
    let socket = fleet.join("control.sock");
    let running = station(&fleet);
    let found = fs::symlink_metadata(&socket).expect("the socket is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(running.end().code, Some(0));
    assert!(!socket.exists());
}

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

#[test]
fn a_folder_with_a_long_path_has_its_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("n".repeat(150));
    let fleet = long.join("fleet");
    provision(&fleet, &["--devices", "100", "--lookahead", "4"]).done();
    let running = station(&fleet);
    run_in(&long, &["device", "retire", "--index", "fleet", "1"], "").done();
    let index = fleet.to_str().expect("text");
    run(["device", "retire", "--index", index, "2"]).done();
    assert!(fleet.join("control.sock").exists());
    running.end();
    assert!(!fleet.join("control.sock").exists());
}

/// A call that reads the list of its devices from a pipe.
fn adding(folder: &Path) -> Child {
    let mut call = command(["device", "add", "--index", "fleet", "--keys", "-"]);
    call.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    call.spawn().expect("the program starts")
}

/// Waits until the station has read what a pipe holds: then the command has begun.
fn wait_until_read(call: &Child) {
    let fd = std::os::fd::AsRawFd::as_raw_fd(call.stdin.as_ref().expect("a pipe"));
    let path = format!("/proc/self/fd/{fd}");
    let pipe = fs::OpenOptions::new().read(true).open(path).expect("the other end");
    let waits = |pipe: &fs::File| {
        let mut watched = [rustix::event::PollFd::new(pipe, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
    };
    while waits(&pipe) {
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
        wait_until_read(&call);
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
    wait_until_read(&call);
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
fn a_path_of_the_calling_process_alone_is_refused_with_the_remedy() {
    let (folder, fleet) = small_fleet();
    let running = station(&fleet);
    for path in ["/dev/fd/63", "/proc/self/fd/63"] {
        let outcome = run_in(folder.path(), &["provision", "--index", "fleet", "--keys", path], "");
        outcome.refused(2, &[path, "standard input"]);
    }
    running.end();
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

#[test]
fn files_of_a_caller_are_opened_by_its_own_paths() {
    let (folder, fleet) = small_fleet();
    let running = station(&fleet);
    let working = folder.path().join("working");
    fs::create_dir(&working).expect("a folder can be made");
    let index = fleet.to_str().expect("text");
    for (out, place) in [
        ("coming.hdx", working.join("coming.hdx")),
        ("./here.hdx", working.join("here.hdx")),
        ("../above.hdx", folder.path().join("above.hdx")),
    ] {
        let outcome = run_in(&working, &["rebuild", "--index", index, "--out", out], "").done();
        assert!(outcome.stdout.starts_with(&format!("wrote {out}: ")), "{}", outcome.stdout);
        assert!(place.is_file(), "{out}");
    }
    let absolute = folder.path().join("absolute.hdx");
    let args: [&OsStr; 5] = [
        "rebuild".as_ref(),
        "--index".as_ref(),
        fleet.as_ref(),
        "--out".as_ref(),
        absolute.as_ref(),
    ];
    run(args).done();
    assert!(absolute.is_file());
    fs::set_permissions(&absolute, Permissions::from_mode(0o644)).expect("a file of ours");
    let outcome = run_in(&working, &["verify", "../absolute.hdx", "--index", index], "").done();
    assert!(outcome.stderr.contains("note: ../absolute.hdx: other users"), "{}", outcome.stderr);
    running.end();
}

/// Sends packets of one device after the other in batches of 50 until `ends`, and returns how long
/// each batch took to its last verdict, in milliseconds, in ascending order.
fn batch_times_ms(running: &mut Running, nonce: u64, ends: &dyn Fn() -> bool) -> Vec<f64> {
    let devices = Devices::of_capture();
    let (mut times, mut device) = (Vec::new(), 0);
    while !ends() || times.len() < 20 {
        let batch = device..device + 50;
        let lines: String = batch.clone().map(|device| devices.line(device, nonce, b"x")).collect();
        let began = std::time::Instant::now();
        running.send(&lines);
        for device in batch {
            let said = running.next_verdict();
            // All devices have sent: the rest are repeats.
            assert!(["accepted", "replay"].contains(&said.verdict.as_str()), "{said:?}");
            assert_eq!(said.sender, Some((device, nonce)));
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
        device = (device + 50) % 90_000;
    }
    times.sort_by(f64::total_cmp);
    times
}

#[test]
#[ignore = "a measurement"]
fn packets_while_commands_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "100000"]).done();
    let mut running = Running::start(&fleet, &[]);
    let commands = [
        "",
        "inspect fleet",
        "device list --index fleet --json",
        "provision --index fleet --devices 10000 --first-device 200000",
        "device retire --index fleet 90000-94999",
        "device revoke --index fleet 95000-95999",
        "device rotate --index fleet 96000-96999",
        "device set --index fleet 97000-98999 --late 1000",
        "device export --index fleet --out moved.jsonl",
        "rebuild --index fleet --out coming.hdx",
        "rebuild --index fleet --out chain.hdx --encoding chain",
        "verify fleet",
        "roll --index fleet",
    ];
    for (nonce, line) in (0..).zip(commands) {
        let times = thread::scope(|scope| {
            let (words, folder): (Vec<_>, _) = (line.split_whitespace().collect(), folder.path());
            let call = scope.spawn(move || {
                let began = std::time::Instant::now();
                let outcome = (!words.is_empty()).then(|| run_in(folder, &words, ""));
                (outcome, began.elapsed().as_secs_f64())
            });
            let times = batch_times_ms(&mut running, nonce, &|| call.is_finished());
            let (outcome, seconds) = call.join().expect("no panic");
            outcome.map(Outcome::done);
            println!("{line}: {seconds:.2} s");
            times
        });
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "    {} batches of 50: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            times.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
    }
    running.end();
}
