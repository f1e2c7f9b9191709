//! `hintdex device` killed with SIGKILL at random moments: an acknowledged change holds, another
//! is there for all devices of the call or for none, no packet under a key that is retired or
//! revoked is accepted, and none is accepted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hintdex_tests::program::{command, run, run_with, verify};
use hintdex_tests::{Devices, Random, decode, provision};
use hintdex_wire::{DeviceId, KeyId};
use serde_json::Value;

const DEVICES: u32 = 300;

/// A device, as the program lists it: the generation of its newest key, and the states of its keys
/// by generation.
type Listed = BTreeMap<u32, BTreeMap<u16, String>>;

fn list(fleet: &Path) -> Listed {
    let mut listed = Listed::new();
    for more in [&["--json"][..], &["--json", "--retired"]] {
        let base = ["device", "list", "--index"].map(std::ffi::OsStr::new);
        let args = base.into_iter().chain([fleet.as_os_str()]);
        let said = run(args.chain(more.iter().map(std::ffi::OsStr::new))).done();
        for line in said.stdout.lines() {
            let object: Value = serde_json::from_str(line).expect("a line of JSON");
            let device = object["device"].as_u64().and_then(|id| u32::try_from(id).ok());
            let keys = listed.entry(device.expect("an id")).or_default();
            let others = object["other_keys"].as_array().cloned().unwrap_or_default();
            for key in others.iter().chain([&object]) {
                let generation = key["generation"].as_u64().and_then(|of| u16::try_from(of).ok());
                let state = key["state"].as_str().expect("a state").to_owned();
                keys.insert(generation.expect("a generation"), state);
            }
        }
    }
    listed
}

fn is_in_service(state: &str) -> bool {
    matches!(state, "active" | "awaited" | "ending")
}

