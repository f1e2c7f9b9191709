//! Fleets whose nonces tell time, through the program: packets with the times of their
//! reception, windows rolled and looked at, snapshots of a span, and stations that were off.

use std::path::{Path, PathBuf};

use hintdex_tests::devices::damaged;
use hintdex_tests::files::copy_folder;
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

/// Verdict and device of each, and how the device was found.
fn told(said: &[Said]) -> Vec<(&str, Option<u32>, &str)> {
    said.iter()
        .map(|said| (said.verdict.as_str(), said.sender.map(|(device, _)| device), said.found_by()))
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
    // One device, far into windows that were not there when it was provisioned: the clock
    // follows authentic packets, and the windows are there before the packets are.
    let minutes = (START + 500..START + 6 * HOUR).step_by(500);
    let followed = minutes.clone().count();
    minutes.for_each(|at| send(at, 10 + 1, at));
    // A step behind and a step ahead are in the allowance, two hours are not. Behind a gap
    // the third packet that was made about then brings the clock there.
    send(late, 2, late - MINUTE);
    send(late, 3, late + MINUTE);
    send(late, 9, late);
    send(late, 4, late + 2 * HOUR);
    send(late, 5, late - 2 * HOUR);
    send(late, DEVICES + 7, late);
    let forged = damaged(devices.packet(6, minute(late), b"ok"), 16 * 8 + 3);
    input += &format!("{} {late}\nno packet {late}\nabcd soon\n", hex::encode(forged));
    input += &devices.line_at(late + 100, 8, minute(late + 100), b"ok");
    let now = START.to_string();
    let outcome = decode(&fleet, &["--now", &now], input).done();
    let said = outcome.verdicts();
    let by = |source, verdict, device| (verdict, Some(device), source);
    let mut expected = vec![by("lookup", "accepted", 1), by("lookup", "replay", 1)];
    expected.extend(vec![by("lookup", "accepted", 11); followed]);
    // What is in no window is scanned for.
    expected.extend([by("lookup", "accepted", 2), by("scan", "accepted", 3)]);
    expected.push(by("scan", "accepted", 9));
    expected.extend([by("scan", "early", 4), by("scan", "stale", 5)]);
    let nobody = ["unknown", "forged", "malformed", "malformed"].map(|verdict| (verdict, None, ""));
    expected.extend(nobody);
    expected.push(by("lookup", "accepted", 8));
    assert_eq!(told(&said), expected);
    let times: Vec<_> = said.iter().map(|said| said.time.as_str()).collect();
    assert_eq!(
        times[..4],
        ["2026-11-23T00:00:00Z"; 2]
            .into_iter()
            .chain(["2026-11-23T00:08:00Z", "2026-11-23T00:16:00Z"])
            .collect::<Vec<_>>()
    );
    let early = 2 + followed + 3;
    assert_eq!((times[early], times[early + 2]), ("2026-11-23T09:00:00Z", ""));
    assert!(outcome.stderr.contains("1 stale, 1 early, 1 forged"), "{}", outcome.stderr);
    at(late, "verify", &fleet, &[]).done();
}

