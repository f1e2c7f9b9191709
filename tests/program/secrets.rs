//! Keys stay out of sight: of messages, wherever a user puts one and however it is spelled,
//! and of memory, where the master key's text has nothing to do once it was read or written.

use std::fs;
use std::fs::Permissions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hintdex_tests::program::{command, run, run_with};
use hintdex_tests::{Outcome, Random, provision};

/// The key that nobody may see, in a form that is as good as any other.
fn secret() -> Vec<u8> {
    Random::new(21).bytes(32)
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 (RFC 4648) without padding.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let text = bytes.chunks(3).flat_map(|chunk| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        (0..=chunk.len()).map(move |at| char::from(alphabet[bits >> (18 - 6 * at) & 63]))
    });
    text.collect()
}

fn separated(bytes: &[u8], by: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(by)
}

/// Every way in which people write some bytes of a key.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let hex = hex::encode(bytes);
    let standard = base64(bytes, STANDARD);
    let padding = "=".repeat((4 - standard.len() % 4) % 4);
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    vec![
        hex::encode(reversed),
        hex.chars().rev().collect(),
        hex.to_uppercase(),
        format!("0x{hex}"),
        format!("irk:{hex}"),
        format!("{standard}{padding}"),
        base64(bytes, URL_SAFE),
        separated(bytes, ":"),
        separated(bytes, "-"),
        separated(bytes, " "),
        standard,
        hex,
    ]
}

/// The key with its bytes in the opposite order, as some tools write one.
fn reversed() -> Vec<u8> {
    secret().into_iter().rev().collect()
}

/// The key, its halves, as much of it as somebody may have in a note, and all of it reversed.
fn given() -> Vec<String> {
    let (key, reversed) = (secret(), reversed());
    let parts = [&key[..], &key[..16], &key[16..], &key[..8], &reversed, &reversed[..16]];
    parts.into_iter().flat_map(spellings).collect()
}

/// That no six bytes of the key are in what was said, however they are spelled.
#[track_caller]
fn is_silent(outcome: &Outcome, place: &str) {
    let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
    let lower = said.to_lowercase();
    let mut backwards = secret();
    backwards.reverse();
    for run in secret().windows(6).chain(backwards.windows(6)) {
        let digits: String = separated(run, "").chars().rev().collect();
        assert!(!lower.contains(&digits), "{place}: {digits} in {said}");
        for by in ["", ":", "-", " ", ", "] {
            let text = separated(run, by);
            assert!(!lower.contains(&text), "{place}: {text} in {said}");
        }
        let decimal = format!("{run:?}");
        for text in [base64(run, STANDARD), base64(run, URL_SAFE), decimal] {
            assert!(!said.contains(&text), "{place}: {text} in {said}");
        }
    }
}

/// That a call was refused, in one line that says something of use, and silent.
#[track_caller]
fn is_refused(outcome: &Outcome, place: &str, words: &[&str]) {
    is_silent(outcome, place);
    assert!(matches!(outcome.code, Some(1 | 2)), "{place}: {outcome:?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{place}: no {word:?} in {}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.lines().count(), 1, "{place}: {}", outcome.stderr);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in ASCII")
}