/// A change of some devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Rotate,
    Replace,
    Retire,
    Revoke,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Replace => "replace",
            Self::Retire => "retire",
            Self::Revoke => "revoke",
        }
    }

    /// Whether a device shows the change, by its keys before and now. A replacement that was cut
    /// between its two steps shows half of it.
    fn is_done(self, before: &BTreeMap<u16, String>, now: &BTreeMap<u16, String>) -> Progress {
        let newest = |keys: &BTreeMap<u16, String>| keys.keys().last().copied();
        let all_gone = !now.values().any(|state| is_in_service(state));
        let is_revoked = |(generation, state): (&u16, &String)| {
            state == "revoked" || !before.contains_key(generation)
        };
        match self {
            Self::Rotate | Self::Replace if newest(now) > newest(before) => Progress::Done,
            Self::Replace if all_gone => Progress::Half,
            Self::Retire if all_gone => Progress::Done,
            Self::Revoke if now.iter().all(is_revoked) => Progress::Done,
            _ => Progress::None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    None,
    Half,
    Done,
}

struct World {
    fleet: std::path::PathBuf,
    air: Devices,
    random: Random,
    listed: Listed,
    /// The next nonce of each key.
    next: BTreeMap<(u32, u16), u64>,
    /// Keys that no packet may be accepted under any longer.
    gone: BTreeSet<(u32, u16)>,
    sent: u64,
    /// A little more than a call takes, in microseconds.
    typical_us: u64,
}

impl World {
    /// Some devices that the verb can change.
    fn some(&mut self, verb: Verb) -> Vec<u32> {
        let is_live =
            |keys: &BTreeMap<u16, String>| keys.values().any(|state| is_in_service(state));
        let suits = |keys: &BTreeMap<u16, String>| match verb {
            // The program refuses to rotate a device whose next key is awaited.
            Verb::Rotate => {
                is_live(keys) && keys.values().last().is_some_and(|key| key != "awaited")
            }
            Verb::Retire => is_live(keys),
            Verb::Replace | Verb::Revoke => true,
        };
        let all: Vec<u32> =
            self.listed.iter().filter(|(_, keys)| suits(keys)).map(|(id, _)| *id).collect();
        let most = match verb {
            Verb::Rotate => [4, 120][self.random.place(2)],
            Verb::Replace => 40,
            Verb::Retire | Verb::Revoke => 4,
        };
        let count = 1 + self.random.place(most);
        let some: BTreeSet<u32> = (0..count).map(|_| all[self.random.place(all.len())]).collect();
        some.into_iter().collect()
    }

    fn call(&self, verb: Verb, devices: &[u32]) -> Command {
        let ids: Vec<String> = devices.iter().map(u32::to_string).collect();
        let mut command = command(["device", verb.name(), &ids.join(","), "--index"]);
        command.arg(&self.fleet);
        command
    }

    /// Rotates some devices without a kill, to learn how long a call takes now.
    fn learn_typical(&mut self) {
        let devices = self.some(Verb::Rotate);
        let started = Instant::now();
        run_with(self.call(Verb::Rotate, &devices), "").done();
        let took = u64::try_from(started.elapsed().as_micros()).expect("less than an age");
        self.typical_us = took + took / 4;
        self.check(Verb::Rotate, &devices, true);
    }

    /// Calls a verb, and kills it after a while. Returns whether it was acknowledged.
    fn call_and_kill(&mut self, verb: Verb, devices: &[u32]) -> bool {
        let mut command = self.call(verb, devices);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        std::thread::sleep(Duration::from_micros(self.random.below(self.typical_us)));
        child.kill().expect("a child can be killed");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("messages are text");
        assert_eq!(said, "", "it failed by itself");
        output.stdout.ends_with(b"\n")
    }

    /// Sends a packet under every key of some devices.
    fn send(&mut self) {
        let devices: BTreeSet<u32> = (0..40).map(|_| self.random.below_u32(DEVICES)).collect();
        let mut packets = Vec::new();
        let mut expected = Vec::new();
        for device in devices {
            // The oldest key first: a newer one retires those before.
            for (generation, state) in self.listed.get(&device).cloned().unwrap_or_default() {
                let next = self.next.entry((device, generation)).or_default();
                let id = KeyId { device: DeviceId(device), generation };
                let is_gone = self.gone.contains(&(device, generation));
                assert!(!is_gone || !is_in_service(&state), "device {device}: {state}");
                let packet = hex::encode(self.air.packet_under(id, *next, b"x"));
                if is_in_service(&state) && !is_gone {
                    packets.extend([packet.clone(), packet]);
                    expected.extend(["accepted", "replay"]);
                    *next += 1;
                    let older = self.listed[&device].keys().filter(|older| **older < generation);
                    self.gone.extend(older.map(|older| (device, *older)));
                } else {
                    packets.push(packet);
                    expected.push("unknown");
                }
            }
        }
        self.sent += packets.len() as u64;
        let said = decode(&self.fleet, &[], packets.join("\n")).done().verdicts();
        let said: Vec<&str> = said.iter().map(|said| said.verdict.as_str()).collect();
        assert_eq!(said, expected);
        self.listed = list(&self.fleet);
    }

    /// Reads the list after a call, and checks what it shows of the change.
    fn check(&mut self, verb: Verb, devices: &[u32], acknowledged: bool) -> Progress {
        let now = list(&self.fleet);
        assert_eq!(now.len(), DEVICES as usize);
        let progress = |id: &u32| {
            let before = &self.listed[id];
            let shown = verb.is_done(before, &now[id]);
            // A device that looked like this before the call shows nothing of it.
            let is_silent = shown != Progress::None && shown == verb.is_done(before, before);
            (!is_silent).then_some(shown)
        };
        let progress: BTreeSet<Progress> = devices.iter().filter_map(progress).collect();
        assert!(progress.len() <= 1, "{verb:?} of {devices:?} is there for some: {progress:?}");
        let Some(progress) = progress.first().copied() else {
            self.listed = now;
            return Progress::Done;
        };
        assert!(progress == Progress::Done || !acknowledged, "{verb:?} of {devices:?} is lost");
        for (device, keys) in &now {
            let gone = keys.iter().filter(|(_, state)| !is_in_service(state));
            self.gone.extend(gone.map(|(generation, _)| (*device, *generation)));
            let before = &self.listed[device];
            assert!(
                keys.keys().last() >= before.keys().last(),
                "device {device} lost its newest key"
            );
            if !devices.contains(device) {
                assert_eq!(keys.keys().last(), before.keys().last(), "device {device}");
            }
        }
        self.listed = now;
        progress
    }
}

fn killed_while_changing(kills: u32, seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", "4"]).done();
    let listed = list(&fleet);
    let mut world = World {
        fleet,
        air: Devices::of_capture(),
        random: Random::new(seed),
        listed,
        next: BTreeMap::new(),
        gone: BTreeSet::new(),
        sent: 0,
        typical_us: 1,
    };
    let mut counts: BTreeMap<Progress, u32> = BTreeMap::new();
    for kill in 0..kills {
        if kill % 20 == 0 {
            world.learn_typical();
        }
        let verb = match world.random.below(10) {
            0..5 => Verb::Rotate,
            5..8 => Verb::Replace,
            8 => Verb::Retire,
            _ => Verb::Revoke,
        };
        let devices = world.some(verb);
        let acknowledged = world.call_and_kill(verb, &devices);
        let progress = world.check(verb, &devices, acknowledged);
        *counts.entry(progress).or_default() += u32::from(!acknowledged);
        if kill % 4 == 3 {
            world.send();
        }
    }
    verify(&world.fleet);
    eprintln!("{kills} kills, unacknowledged {counts:?}, {} packets", world.sent);
    assert!(counts.values().sum::<u32>() > kills / 4, "{counts:?}");
}

#[test]
fn forty_kills_of_changes_lose_and_halve_nothing() {
    killed_while_changing(40, 1);
}

#[test]
#[ignore = "takes minutes"]
fn two_hundred_kills_of_changes_lose_and_halve_nothing() {
    killed_while_changing(200, 2);
}
