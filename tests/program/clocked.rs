//! Fleets whose nonces tell time, through the program: packets with the times of their
//! reception, windows rolled and looked at, snapshots of a span, and stations that were off.

use std::path::{Path, PathBuf};

use hintdex_tests::devices::damaged;
use hintdex_tests::program::{inspect_at, run};
use hintdex_tests::{Devices, Outcome, Random, Said, decode, provision};
use hintdex_wire::HintScheme;
use tempfile::TempDir;

/// When the fleets here are provisioned: 2026-11-23T00:00:00Z.
const START: u64 = 1_795_392_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const DEVICES: u32 = 200;

/// A fleet that is provisioned at the start, with nonces of this kind.
fn fleet(nonce: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let (devices, now) = (DEVICES.to_string(), START.to_string());
    provision(&fleet, &["--devices", &devices, "--nonce", nonce, "--now", &now]).done();
    (folder, fleet)
}

/// A command for a fleet at a moment.
fn at(now_s: u64, command: &str, fleet: &Path, more: &[&str]) -> Outcome {
    let now = ["--now", &now_s.to_string()];
    let place = if command == "verify" { vec![] } else { vec!["--index"] };
    let place = place.into_iter().map(Path::new).chain([fleet]);
    let more = more.iter().chain(&now).map(Path::new);
    run([Path::new(command)].into_iter().chain(place).chain(more))
}

/// What the nonce of a packet is that was made when the device's clock showed `unix_s`.
const fn minute(unix_s: u64) -> u64 {
    unix_s / MINUTE
}

const fn day(unix_s: u64, counter: u64) -> u64 {
    (unix_s / DAY) << 32 | counter
}

/// Devices whose hints have room for days and counters.
fn wide() -> Devices {
    Devices::of_capture().hinting(HintScheme::Aes128Wide)
}

/// Verdict, device and source of each.
fn told(said: &[Said]) -> Vec<(&str, Option<u32>, &str)> {
    said.iter()
        .map(|said| {
            (said.verdict.as_str(), said.sender.map(|(device, _)| device), said.source.as_str())
        })
        .collect()
}

fn spans(fleet: &Path, now_s: u64) -> serde_json::Value {
    inspect_at(fleet, now_s).get("spans").expect("an index has windows").clone()
}

#[test]
fn packets_of_steps_are_judged_by_the_times_behind_them_through_several_windows() {
    let (_folder, fleet) = fleet("step:60");
    let devices = Devices::of_capture();
    let mut input = String::new();
    let mut send = |at_unix_s: u64, device, made_unix_s: u64| {
        input += &devices.line_at(at_unix_s, device, minute(made_unix_s), b"ok");
    };
    let late = START + 7 * HOUR;
    send(START + 5, 1, START);
    send(START + 6, 1, START);
    // One device an hour, far into windows that were not there when it was provisioned.
    (0..6).for_each(|hour| send(START + hour * HOUR + 2000, 10 + 1, START + hour * HOUR + 2000));
    // A step behind and a step ahead are in the allowance, two hours are not.
    send(late, 2, late - MINUTE);
    send(late, 3, late + MINUTE);
    send(late, 4, late + 2 * HOUR);
    send(late, 5, late - 2 * HOUR);
    send(late, DEVICES + 7, late);
    let forged = damaged(devices.packet(6, minute(late), b"ok"), 16 * 8 + 3);
    input += &format!("{} {late}\nno packet {late}\nabcd soon\n", hex::encode(forged));
    let outcome = decode(&fleet, &[], input).done();
    let said = outcome.verdicts();
    let index = |verdict, device| (verdict, Some(device), "index");
    let mut expected = vec![index("accepted", 1), index("replay", 1)];
    expected.extend([index("accepted", 11); 6]);
    expected.extend([index("accepted", 2), index("accepted", 3)]);
    // What is in no window is scanned for.
    expected.extend([("early", Some(4), "scan"), ("stale", Some(5), "scan")]);
    let nobody = ["unknown", "forged", "malformed", "malformed"].map(|verdict| (verdict, None, ""));
    expected.extend(nobody);
    assert_eq!(told(&said), expected);
    let times: Vec<_> = said.iter().map(|said| said.time.as_str()).collect();
    assert_eq!(
        times[..4],
        ["2026-11-23T00:00:00Z"; 2]
            .into_iter()
            .chain(["2026-11-23T00:33:00Z", "2026-11-23T01:33:00Z"])
            .collect::<Vec<_>>()
    );
    assert_eq!((times[10], times[12]), ("2026-11-23T09:00:00Z", ""));
    assert!(outcome.stderr.contains("1 stale, 1 early, 1 forged"), "{}", outcome.stderr);
    at(late, "verify", &fleet, &[]).done();
}