/// Files of keys with `text` in every place, for a table of these columns, with what is
/// right elsewhere. None of them can be imported.
fn files(text: &str, columns: &[&str], good: &[&str]) -> Vec<(String, String)> {
    let header = columns.join(",");
    let with = |cells: &[&str], at: usize, text: &str| {
        let mut cells = cells.to_vec();
        cells[at] = text;
        cells.join(",")
    };
    let quoted = text.replace('"', "");
    let mut files = vec![
        ("no header".to_owned(), format!("{text}\n")),
        (
            "no header but a row".to_owned(),
            format!("{}\n{}\n", with(good, 1, text), good.join(",")),
        ),
        ("one column too many".to_owned(), format!("{header}\n{},{text}\n", good.join(","))),
        (
            "half a quote".to_owned(),
            format!("{header}\n{}\n", with(good, 0, &format!("\"{quoted}"))),
        ),
        ("a bare string".to_owned(), format!("{header}\n\"{quoted}\"\n")),
        ("no object".to_owned(), format!("{{\"{quoted}\"}}\n")),
        ("an object that is cut off".to_owned(), format!("{{\"id\":\"{quoted}")),
        ("an unknown member".to_owned(), format!("{{\"id\":1,\"{quoted}\":5}}\n")),
        ("an array".to_owned(), format!("{{\"id\":[\"{quoted}\"]}}\n")),
        (
            "an array of objects".to_owned(),
            format!("[{{\"{quoted}\":5}},\n{{\"id\":\"{quoted}0\"}}]"),
        ),
        ("an escape".to_owned(), format!("{{\"id\":\"\\u0030{quoted}0\"}}")),
        ("a comment that ends".to_owned(), format!("# {text}\n{text}\n")),
        ("semicolons".to_owned(), format!("{}\n{text}0;{text}0\n", columns.join(";"))),
    ];
    for at in 0..columns.len() {
        let column = columns[at];
        // A key of the right length in hex is right in its own column.
        files.push((format!("header {column}"), format!("{}\n", with(columns, at, text))));
        let row = with(good, at, &format!("{text}0"));
        files.push((format!("column {column}"), format!("{header}\n{row}\n")));
        let member = |(place, name): (usize, &&str)| {
            let value = if place == at { format!("{quoted}0") } else { good[place].to_owned() };
            format!("\"{name}\":\"{value}\"")
        };
        let members: Vec<String> = columns.iter().enumerate().map(member).collect();
        files.push((format!("member {column}"), format!("{{{}}}\n", members.join(","))));
    }
    files
}

#[test]
fn no_part_of_a_key_in_a_file_is_in_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let beacons = folder.path().join("beacons");
    let lenient = folder.path().join("lenient");
    let good_key = "0123456789abcdef0123456789abcdef";
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "3", "--first-device", "77"]).done();
    let import = |input: &str| {
        let args = ["import-keys", "--scheme", "eddystone-eid", "-", "--beacons", text(&beacons)];
        run_with(command(args), input)
    };
    let provision = |input: Vec<u8>| {
        run_with(command(["provision", "--keys", "-", "--index", text(&fleet)]), input)
    };
    let (hint_key, dev_key) = hintdex_tests::devices::own_keys(5);
    let (hint_key, dev_key) = (hex::encode(hint_key), hex::encode(dev_key));
    for (at, given) in given().iter().enumerate() {
        let eddystone = ["id", "key", "k", "clock_offset_s"];
        for (place, file) in files(given, &eddystone, &["7", good_key, "10", "1762951424"]) {
            is_refused(
                &import(&file),
                &format!("{place}: {given}"),
                &["line", "nothing was imported"],
            );
        }
        // What is skipped on request is described in the same way: a share of the calls.
        let lenient = |(place, file): (String, String)| {
            let call = ["import-keys", "--scheme", "ble-rpa", "-", "--ignore-extra", "--skip-bad"];
            let folder = ["--beacons", text(&lenient)];
            is_silent(&run_with(command(call.into_iter().chain(folder)), file), &place);
        };
        let irks = ["id", "irk", "site"];
        let lists = files(given, &irks, &["7", good_key, "north"]);
        lists.into_iter().skip(at % 4).step_by(4).for_each(lenient);
        // The reader is the same, and opening a fleet takes its time: a share of them.
        let columns = ["id", "hint_key", "dev_key"];
        let files = files(given, &columns, &["5", &hint_key, &dev_key]);
        for (place, file) in files.into_iter().skip(at % 6).step_by(6) {
            let outcome = provision(file.into_bytes());
            is_refused(&outcome, &format!("{place}: {given}"), &["line", "nothing was imported"]);
        }
    }
    let key = secret();
    let record = [&[0, 0, 0, 9], &key[..16], &key[..]].concat();
    for (place, file) in [
        ("raw", key.clone()),
        ("raw behind the first byte of binary files", [b"\x89", &key[..]].concat()),
        ("a record that is cut off", [b"\x89hdxdev\n", &record[..40]].concat()),
        ("a key that is there twice", [b"\x89hdxdev\n", &record[..]].concat()),
        ("a device that is there", [b"\x89hdxdev\n\0\0\0\x4d", &key[..16], &key[..]].concat()),
    ] {
        is_refused(&provision(file), place, &[]);
    }
}