/// Whoever records packets and has no key may send them again with any time behind them.
#[test]
fn recorded_packets_move_no_clock_whatever_time_stands_behind_them() {
    let (_folder, fleet) = fleet("step:60");
    let devices = Devices::of_capture();
    let (now, year) = (START + HOUR, 365 * 24 * HOUR);
    let packets = |at_unix_s| {
        let line = |device| devices.line_at(at_unix_s, device, minute(now), b"once");
        (20..40).map(line).collect::<String>()
    };
    let at_now = ["--now", &now.to_string()];
    decode(&fleet, &at_now, packets(now)).done();
    let before = spans(&fleet, now);
    let again = decode(&fleet, &at_now, packets(now + year).repeat(20)).done();
    assert!(again.verdicts().iter().all(|said| said.verdict != "accepted"));
    assert!(!again.stderr.contains("windows go by the packets"), "{}", again.stderr);
    assert_eq!(spans(&fleet, now), before);
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
    let outcome = decode(&fleet, &["--now", &now.to_string()], input.concat()).done();
    let said = outcome.verdicts();
    let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
    // The one that waited is behind the new session: it stays unused.
    assert_eq!(verdicts, ["accepted", "stale", "accepted", "accepted", "stale", "stale"]);
    // Moved by a scan, it is in the window from then on.
    assert_eq!((said[2].found_by(), said[3].found_by()), ("scan", "lookup"));
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
    let options = ["--span", "2h", "--window-lead", "0", "--before", "1s", "--after", "5m"];
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
    let all = 60 * u64::from(DEVICES);
    for form in [&[][..], &["--full"]] {
        at(START + 60, "roll", &fleet, form).done();
        assert_eq!(hints(START), all);
        assert!((1..all).contains(&hints(START + HOUR / 2)));
        assert_eq!(hints(START + HOUR), 0, "what has passed is not held against anybody");
    }
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
    let times = [0, 1800, 3500, 5000, 8000, 3 * HOUR - 1, 3 * HOUR + 300, 9 * HOUR];
    let times = times.map(|s| START + s);
    let lines = (0..).zip(times).map(|(device, s)| devices.line_at(s, device, minute(s), b""));
    let now = START.to_string();
    let snapshot = ["--now", &now, "--snapshot", out];
    let said = decode(&fleet, &snapshot, lines.collect::<String>()).done().verdicts();
    // One packet behind a gap is scanned for: the clock is not there yet, nor the window.
    let sources = ["lookup"; 7].into_iter().chain(["scan"]);
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
    // The counter begins again every day. Others are heard meanwhile, and the clock is
    // brought from day to day by them.
    for later in 0..3 {
        let today = noon + later * DAY;
        (3..24)
            .step_by(3)
            .map(|hour| today + hour * HOUR)
            .for_each(|at| send(at, 9, day(at, at % DAY / HOUR)));
        send(today + DAY, 1, day(today + DAY, 0));
    }
    let late = noon + 3 * DAY;
    send(late + 1, 1, day(noon, 40));
    // Half an hour before midnight a clock may show tomorrow (whose window a station that
    // leaps from one packet to the next has not built yet), at noon it may not.
    send(late + DAY / 2 - 1800, 2, day(late + DAY, 0));
    send(late + DAY, 3, day(late + 3 * DAY, 0));
    send(late + DAY, 4, day(late - 2 * DAY, 0));
    let now = noon.to_string();
    let said = decode(&fleet, &["--now", &now], input).done().verdicts();
    let mut expected = vec!["accepted"; 40];
    expected.push("replay");
    expected.extend(["accepted"; 3 * 8]);
    expected.extend(["stale", "accepted", "early", "stale"]);
    let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
    assert_eq!(verdicts, expected);
    assert_eq!(
        (said[0].time.as_str(), said[41 + 23].time.as_str()),
        ("2026-11-23T00:00:00Z", "2026-11-26T00:00:00Z")
    );
    let by_lookup =
        said.iter().filter(|said| said.verdict == "accepted" && said.found_by() == "lookup");
    assert!(by_lookup.count() >= 40 + 3 * 8);
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
        let said = decode(&fleet, &["--now", &now.to_string()], input).done().verdicts();
        let expected: Vec<_> =
            (0..DEVICES).map(|device| ("accepted", Some(device), "lookup")).collect();
        assert_eq!(told(&said), expected, "{kind}");
        at(now, "verify", &fleet, &[]).done();
    }
}

#[test]
fn a_recording_of_another_time_is_scanned_for_until_its_first_packets_agree() {
    for (kind, devices) in [("step:60", Devices::of_capture()), ("day-counter", wide())] {
        let (_folder, fleet) = fleet(kind);
        let then = START + 30 * DAY + 5000;
        let nonce = if kind == "step:60" { minute(then) } else { day(then, 3) };
        let line = |device| devices.line_at(then, device, nonce, b"back");
        let input: String = (0..DEVICES).map(line).collect();
        for now in [START, then + 300 * DAY] {
            let (copy, verdict) = (tempfile::tempdir().expect("a folder"), "accepted");
            let original = &fleet;
            let fleet = copy.path().join("fleet");
            copy_folder(original, &fleet);
            let outcome = decode(&fleet, &["--now", &now.to_string()], input.clone()).done();
            // One pass of a scan finds so many.
            let source = |device| if device < 32 { "scan" } else { "lookup" };
            let expected: Vec<_> =
                (0..DEVICES).map(|device| (verdict, Some(device), source(device))).collect();
            assert_eq!(told(&outcome.verdicts()), expected, "{kind} at {now}");
            let way = if now < then { "30 days ahead of" } else { "300 days behind" };
            assert!(outcome.stderr.contains(way), "{}", outcome.stderr);
            at(then, "verify", &fleet, &[]).done();
        }
    }
}

