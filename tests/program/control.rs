//! Commands against a running station: the same answers as on a closed folder, and packets that see
//! each change.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::files::copy_folder;
use hintdex_tests::program::{Running, command, run, run_with};
use hintdex_tests::{Devices, Outcome, decode, provision};
use tempfile::TempDir;

/// A fleet of 100 devices under the capture's master key, in a folder `fleet`.
pub fn small_fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "100", "--lookahead", "4"]).done();
    (folder, fleet)
}

/// A station that has the fleet open. Its verdict on a first packet, of device 99, shows that it
/// listens.
pub fn station(fleet: &Path) -> Running {
    let mut station = Running::start(fleet, &[]);
    station.send(&Devices::of_capture().line(99, 0, b"up"));
    assert_eq!(station.next_verdict().verdict, "accepted");
    station
}

/// Runs a command in a working folder, with something to read.
pub fn run_in(folder: &Path, args: &[&str], input: &str) -> Outcome {
    let mut command = command(args);
    command.current_dir(folder);
    run_with(command, input)
}

/// The outcome without what differs from run to run: fractions and times.
fn comparable(outcome: &Outcome) -> (Option<i32>, String, String) {
    let plain = |text: &str| {
        let ends = |character: char| character.is_whitespace() || "\",".contains(character);
        let is_size = std::cell::Cell::new(false);
        let plain = |piece: &str| {
            let word = piece.trim_end_matches(ends);
            let is_time = word.starts_with("20") && word.contains('T') && word.len() >= 13;
            let is_fraction = word.contains('.') && word.parse::<f64>().is_ok();
            // The length of a snapshot depends on the second in which it is built.
            let is_number = word.parse::<u64>().is_ok();
            if is_time || is_fraction || is_size.replace(word == "in") && is_number {
                piece.replace(word, "#")
            } else {
                piece.to_owned()
            }
        };
        text.split_inclusive(ends).map(plain).collect::<String>()
    };
    // The process that has imported devices counts their hints in the snapshot; a fleet that is
    // opened again counts those of the lookahead.
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
    // An opening rids the outbox of their rows, which verify would count.
    decode(&fleet, &[], "").done();
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