#[test]
fn no_part_of_a_key_on_the_command_line_is_in_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "3"]).done();
    let (fleet, new) = (text(&fleet), folder.path().join("new"));
    let new = text(&new);
    let key = secret();
    let is_a_hint = |given: &str| hex::decode(given).is_ok_and(|bytes| bytes.len() == 16);
    for given in &given() {
        let (option, short, assigned) =
            (format!("--{given}"), format!("-{given}"), format!("--master-key={given}"));
        let misspelled = format!("--masterkey={given}");
        let slash = format!("/{given}");
        let calls: [&[&str]; 17] = [
            &[given],
            &["provision", given],
            &["provision", "--index", new, "--devices", given],
            &["provision", "--index", new, "--devices", "3", "--first-device", given],
            &["provision", "--index", new, "--ids", given],
            &["provision", "--index", new, "--devices", "3", "--hint", given],
            &["provision", "--index", new, "--devices", "3", "--nonce", given],
            &["provision", "--index", new, "--devices", "3", "--lookahead", given],
            &["provision", "--index", new, "--devices", "3", "--memory", given],
            &["provision", "--index", new, "--devices", "3", "--master-key", given],
            &["provision", "--index", new, "--devices", "3", "--master-key", &slash],
            &["provision", "--index", new, "--devices", "3", &assigned],
            &["provision", "--index", new, "--devices", "3", &misspelled],
            &["provision", "--index", new, "--devices", "3", &option],
            &["provision", "--index", new, "--devices", "3", &short],
            &["decode", "--index", fleet, "--sync", given],
            &["provision", "--index", fleet, "--keys", given],
        ];
        for call in calls {
            is_refused(&run(call), &call.join(" "), &[]);
        }
        // What has the form of a hint is one: its answer names it.
        if !is_a_hint(given) {
            let words = ["HINT_HEX 1", "32 hex digits"];
            is_refused(&run(["resolve", "--index", fleet, given]), given, &words);
        }
    }
    // What is short or the name of an option is quoted, so that a mistake is seen.
    for (call, words) in [
        (["provision", "--index", fleet, "--devices", "many"], ["'many'", "--devices"]),
        (["provision", "--index", fleet, "--keys", "no.csv"], ["no.csv", "No such file"]),
        (["decode", "--index", fleet, "--frobnicate", "x"], ["'--frobnicate'", "unexpected"]),
        (["decode", "--index", fleet, "--sync", "maybe"], ["'maybe'", "--sync"]),
    ] {
        let outcome = run(call);
        let said = outcome.stderr.replace('"', "'");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    // A file that is there and holds something else is named, and not what is in it.
    let file = folder.path().join("the.key");
    for spelling in spellings(&key[..16]) {
        fs::write(&file, spelling).expect("a file can be written");
        let call = ["provision", "--index", new, "--devices", "3", "--master-key", text(&file)];
        is_refused(&run(call), "a file of half a key", &["the.key", "64 hex digits"]);
    }
}

