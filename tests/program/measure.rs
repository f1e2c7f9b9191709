//! The report: its figures against files and processes seen from outside, and its
//! page in a real browser.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hintdex_tests::program::{self, run};
use serde_json::Value;

const DEVICES: &str = "5000";
const HINTS: u64 = 5000 * 8;

/// A report of a small fleet beside a peer whose name wants escaping.
fn report(folder: &Path) -> (PathBuf, Value) {
    let (out, peers) = (folder.join("report"), folder.join("peers.json"));
    let peer = r#"{"rows": [{"name": "a <row> a hint", "kind": "store", "confirmed": true,
        "bytes_per_hint": 40.5, "ns_per_lookup": {"min": 900, "median": 1000, "max": 1200}},
        {"name": "live-index", "kind": "ours", "confirmed": true, "bytes_per_hint": 4,
        "ns_per_lookup": {"min": 900, "median": 1000, "max": 1200}}]}"#;
    fs::write(&peers, peer).expect("written");
    let size = ["measure", "--devices", DEVICES, "--lookahead", "8", "--growth", "2000,5000"];
    let more = ["--quick", "--runs", "2", "--peers", peers.to_str().expect("text")];
    let to = ["--out", out.to_str().expect("text")];
    let said = run(size.into_iter().chain(more).chain(to)).done().stdout;
    assert!(said.contains("| live index |") && said.contains("index.html"), "{said}");
    let results = fs::read(out.join("results.json")).expect("results");
    let left: Vec<_> = fs::read_dir(&out).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 2, "fleets are removed: {left:?}");
    (out, serde_json::from_slice(&results).expect("JSON"))
}

fn list<'v>(report: &'v Value, name: &str) -> &'v Vec<Value> {
    report[name].as_array().expect(name)
}

#[test]
fn every_form_is_in_the_results() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, report) = report(folder.path());
    for kind in ["scan", "live", "ribbon", "dense", "sorted", "chain"] {
        assert!(list(&report, "forms").iter().any(|form| form["kind"] == kind), "{kind}");
    }
    for form in list(&report, "forms") {
        let spread = &form["ns_per_lookup"];
        let [min, median, max] = ["min", "median", "max"].map(|name| spread[name].as_f64());
        assert!(min > Some(0.0) && min <= median && median <= max, "{form}");
        let sections = form["sections"].as_object().expect("sections").values();
        let sum: u64 = sections.map(|bytes| bytes.as_u64().expect("bytes")).sum();
        assert_eq!(Some(sum), form["bytes"].as_u64(), "sections add up: {form}");
        // The page says so: nothing but a chain lies left of the bound.
        let is_chain = form["kind"] == "chain";
        let is_left = form["bits_per_hint"].as_f64() < form["bound_bits_per_hint"].as_f64();
        assert_eq!((is_left, form["evaluations"] != 0), (is_chain, is_chain), "{form}");
        if form["kind"] != "scan" {
            assert_eq!(form["hints"], HINTS);
            assert!(form["cold"]["read_bytes"]["min"].as_f64() > Some(0.0), "not cold: {form}");
        }
    }
    assert_eq!(list(&report, "growth").len(), 2);
    assert_eq!(report["peers"][0]["name"], "a <row> a hint");
}

/// What a process says of its memory is what the system says of it from outside, and
/// what it says of bytes is what the files are long.
#[test]
fn figures_are_those_of_an_observer_outside() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("fleet.hdx"));
    let (index, snapshot) = (fleet.to_str().expect("text"), file.to_str().expect("text"));
    let size = ["--devices", "50000", "--lookahead", "8"];
    run(["provision", "--full", "--index", index].into_iter().chain(size)).done();
    run(["rebuild", "--index", index, "--horizon", "8", "--out", snapshot]).done();
    for what in ["live", "snapshot", "scan", "station"] {
        let size = ["--devices", "50000", "--lookahead", "8", "--each-ms", "20"];
        let take = ["take", what, "--index", index, "--snapshot", snapshot];
        let mut child = program::command(take.into_iter().chain(size));
        let mut child =
            child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let taken: Value = serde_json::from_str(&line).expect("JSON");
        // It waits now, as it was when it looked.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("status");
        let outside = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<f64>().expect("kB") * 1024.0
        };
        for (name, figure) in [("VmRSS", "resident_bytes"), ("VmHWM", "peak_resident_bytes")] {
            let inside = taken["memory"][figure].as_f64().expect(figure);
            let off = inside / outside(name) - 1.0;
            assert!(off.abs() < 0.02, "{what}, {name}: {inside} inside, {} outside", outside(name));
        }
        let len = |path: &Path| fs::metadata(path).expect("a file").len();
        let bytes = taken["bytes"].as_u64().expect("bytes");
        if what == "snapshot" {
            assert_eq!(bytes, len(&file));
            let memory = &taken["memory"];
            assert!(memory["mapped_bytes"].as_u64() >= Some(len(&file)), "{memory}");
            assert!(memory["mapped_resident_bytes"].as_u64() <= memory["mapped_bytes"].as_u64());
        } else if what == "live" {
            let files = fs::read_dir(fleet.join("index")).expect("a folder").flatten();
            let files: u64 = files.map(|file| len(&file.path())).sum();
            let off = bytes as f64 / files as f64 - 1.0;
            assert!(off.abs() < 0.02, "{bytes} by the program, {files} by the files");
        }
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    }
}