#[test]
fn two_packets_that_agree_move_a_device_and_its_past_stays_spent() {
    let (_folder, fleet) = fleet("step:60");
    let devices = Devices::of_capture();
    let line = |at_unix_s, made_unix_s| devices.line_at(at_unix_s, 1, minute(made_unix_s), b"ok");
    let now = START + HOUR;
    // Its battery is changed after the first packet: its clock is back at 1970.
    let input = [
        line(now, now),
        line(now + 1000, 600),
        line(now + 1600, 1200),
        line(now + 2200, 1800),
        line(now + 2300, now),
        line(now + 2400, 600),
    ];
    let outcome = decode(&fleet, &[], input.concat()).done();
    let said = outcome.verdicts();
    let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
    // The one that waited is behind the new life: it stays unused.
    assert_eq!(verdicts, ["accepted", "stale", "accepted", "accepted", "stale", "stale"]);
    // Moved by a scan, it is in the window from then on.
    assert_eq!((said[2].source.as_str(), said[3].source.as_str()), ("scan", "index"));
    assert_eq!(said[3].time, "1970-01-01T00:30:00Z");
    let moved = outcome.stderr.lines().find(|line| line.contains("device 1: moved to"));
    let moved = moved.expect("it is told");
    assert!(moved.contains("1970-01-01T00:20:00Z") && moved.contains("new battery"), "{moved}");
}

#[test]
fn windows_are_rolled_to_the_present_and_looking_at_them_changes_nothing() {
    let (_folder, fleet) = fleet("step:60");
    let hour = |from: u64| serde_json::json!([START + from * HOUR, START + (from + 1) * HOUR]);
    let now = START + HOUR / 2;
    assert_eq!(inspect_at(&fleet, now)["nonce"], "step:60");
    // A sixth of the window before its end, the next one is built.
    at(now, "roll", &fleet, &[]).done();
    assert_eq!(spans(&fleet, now), serde_json::json!([hour(0)]));
    at(START + HOUR - 600, "roll", &fleet, &[]).done();
    assert_eq!(spans(&fleet, now), serde_json::json!([hour(0), hour(1)]));
    // A late packet may be of the one before for a minute.
    at(START + HOUR + 59, "roll", &fleet, &[]).done();
    assert_eq!(spans(&fleet, now), serde_json::json!([hour(0), hour(1)]));
    at(START + HOUR + 60, "roll", &fleet, &[]).done();
    assert_eq!(spans(&fleet, now), serde_json::json!([hour(1)]));
    // Whoever looks does not roll, at whatever time.
    let hint = "00".repeat(16);
    for later in [START + HOUR + 100, START + 30 * DAY, START - 30 * DAY] {
        let before = inspect_at(&fleet, later);
        at(later, "verify", &fleet, &[]).done();
        at(later, "resolve", &fleet, &[&hint]).done();
        let after = inspect_at(&fleet, later);
        assert_eq!((&before["spans"], &before["epoch"]), (&after["spans"], &after["epoch"]));
        assert_eq!(after["spans"], serde_json::json!([hour(1)]), "at {later}");
    }
    let options = ["--span", "2h", "--lead", "0", "--before", "1s", "--after", "5m"];
    at(START + 5 * HOUR, "roll", &fleet, &options).done();
    let two_hours = serde_json::json!([[START + 4 * HOUR, START + 6 * HOUR]]);
    assert_eq!(spans(&fleet, now), two_hours);
    at(START + 6 * HOUR - 300, "roll", &fleet, &options).done();
    assert_eq!(spans(&fleet, now).as_array().map(Vec::len), Some(2), "at least --after ahead");
}