/// Sources of secrets, and their variables, with a key where a name belongs.
#[test]
fn no_part_of_a_key_that_is_given_as_a_source_is_in_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, words) = (folder.path().join("fleet"), folder.path().join("words"));
    fs::write(&words, "some words").expect("it can be written");
    fs::set_permissions(&words, Permissions::from_mode(0o600)).expect("it is ours");
    run(["provision", "--index", text(&fleet), "--devices", "3", "--passphrase", text(&words)])
        .done();
    let (fleet, new) = (text(&fleet), folder.path().join("new"));
    let new = text(&new);
    // A share of the spellings: each costs some twenty processes.
    for given in given().iter().step_by(5) {
        let [credential, command_, shell] =
            ["credential:", "command:", "command:false "].map(|kind| format!("{kind}{given}"));
        let assigned = format!("--passphrase={given}");
        let calls: [&[&str]; 11] = [
            &["verify", fleet, "--passphrase", given],
            &["verify", fleet, "--passphrase", &credential],
            &["verify", fleet, "--passphrase", &command_],
            &["verify", fleet, "--passphrase", &shell],
            &["verify", fleet, &assigned],
            &["verify", fleet, "--master-key", &credential],
            &["verify", fleet, "--master-key", &shell],
            &["provision", "--index", new, "--devices", "3", "--protect", given],
            &["provision", "--index", new, "--devices", "3", "--derivation", given],
            &["key", given],
            &["key", "rewrap", "--index", fleet, "--to", given],
        ];
        for call in calls {
            is_refused(&run(call), &call.join(" "), &[]);
        }
        for to in [["passphrase", "--new-passphrase"], ["external", "--new-master-key"]] {
            for source in [given, &credential, &shell] {
                let open = ["--passphrase", text(&words)];
                let call =
                    [&["key", "rewrap", "--index", fleet, "--to"][..], &to, &[source], &open];
                is_refused(&run(call.concat()), given, &[]);
            }
        }
        for variable in ["HINTDEX_MASTER_KEY", "HINTDEX_PASSPHRASE"] {
            for source in [given, &credential, &shell] {
                let mut command = command(["verify", fleet]);
                command.env(variable, source);
                is_refused(&run_with(command, ""), variable, &[]);
            }
        }
    }
    // A file that holds half of a key, or too much, and a command that prints it.
    for spelling in given().iter().step_by(11) {
        let file = folder.path().join("the.key");
        fs::write(&file, format!("{spelling} {spelling}")).expect("it can be written");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        let cat = format!("command:cat {}", text(&file));
        for source in [text(&file), &cat] {
            is_refused(&run(["verify", fleet, "--passphrase", source]), spelling, &[]);
            is_refused(&run(["verify", fleet, "--master-key", source]), spelling, &[]);
        }
    }
    run(["verify", fleet, "--passphrase", text(&words)]).done();
}

/// What the child has in its memory, region by region, as far as it can be read.
fn memory_of(child: &Child) -> Vec<Vec<u8>> {
    let folder = format!("/proc/{}", child.id());
    let maps = fs::read_to_string(format!("{folder}/maps")).expect("a child can be looked at");
    let mut memory = fs::File::open(format!("{folder}/mem")).expect("a child can be looked at");
    let address = |text: &str| u64::from_str_radix(text, 16).expect("an address");
    let mut regions = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').expect("a range comes first");
        let (from, to) = range.split_once('-').expect("two addresses");
        let len_bytes = usize::try_from(address(to) - address(from)).expect("it fits");
        let mut region = vec![0; len_bytes];
        let read = memory.seek(SeekFrom::Start(address(from)));
        if read.and_then(|_| memory.read_exact(&mut region)).is_ok() {
            regions.push(region);
        }
    }
    regions
}

/// That the master key's digits are nowhere in the memory of a process that has `fleet`
/// open, nor the key itself.
fn has_no_master_key_in_memory(child: &Child, fleet: &Path) {
    let digits = fs::read_to_string(fleet.join("master.key")).expect("it is there");
    has_none_in_memory(child, fleet, &digits, &[]);
}

