//! `decode` killed with SIGKILL at random moments: each accepted payload is written, by the call that
//! accepted its packet or by the next one.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex_tests::devices::payload;
use hintdex_tests::killing::{Kill, Senders, Sent, decode_until_killed, lines};
use hintdex_tests::program::Said;
use hintdex_tests::{Devices, Random, Running, decode, provision};
use tempfile::TempDir;

const DEVICES: usize = 200;
const PACKETS_A_RUN: usize = 1200;

fn fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", "4"]).done();
    (folder, fleet)
}

/// What a reader of the output knows of packets, over all calls.
#[derive(Default)]
struct Reader {
    /// By packet, how often its payload was written: first, and again.
    payloads: BTreeMap<(u32, u64), (u32, u32)>,
    again: u64,
}

impl Reader {
    /// Reads the lines of a call.
    ///
    /// # Errors
    /// A payload that was lost, written wrongly, or written twice without a word.
    fn read(&mut self, said: &[Said]) -> Result<(), String> {
        for said in said {
            let Some(packet @ (device, nonce)) = said.sender else { continue };
            match said.verdict.as_str() {
                "accepted" => {
                    if said.payload != hex::encode(payload(device, nonce)) {
                        return Err(format!("{packet:?} has the payload {}", said.payload));
                    }
                    let (first, again) = self.payloads.entry(packet).or_default();
                    *(if said.again { &mut *again } else { &mut *first }) += 1;
                    self.again += u64::from(said.again);
                    if *first > 1 {
                        return Err(format!("{packet:?} was accepted twice"));
                    }
                }
                // What an earlier call accepted is written before any new verdict.
                "replay" if !self.payloads.contains_key(&packet) => {
                    return Err(format!("the payload of {packet:?} was never written"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Kills a decode of random packets again and again. Returns how many payloads were written again.
fn killed(fleet: &Path, more: &[&str], kills: u64, seed: u64) -> Result<u64, String> {
    let (mut random, devices) = (Random::new(seed), Devices::of_capture());
    let (mut senders, mut reader) = (Senders::new(DEVICES), Reader::default());
    let mut sent: Vec<Sent> = Vec::new();
    for kill in 0..kills {
        // First what was in flight at the last kill.
        let before = sent.split_off(sent.len().saturating_sub(PACKETS_A_RUN));
        let new = senders.packets(PACKETS_A_RUN, &mut random);
        let all: Vec<Sent> = before.iter().chain(&new).copied().collect();
        sent.extend(before);
        sent.extend(new);
        let after = Duration::from_micros(random.below(60_000));
        let kill_at = match random.below(8) {
            0 => Kill::AfterStart(after),
            _ => Kill::AfterFirstVerdict(after),
        };
        let said = decode_until_killed(fleet, more, lines(&devices, &all), kill_at);
        reader.read(&said).map_err(|why| format!("kill {kill} of seed {seed}: {why}"))?;
    }
    let last = decode(fleet, more, lines(&devices, &sent)).done();
    let said: Vec<Said> = last.stdout.lines().map(Said::parse).collect();
    reader.read(&said)?;
    // Nothing is left to be written again.
    let none = decode(fleet, more, "").done();
    assert_eq!(none.stdout, "");
    Ok(reader.again)
}

fn no_payload_is_lost(kills: u64, seed: u64) {
    let (_folder, fleet) = fleet();
    let again = killed(&fleet, &[], kills, seed).unwrap_or_else(|why| panic!("{why}"));
    eprintln!("{kills} kills, {again} payloads written again");
    assert!(again > kills / 4, "few kills fell between an acceptance and its line: {again}");
}

#[test]
fn thirty_kills_lose_no_payload() {
    no_payload_is_lost(30, 1);
}

#[test]
#[ignore = "two minutes"]
fn five_hundred_kills_lose_no_payload() {
    no_payload_is_lost(500, 2);
}

/// The harness notices what the outbox is for.
#[test]
fn without_an_outbox_kills_lose_payloads() {
    let (_folder, fleet) = fleet();
    let lost = killed(&fleet, &["--outbox", "off"], 40, 3);
    assert!(lost.is_err_and(|why| why.contains("was never written")));
}

#[test]
fn with_sync_none_there_is_an_outbox_only_if_asked_for() {
    let has_outbox = |more: &[&str]| {
        let (_folder, fleet) = fleet();
        let devices = Devices::of_capture();
        decode(&fleet, more, devices.line(1, 0, b"21.5 C")).done();
        files_of(&fleet).iter().any(|bytes| bytes.windows(13).any(|run| run == b"reader:decode"))
    };
    assert!(has_outbox(&[]) && has_outbox(&["--sync", "none", "--outbox", "on"]));
    assert!(!has_outbox(&["--sync", "none"]) && !has_outbox(&["--outbox", "off"]));
}

/// A closed output acknowledges nothing; the next call writes the payloads.
#[test]
fn a_reader_that_goes_gets_the_payloads_it_did_not_read_from_the_next_call() {
    let (_folder, fleet) = fleet();
    let devices = Devices::of_capture();
    let input: String = (0..20).map(|device| devices.line(device, 0, b"21.5 C")).collect();
    let mut running = Running::start(&fleet, &[]);
    drop(running.take_stdout());
    running.take_stdin().write_all(input.as_bytes()).expect("it reads");
    running.end().done();
    let next = decode(&fleet, &[], devices.line(0, 1, b"22.0 C")).done();
    let said: Vec<Said> = next.stdout.lines().map(Said::parse).collect();
    assert_eq!(said.len(), 21, "{}", next.stdout);
    assert!(said[..20].iter().all(|said| said.again && said.payload == hex::encode(b"21.5 C")));
    assert!(!said[20].again && said[20].line == 1);
    assert!(next.stderr.contains("payloads that an earlier call did not hand on"));
}

/// The bytes of every file of the index.
fn files_of(fleet: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(fleet.join("index")).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files.map(|path| std::fs::read(path).expect("it reads")).collect()
}
