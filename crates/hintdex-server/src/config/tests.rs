//! Tests of the configuration.

use std::path::Path;
use std::time::Duration;

use hintdex::KeyAccess;

use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/examples/hintdex.toml");

fn defaults() -> Defaults {
    Defaults { access: KeyAccess::default(), memory_bytes: 256 << 20, threads: None }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc"), &defaults())
}

/// A station with a line more in its table, and lines behind it.
fn station(more: &str, behind: &str) -> String {
    format!(
        "[[station]]\nindex = [\"fleet\"]\n{more}\n[[station.in]]\nfrom = \"lines:-\"\n\
         [[station.out]]\nto = \"lines:-\"\n{behind}"
    )
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let why = parse(text).map(|_| ()).expect_err("a fault");
    for word in words {
        assert!(why.contains(word), "no {word:?} in {why:?}");
    }
    assert!(!why.contains('\n'), "{why}");
}

#[test]
fn the_example_is_a_configuration() {
    let config = parse(EXAMPLE).expect("the example is right");
    let names: Vec<&str> = config.stations.iter().map(|station| station.name.as_str()).collect();
    assert_eq!(names, ["meters", "trackers"]);
    let inputs: Vec<&str> =
        config.stations[0].inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["semtech-udp", "chirpstack", "sniffer"]);
    let outputs: Vec<&str> =
        config.stations[0].outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["mqtt", "webhook", "file"]);
    assert_eq!(config.stations[1].fixed.memory_bytes, 128 << 20);
}

#[test]
fn the_defaults_in_the_comments_of_the_example_are_those_of_the_program() {
    // Every key behind `# ` that has a value, without its comment.
    let is_key = |line: &&str| {
        line.strip_prefix("# ").is_some_and(|line| {
            let name = line.split(" = ").next().unwrap_or_default();
            line.contains(" = ")
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    };
    let is_of_station = |line: &&str| !line.contains("topics") && !line.contains("credential");
    let own = ["drain_s", "silent_h", "format", "level", "threads"];
    let keys = EXAMPLE.lines().filter(is_key).filter(is_of_station).filter_map(|line| {
        let line = line.strip_prefix("# ")?;
        (!own.iter().any(|name| line.starts_with(name))).then_some(line)
    });
    let keys: Vec<&str> = keys.collect();
    assert_eq!(keys.len(), 9, "{keys:?}");
    let written = parse(&station(&keys.join("\n"), "")).expect("they are right");
    let unwritten = parse(&station("", "")).expect("it is right");
    let shown = |config: &Config| {
        let station = &config.stations[0];
        let fixed = &station.fixed;
        format!(
            "{:?} {} {} {:?} {} {:?} {:?} {} {}",
            station.gather,
            station.near_ms,
            fixed.memory_bytes,
            fixed.durability,
            fixed.scan_core_share,
            fixed.repeat_window_s.unwrap_or(hintdex::StationOptions::REPEAT_WINDOW_S),
            fixed.batch,
            fixed.queue_packets,
            fixed.outbox_payloads
        )
    };
    assert_eq!(shown(&written), shown(&unwritten));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_key() {
    refused(&station("gather = 3", ""), &["line 3", "\"gather\"", "did you mean \"gather_ms\"?"]);
    refused(&station("", "tipic = \"x\""), &["line 8", "\"topic\""]);
    refused("wep = 5", &["line 1", "\"web\""]);
    refused(&station("zzzzzz = 1", ""), &["line 3", "known here: name, index"]);
    refused("[[station]\n", &["line 1"]);
    refused(&station("gather_ms = \"soon\"", ""), &["line 3", "expected a whole number"]);
    refused(
        &station("index = \"fleet\"", "").replacen("index = [\"fleet\"]\n", "", 1),
        &["line 2", "a list"],
    );
}

#[test]
fn a_wrong_value_is_named_with_its_place_and_the_remedy() {
    refused("", &["no station", "[[station]]"]);
    refused(&station("gather_ms = 60001", ""), &["station \"station\": gather_ms", "60000"]);
    refused(&station("memory = \"12Q\"", ""), &["memory", "12Q", "K, M or G"]);
    refused(&station("sync = \"all\"", ""), &["sync", "batch or none"]);
    refused(&station("scan_share = -1.0", ""), &["scan_share", "0.1"]);
    refused(&station("name = \"a b\"", ""), &["name", "letters"]);
    refused(&station("", "ack = true"), &["out 1: ack", "unix only"]);
    refused(&station("", "[[station.in]]\nfrom = \"lines:-\""), &["lines:-", "twice"]);
    refused(&station("", "[[station.in]]\nfrom = \"mqtt://h\"\n"), &["in 2: topics", "radio/+/up"]);
    refused(
        &station("", "[[station.in]]\nfrom = \"mqtt://h/t\"\npayload = \"json\"\n"),
        &["in 2: payload", "base64:/uplink/data"],
    );
    refused(
        &station("", "[[station.out]]\nto = \"mqtt://h\"\ntopic = \"a/#\"\n"),
        &["out 2: topic", "{device}"],
    );
    refused(
        &station("", "[[station.out]]\nto = \"mqtts://h\"\ncert = \"c.pem\"\n"),
        &["out 2: cert", "together"],
    );
    refused(
        &station("", "[[station.out]]\nto = \"file:a\"\nname = \"lines\"\n"),
        &["out: the name \"lines\" occurs twice"],
    );
    let two = station("", "").repeat(2).replacen("index", "name = \"b\"\nindex", 1);
    refused(&two, &["named twice"]);
}

#[test]
fn paths_are_taken_from_the_folder_of_the_file() {
    let config = parse(&station("", "[[station.out]]\nto = \"file:a/b\"\n")).expect("right");
    let station = &config.stations[0];
    assert_eq!(station.fixed.folders, [Path::new("/etc/fleet")]);
    let OutputKind::File { path, .. } = &station.outputs[1].kind else { panic!("a file") };
    assert_eq!(path, Path::new("/etc/a/b"));
    assert_eq!(config.drain, Duration::from_secs(10));
}

#[test]
fn a_command_line_is_a_configuration_of_one_station() {
    let call = CallConfig {
        folders: vec!["a".into(), "b".into()],
        inputs: vec!["semtech-udp://0.0.0.0:1700".into(), "lines:-".into()],
        outputs: vec!["mqtt://h/{fleet}/{eui}".into()],
        web: Some("127.0.0.1:0".into()),
    };
    let config = Config::of_call(&call, &defaults()).expect("right");
    assert_eq!(config.stations[0].fixed.folders, [Path::new("a"), Path::new("b")]);
    let OutputKind::Mqtt { topic, .. } = &config.stations[0].outputs[0].kind else {
        panic!("a broker")
    };
    assert_eq!(topic, "{fleet}/{eui}");
    let call = CallConfig { web: Some("8080".into()), ..call };
    let why = Config::of_call(&call, &defaults()).map(|_| ()).expect_err("no address");
    assert!(why.is_usage() && why.to_string().contains("HOST:PORT"), "{why}");
}