#[test]
fn every_hint_of_the_span_is_verified_and_fewer_as_it_passes() {
    let (_folder, fleet) = fleet("step:60");
    let hints = |now_s| {
        let said = at(now_s, "verify", &fleet, &[]).done().stdout;
        let words = said.split(", ").find_map(|part| part.strip_suffix(" live hints found"));
        words.and_then(|number| number.parse::<u64>().ok()).expect("it counts them")
    };
    at(START + 60, "roll", &fleet, &[]).done();
    let all = hints(START);
    assert_eq!(all, 60 * u64::from(DEVICES));
    assert!((1..all).contains(&hints(START + HOUR / 2)));
    assert_eq!(hints(START + HOUR), 0, "what has passed is not held against anybody");
}

#[test]
fn a_snapshot_of_hours_answers_for_them_and_the_index_for_what_is_behind() {
    let (folder, fleet) = fleet("step:60");
    let file = folder.path().join("hours.hdx");
    let (out, from, to) = (file.to_str().expect("text"), START, START + 3 * HOUR);
    let span = ["--from", &from.to_string(), "--to", &to.to_string()].map(String::from);
    let more = ["--out", out, &span[0], &span[1], &span[2], "2026-11-23T03:00:00Z"];
    let said = at(START, "rebuild", &fleet, &more).done().stdout;
    assert!(said.contains(&format!(": {} hints in", 180 * u64::from(DEVICES))), "{said}");
    let whose = ["--index", fleet.to_str().expect("text")];
    at(START, "verify", &file, &whose).done();
    at(to + HOUR, "verify", &file, &whose).refused(2, &["has passed", "rebuild"]);
    let looked = run([Path::new("inspect"), &file, Path::new("--json")]).done().stdout;
    let looked: serde_json::Value = serde_json::from_str(&looked).expect("JSON");
    assert_eq!((&looked["from_unix_s"], &looked["to_unix_s"]), (&from.into(), &to.into()));

    let devices = Devices::of_capture();
    let times = [0, 1800, 5000, 3 * HOUR - 1, 3 * HOUR + 300, 9 * HOUR].map(|s| START + s);
    let lines = (0..).zip(times).map(|(device, s)| devices.line_at(s, device, minute(s), b""));
    let now = START.to_string();
    let snapshot = ["--now", &now, "--snapshot", out];
    let said = decode(&fleet, &snapshot, lines.collect::<String>()).done().verdicts();
    let sources = ["snapshot", "snapshot", "snapshot", "snapshot", "index", "index"];
    let expected: Vec<_> =
        (0..).zip(sources).map(|(device, source)| ("accepted", Some(device), source)).collect();
    assert_eq!(told(&said), expected);
    // Its devices are in the file already: what was accepted stays so.
    let again = devices.line_at(START + 60, 0, minute(START), b"");
    assert_eq!(decode(&fleet, &snapshot, again).done().verdicts()[0].verdict, "replay");
}

