//! README's section "Run a station": its two commands, as they stand there, and the files of the package.

use std::fs;
use std::path::Path;
use std::process::Command;

use hintdex_tests::serving::{Forwarder, Service, base64, rxpk};
use hintdex_tests::{Capture, Devices, Outcome, run};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of the commands in the section.
fn commands() -> Vec<Vec<String>> {
    let readme = file("README.md");
    let (_, section) = readme.split_once("## Run a station").expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let lines = section.lines().filter(|line| line.starts_with("hintdex "));
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
    lines.map(words).collect()
}

#[test]
fn two_commands_run_a_station() {
    let commands = commands();
    let [provision, serve] = commands.as_slice() else { panic!("not two commands: {commands:?}") };
    let folder = tempfile::tempdir().expect("a folder");
    // The paths and ports of the test, and a key whose devices can send.
    let in_folder = |word: &String| match word.as_str() {
        "fleet" => folder.path().join("fleet").to_string_lossy().into_owned(),
        "file:payloads.jsonl" => format!("file:{}", folder.path().join("payloads.jsonl").display()),
        word => {
            word.replace("0.0.0.0:1700", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0")
        }
    };
    let mut provision: Vec<String> = provision.iter().map(in_folder).collect();
    let key = Capture::master_key_file();
    provision.extend(["--master-key".to_owned(), key.to_string_lossy().into_owned()]);
    let done: Outcome = run(&provision).done();
    assert!(done.stdout.contains("devices 0 to 19999"), "{}", done.stdout);
    let words: Vec<String> = serve.iter().skip(1).map(in_folder).collect();
    let mut service = Service::start(&words);
    let mut gateway = Forwarder::new(service.address_of("semtech-udp"), 7);
    gateway.push(&rxpk(&base64(&Devices::of_capture().packet(19_999, 0, b"21.5 C")), -80, ""));
    service.wait_for_status("a payload", |status| status["stations"][0]["accepted"] == 1);
    service.stop();
    let payloads = fs::read_to_string(folder.path().join("payloads.jsonl")).expect("payloads");
    let event: serde_json::Value = serde_json::from_str(&payloads).expect("one payload");
    assert_eq!((&event["device"], &event["payload"]), (&19_999.into(), &"32312e352043".into()));
    assert_eq!(event["receptions"][0]["gateway"], gateway.eui());
}

/// The configuration of the package starts the service once the fleet is there.
#[test]
fn the_configuration_of_the_package_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("a folder");
    let config = folder.path().join("hintdex.toml");
    let text = file("packaging/hintdex.toml")
        .replace("/var/lib/hintdex", &state.to_string_lossy())
        .replace("0.0.0.0:1700", "127.0.0.1:0")
        .replace("127.0.0.1:8080", "127.0.0.1:0");
    hintdex_tests::serving::write(&config, &text);
    hintdex_tests::provision(&state.join("fleet"), &["--devices", "10"]).done();
    let mut service = Service::configured(&config);
    service.wait_for("the page is at");
    service.stop();
}

/// The unit as systemd reads it.
#[test]
fn the_unit_of_the_package_is_one_that_systemd_knows() {
    let unit = file("packaging/hintdex.service");
    for line in ["NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "Type=notify"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hintdex.service");
    // The program and the pages need not be installed.
    let unit =
        unit.replace("/usr/bin/hintdex", "/bin/true").replace("man:", "https://hintdex.invalid/");
    hintdex_tests::serving::write(&path, &unit);
    let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output();
    let Ok(verified) = verified else {
        eprintln!("systemd-analyze is not here; the unit was not verified");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    let about: Vec<_> = said.lines().filter(|line| line.contains("hintdex.service")).collect();
    assert!(verified.status.success() && about.is_empty(), "{said}");
}