/// A page around the report, as narrow as a phone, that says what it finds.
const FRAME: &str = r#"<!doctype html><meta charset="utf-8"><body><script>
const frame = document.createElement('iframe');
frame.style = 'width:390px;height:844px;border:0';
frame.srcdoc = REPORT;
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const count = (what) => page.querySelectorAll(what).length;
  const found = {
    width: page.documentElement.scrollWidth,
    frontier: count('#frontier circle[data-bits]'),
    batch: count('#frontier-batch circle[data-bits]'),
    peers: count('#peers circle[data-bytes]'),
    growth: count('#growth-bytes circle[data-devices]'),
    rows: count('#table-forms tr'),
    requests: view.performance.getEntriesByType('resource').length,
    scripts: count('script'),
    paper: view.getComputedStyle(page.body).backgroundColor,
    ink: view.getComputedStyle(page.querySelector('svg text')).fill,
    least_text_px: Math.min(...[...page.querySelectorAll('svg text')]
      .map(text => text.getBoundingClientRect().height).filter(height => height > 0)),
  };
  const said = document.createElement('pre');
  said.id = 'found';
  said.textContent = 'FOUND ' + JSON.stringify(found) + ' END';
  document.body.replaceChildren(said);
};
document.body.append(frame);
</script>"#;

/// What a browser finds in the report; `dark` if its user prefers that.
fn browse(folder: &Path, page: &str, dark: bool) -> Value {
    // As a string of JavaScript: no end of a script may stand in it.
    let quoted = serde_json::to_string(page).expect("JSON").replace("</", "<\\/");
    let frame = folder.join("frame.html");
    fs::write(&frame, FRAME.replace("REPORT", &quoted)).expect("written");
    let mut browser = Command::new("chromium");
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
    ]);
    browser.args(["--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom"]);
    browser.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    browser.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    let output = browser.arg(format!("file://{}", frame.display())).output();
    let output = output.expect("chromium; install it with: apt-get install chromium");
    let said = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "the page complains: {complaints:?}");
    let dom = String::from_utf8(output.stdout).expect("text");
    let found = dom.split_once("FOUND ").and_then(|(_, rest)| rest.split_once(" END"));
    let (found, _) = found.unwrap_or_else(|| panic!("the page was not loaded: {dom}\n{said}"));
    serde_json::from_str(found).expect("JSON")
}

/// How bright a colour of CSS is, of 255.
fn brightness(colour: &Value) -> u32 {
    let text = colour.as_str().expect("a colour");
    let numbers = text.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
    numbers.map(|number| number.parse::<u32>().expect(text)).sum::<u32>() / 3
}

#[test]
fn the_page_is_whole_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, report) = report(folder.path());
    let page = fs::read_to_string(out.join("index.html")).expect("a page");
    for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
        let named = page.matches(outside).count();
        // An SVG names its language by an address that nobody asks for.
        let names = page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count();
        assert_eq!(named, if outside == "http://" { names } else { 0 }, "{outside}");
    }
    let (forms, stored) = (list(&report, "forms"), |form: &&Value| form["bytes"] != 0);
    let light = browse(folder.path(), &page, false);
    for figure in ["frontier", "batch"] {
        assert_eq!(light[figure], forms.len(), "{light}");
    }
    assert_eq!(light["peers"], forms.iter().filter(stored).count() + 1, "{light}");
    assert_eq!(light["growth"], 2 * list(&report, "growth").len(), "{light}");
    assert_eq!(light["rows"], forms.len() + 1, "{light}");
    assert_eq!((&light["requests"], &light["scripts"]), (&0.into(), &0.into()), "{light}");
    assert!(light["width"].as_u64() <= Some(390), "it scrolls sideways: {light}");
    assert!(light["least_text_px"].as_f64() >= Some(9.0), "too small to read: {light}");
    let dark = browse(folder.path(), &page, true);
    assert!(brightness(&light["paper"]) > 200 && brightness(&light["ink"]) < 80, "{light}");
    assert!(brightness(&dark["paper"]) < 60 && brightness(&dark["ink"]) > 180, "{dark}");
}

#[test]
fn bad_calls_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    run(["measure", "--devices", "10"]).refused(2, &["--devices"]);
    run(["measure", "--hint", "aes128-trunc:4"]).refused(2, &["reversible hints"]);
    let missing = folder.path().join("peers.json");
    let peers = ["measure", "--peers", missing.to_str().expect("text")];
    run(peers).refused(1, &["peers.json", "reading"]);
    fs::write(&missing, "{}").expect("written");
    run(peers).refused(1, &["peers.json"]);
}