#[test]
fn days_with_a_counter_are_judged_by_both() {
    let (_folder, fleet) = fleet("day-counter");
    let devices = wide();
    assert_eq!(inspect_at(&fleet, START)["nonce"], "day-counter");
    let mut input = String::new();
    let mut send = |at_unix_s: u64, device, nonce| {
        input += &devices.line_at(at_unix_s, device, nonce, b"ok");
    };
    let noon = START + DAY / 2;
    (0..40).for_each(|counter| send(noon + counter, 1, day(noon, counter)));
    send(noon + 50, 1, day(noon, 39));
    // The counter begins again every day.
    (1..4).for_each(|later| send(noon + later * DAY, 1, day(noon + later * DAY, 0)));
    let late = noon + 3 * DAY;
    send(late + 1, 1, day(noon, 40));
    // Half an hour before midnight a clock may show tomorrow (whose window a station that
    // leaps from one packet to the next has not built yet), at noon it may not.
    send(late + DAY / 2 - 1800, 2, day(late + DAY, 0));
    send(late + DAY, 3, day(late + 3 * DAY, 0));
    send(late + DAY, 4, day(late - 2 * DAY, 0));
    let said = decode(&fleet, &[], input).done().verdicts();
    let mut expected = vec!["accepted"; 40];
    expected.push("replay");
    expected.extend(["accepted"; 3]);
    expected.extend(["stale", "accepted", "early", "stale"]);
    let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
    assert_eq!(verdicts, expected);
    assert_eq!(
        (said[0].time.as_str(), said[43].time.as_str()),
        ("2026-11-23T00:00:00Z", "2026-11-26T00:00:00Z")
    );
    let by_index = said.iter().filter(|said| said.verdict == "accepted" && said.source == "index");
    assert!(by_index.count() >= 43);
    at(late + DAY, "verify", &fleet, &[]).done();
}

#[test]
fn a_station_that_was_off_for_a_month_finds_everybody_after_one_opening() {
    let mut random = Random::new(1);
    for (kind, devices) in [("step:60", Devices::of_capture()), ("day-counter", wide())] {
        let (_folder, fleet) = fleet(kind);
        let now = START + 30 * DAY + 5000;
        // What 150 millionths are in a month.
        let drift_s = 30 * DAY * 150 / 1_000_000;
        let line = |device, random: &mut Random| {
            let shown = now - drift_s + random.below(2 * drift_s);
            let nonce = if kind == "step:60" { minute(shown) } else { day(shown, 3) };
            devices.line_at(now, device, nonce, b"back")
        };
        let input: String = (0..DEVICES).map(|device| line(device, &mut random)).collect();
        let said = decode(&fleet, &[], input).done().verdicts();
        let expected: Vec<_> =
            (0..DEVICES).map(|device| ("accepted", Some(device), "index")).collect();
        assert_eq!(told(&said), expected, "{kind}");
        at(now, "verify", &fleet, &[]).done();
    }
}

#[test]
fn calls_that_are_at_odds_with_time_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = folder.path().join("none");
    let make = |more: &[&str]| provision(&none, &[&["--devices", "5"], more].concat());
    make(&["--nonce", "step:0"]).refused(2, &["step:0", "1 to 86400"]);
    make(&["--nonce", "step:86401"]).refused(2, &["step:86401", "1 to 86400"]);
    make(&["--nonce", "step"]).refused(2, &["--nonce", "step:SECONDS"]);
    make(&["--nonce", "day-counter", "--hint", "speck64"]).refused(2, &["no room", "aes128"]);
    make(&["--nonce", "step:60", "--now", "noon"]).refused(2, &["noon", "no time"]);
    make(&["--nonce", "step:60", "--span", "1w"]).refused(2, &["--span", "h or d"]);
    assert!(!none.exists());

    let counters = folder.path().join("counters");
    provision(&counters, &["--devices", "5"]).done();
    let (_folder, fleet) = fleet("step:60");
    provision(&fleet, &["--devices", "5", "--first-device", "900", "--nonce", "step:30"])
        .refused(2, &["step:60", "leave these options out"]);
    let out = folder.path().join("a.hdx");
    let rebuild = |fleet: &Path, more: &[&str]| {
        let out = ["--out", out.to_str().expect("text")];
        at(START, "rebuild", fleet, &[&out, more].concat())
    };
    let now = START.to_string();
    rebuild(&fleet, &["--from", &now]).refused(2, &["--to"]);
    rebuild(&fleet, &["--to", &now]).refused(2, &["--from"]);
    rebuild(&fleet, &["--from", &now, "--to", &now]).refused(2, &["--from", "before --to"]);
    rebuild(&fleet, &["--from", &now, "--to", "60"]).refused(2, &["--from", "before --to"]);
    rebuild(&counters, &["--from", "60", "--to", &now]).refused(2, &["no time", "--horizon"]);
    assert!(!out.exists());
}