/// The same of a key with these digits, and of other texts.
fn has_none_in_memory(child: &Child, fleet: &Path, digits: &str, others: &[&str]) {
    let regions = memory_of(child);
    let has = |bytes: &[u8]| {
        let first = bytes[0];
        regions.iter().any(|region| {
            let mut starts = region.iter().enumerate().filter(|(_, byte)| **byte == first);
            starts.any(|(at, _)| region[at..].starts_with(bytes))
        })
    };
    // What is there is found.
    assert!(has(text(fleet).as_bytes()), "the memory was not read");
    let digits = digits.trim();
    for at in [0, 16, 32, 48] {
        let part = &digits[at..at + 16];
        assert!(!has(part.as_bytes()), "digits {at} and on of the master key are in memory");
        assert!(!has(part.to_uppercase().as_bytes()), "upper-case digits are in memory");
    }
    let key = hex::decode(digits).expect("64 digits");
    assert!(!has(&key), "the master key is in memory");
    for other in others {
        assert!(!has(other.as_bytes()), "{other:?} is in memory");
    }
}

/// From every source, with a wrapped key and without a key in the folder.
#[test]
fn no_secret_of_a_source_is_in_memory_once_a_fleet_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let (key, words) = (folder.path().join("the.key"), folder.path().join("words"));
    let digits = hex::encode(secret());
    let passphrase = "meadow lantern orbit";
    fs::write(&key, &digits).expect("it can be written");
    fs::write(&words, passphrase).expect("it can be written");
    let [from_file, from_words] = [text(&key), text(&words)];
    let [print_key, print_words] = [&key, &words].map(|path| format!("command:cat {}", text(path)));
    let provision = ["provision", "--index", text(&fleet), "--devices", "3"];
    run([&provision[..], &["--master-key", from_file, "--passphrase", from_words]].concat()).done();
    for access in [
        ["--passphrase", from_words],
        ["--passphrase", &print_words],
        ["--master-key", from_file],
        ["--master-key", &print_key],
        ["--master-key", "credential:the.key"],
    ] {
        let args = [&["decode", "--index", text(&fleet)][..], &access].concat();
        let mut child = waiting(command(args).env("CREDENTIALS_DIRECTORY", folder.path()));
        has_none_in_memory(&child, &fleet, &digits, &[passphrase]);
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success(), "{access:?}");
    }
}

/// Starts the program with its input open, and waits until it reads from it.
fn waiting_for_input(args: &[&str]) -> Child {
    waiting(&mut command(args))
}

fn waiting(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("the program starts");
    let folder = format!("/proc/{}", child.id());
    let file = |fd: u32| fs::read_link(format!("{folder}/fd/{fd}")).ok();
    // A thread reads from what the standard input is, or polls: read, poll and ppoll.
    let waits = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        let mut words = text.split(' ');
        let (call, first) = (words.next(), words.next().unwrap_or_default());
        let fd = u32::from_str_radix(first.trim_start_matches("0x"), 16).unwrap_or(u32::MAX);
        matches!(call, Some("7" | "271")) || (call == Some("0") && file(fd) == file(0))
    };
    let tasks = || fs::read_dir(format!("{folder}/task")).into_iter().flatten().flatten();
    while !tasks().any(waits) {
        assert!(child.try_wait().expect("it can be asked").is_none(), "it ended");
        std::thread::yield_now();
    }
    child
}

#[test]
fn the_master_key_is_not_in_memory_once_a_fleet_is_made_or_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let args = ["provision", "--index", text(&fleet), "--keys", "-"];
    // Made under a new key, then filled from standard input.
    let mut child = waiting_for_input(&args);
    has_no_master_key_in_memory(&child, &fleet);
    drop(child.stdin.take());
    assert!(!child.wait().expect("it ends").success(), "no devices came");
    provision_three(&fleet);
    let mut child = waiting_for_input(&["decode", "--index", text(&fleet)]);
    has_no_master_key_in_memory(&child, &fleet);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    // Made under a key that was given.
    let key = folder.path().join("the.key");
    fs::copy(fleet.join("master.key"), &key).expect("a file can be copied");
    let other = folder.path().join("other");
    let args = ["provision", "--index", text(&other), "--keys", "-", "--master-key", text(&key)];
    let mut child = waiting_for_input(&args);
    has_no_master_key_in_memory(&child, &other);
    drop(child.stdin.take());
    let _ = child.wait();
}

fn provision_three(fleet: &Path) {
    run(["provision", "--index", text(fleet), "--devices", "3"]).done();
}