/// What anybody can send who has no key moves nothing; nor does one receiver that is wrong.
#[test]
fn only_authentic_packets_that_agree_move_the_clock() {
    let (_folder, fleet) = fleet("step:60");
    let (devices, now) = (Devices::of_capture(), START + 1800);
    at(now, "roll", &fleet, &[]).done();
    let before = spans(&fleet, now);
    let hour_s = serde_json::json!([[START, START + HOUR]]);
    assert_eq!(before, hour_s);
    let mut random = Random::new(12);
    for far in [now + 366 * DAY, now + 2 * HOUR, now - 2 * HOUR, 0, 253_402_207_200] {
        let mut input = String::new();
        for device in 0..10 {
            let forged = damaged(devices.packet(device, minute(far), b"ok"), 16 * 8 + 3);
            let noise = random.bytes(40);
            input += &format!("00 {far}\n{} {far}\n", hex::encode(forged));
            input += &format!("{} {far}\n{}\n", hex::encode(&noise), hex::encode(&noise[..30]));
            input += &devices.line_at(far, DEVICES + device, minute(far), b"ok");
        }
        // Two authentic ones, and then one of the present.
        input += &devices.line_at(far, 150, minute(far), b"ok");
        input += &devices.line_at(far, 151, minute(far), b"ok");
        input += &devices.line_at(now, 7, minute(now), b"ok");
        let said = decode(&fleet, &["--now", &now.to_string()], input).done().verdicts();
        let last = said.last().expect("verdicts");
        assert_eq!((last.sender.map(|(device, _)| device), last.found_by()), (Some(7), "lookup"));
        assert_eq!(spans(&fleet, now), before, "{far}");
    }
    // Three that agree do.
    let then = now + 366 * DAY;
    let lines = (20..23).map(|device| devices.line_at(then, device, minute(then), b"ok"));
    decode(&fleet, &["--now", &now.to_string()], lines.collect::<String>()).done();
    let moved = serde_json::json!([[then - then % HOUR, then - then % HOUR + HOUR]]);
    assert_eq!(spans(&fleet, then), moved);
}

#[test]
fn a_fleet_that_was_made_while_the_clock_was_ahead_accepts_packets_of_today() {
    for (kind, devices) in [("step:60", Devices::of_capture()), ("day-counter", wide())] {
        let folder = tempfile::tempdir().expect("a folder");
        let fleet = folder.path().join("fleet");
        let (count, ahead) = (DEVICES.to_string(), "2030-01-01T00:00:00Z");
        provision(&fleet, &["--devices", &count, "--nonce", kind, "--now", ahead]).done();
        let nonce = |at| if kind == "step:60" { minute(at) } else { day(at, at % DAY / 600) };
        for now in [START, START + 600, START + 5 * HOUR] {
            let line = |device| devices.line(device, nonce(now), b"ok");
            let input: String = (0..DEVICES).map(line).collect();
            let outcome = decode(&fleet, &["--now", &now.to_string()], input.clone()).done();
            let said = outcome.verdicts();
            let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
            assert_eq!(verdicts, vec!["accepted"; 200], "{kind} at {now}");
            let warning = outcome.stderr.lines().next().expect("a warning");
            assert!(warning.contains(ahead) && warning.contains("one of the two"), "{warning}");
            let again = decode(&fleet, &["--now", &now.to_string()], input).done().verdicts();
            assert!(again.iter().all(|said| said.verdict == "replay"), "{kind} at {now}");
            at(now, "verify", &fleet, &[]).done();
        }
    }
}

#[test]
fn a_station_that_starts_in_1970_decodes_packets_by_their_times() {
    for (kind, devices) in [("step:60", Devices::of_capture()), ("day-counter", wide())] {
        let (_folder, fleet) = fleet(kind);
        let nonce = |at| if kind == "step:60" { minute(at) } else { day(at, 0) };
        let then = START + 400 * DAY;
        let stamped = |device| devices.line_at(then, device, nonce(then), b"ok");
        let mut input: String = (0..DEVICES - 1).map(stamped).collect();
        // By now authentic packets have told the time.
        input += &devices.line(DEVICES - 1, nonce(then), b"ok");
        let outcome = decode(&fleet, &["--now", "100"], input).done();
        let said = outcome.verdicts();
        let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
        assert_eq!(verdicts, vec!["accepted"; 200], "{kind}");
        assert!(said[32..].iter().all(|said| said.found_by() == "lookup"), "{kind}");
        let warning = outcome.stderr.lines().next().expect("a warning");
        assert!(warning.contains("the system clock was never set"), "{warning}");
        // A receiver whose clock was never set is no witness, and its packets are of now.
        let then = then + 2 * DAY;
        let line = devices.line_at(77, 3, nonce(then), b"ok");
        let said = decode(&fleet, &["--now", &then.to_string()], line).done().verdicts();
        assert_eq!(told(&said), [("accepted", Some(3), "lookup")], "{kind}");
    }
}
