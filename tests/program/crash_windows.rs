//! Windows of time that come and go while the program is killed with SIGKILL: at random
//! moments of a long run, and at every call of a roll that changes files. The present is
//! found afterwards, nothing is accepted twice, and the space of the past comes back.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use hintdex_tests::program::{inspect_at, run};
use hintdex_tests::trace::ends_before;
use hintdex_tests::{Devices, Ledger, Random, Running, Said, decode, files, provision};
use tempfile::TempDir;

/// When the fleets here are provisioned: 2026-11-23T00:00:00Z.
const START: u64 = 1_795_392_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const DEVICES: u32 = 10_000;

/// Packets that agree before the station's clock leaps to where they are, and builds the
/// window of that time.
const WITNESSES: usize = 3;

/// A fleet whose windows are an hour of minutes, and the time it has come to.
struct Fleet {
    folder: TempDir,
    /// Options of the form of the index.
    form: &'static [&'static str],
    devices: Devices,
    ledger: Ledger,
    now_s: u64,
    next_device: u32,
}

impl Fleet {
    /// Provisions it, and lets every device be heard: from here on its states take as
    /// much room as they ever will.
    fn new() -> Self {
        Self::in_form(&[])
    }

    /// A fleet whose commands are given `form`.
    fn in_form(form: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (devices, now) = (DEVICES.to_string(), START.to_string());
        let path = folder.path().join("fleet");
        let step = ["--devices", &devices, "--nonce", "step:60", "--now", &now];
        provision(&path, &[form, &step].concat()).done();
        let (devices, ledger) = (Devices::of_capture(), Ledger::default());
        let mut fleet = Self { folder, form, devices, ledger, now_s: START, next_device: 0 };
        fleet.hear(DEVICES);
        fleet
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    /// Goes on into the next hour.
    fn next_window(&mut self, random: &mut Random) {
        self.now_s = self.now_s - self.now_s % HOUR + HOUR + 120 + random.below(HOUR - 240);
    }

    /// The packet that the next device sends now, and its line.
    fn send(&mut self) -> ((u32, u64), String) {
        let (device, nonce) = (self.next_device, self.now_s / MINUTE);
        self.next_device = (device + 1) % DEVICES;
        ((device, nonce), self.devices.line_at(self.now_s, device, nonce, b"here"))
    }

    /// The packets that bring the clock to now, and their lines.
    fn send_witnesses(&mut self) -> (Vec<(u32, u64)>, String) {
        (0..WITNESSES).map(|_| self.send()).unzip()
    }

    /// Whether the packet that was sent was accepted.
    #[track_caller]
    fn check_accepted(&mut self, (device, nonce): (u32, u64), said: &Said) {
        self.ledger.enter(device, nonce, said).unwrap_or_else(|breach| panic!("{breach}"));
        assert_eq!(said.verdict, "accepted", "{said:?}");
    }

    /// Whether the packet that was sent was accepted, and found without a scan.
    #[track_caller]
    fn check(&mut self, sent: (u32, u64), said: &Said) {
        self.check_accepted(sent, said);
        assert_eq!(said.found_by(), "lookup", "{said:?}");
    }

    /// Brings a decode into the next hour: its first packets are scanned for, and then its
    /// window is there.
    #[track_caller]
    fn go_on(&mut self, running: &mut Running, random: &mut Random) {
        self.next_window(random);
        let (sent, lines) = self.send_witnesses();
        running.send(&lines);
        sent.into_iter().for_each(|sent| self.check_accepted(sent, &running.next_verdict()));
        let (sent, line) = self.send();
        running.send(&line);
        self.check(sent, &running.next_verdict());
    }

    /// Starts a decode whose clock shows the fleet's time.
    fn start(&self, more: &[&str]) -> Running {
        let now = self.now_s.to_string();
        Running::start(&self.path(), &[more, &["--now", &now]].concat())
    }

    /// Decodes a packet of each of some devices now.
    #[track_caller]
    fn hear(&mut self, count: u32) {
        self.now_s += MINUTE;
        let (sent, lines): (Vec<_>, String) = (0..count).map(|_| self.send()).unzip();
        let now = self.now_s.to_string();
        let said =
            decode(&self.path(), &[self.form, &["--now", &now]].concat(), lines).done().verdicts();
        assert_eq!(said.len(), sent.len());
        sent.into_iter().zip(&said).for_each(|(sent, said)| self.check(sent, said));
    }

    /// Decodes some packets an hour for some hours, and is killed so long after those that
    /// bring it into the last hour were sent. Whether they were answered: that is after the
    /// window was built.
    fn decode_and_kill(&mut self, windows: u64, after: Duration, random: &mut Random) -> bool {
        let sync = if random.chance(30) { "none" } else { "batch" };
        let mut running = self.start(&["--sync", sync]);
        (1..windows).for_each(|_| self.go_on(&mut running, random));
        self.next_window(random);
        let (sent, lines) = self.send_witnesses();
        running.send(&lines);
        let mut stdout = running.take_stdout();
        thread::sleep(after);
        running.kill();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("what was written can be read");
        // A line without its end was not acknowledged.
        let acknowledged: Vec<_> = rest.split_inclusive('\n').collect();
        let acknowledged = acknowledged.iter().filter(|line| line.ends_with('\n'));
        for (sent, line) in sent.into_iter().zip(acknowledged) {
            self.check_accepted(sent, &Said::parse(line));
        }
        assert_eq!(running.end().code, None, "it ended before it was killed");
        rest.ends_with('\n')
    }

    /// Rolls to the present window alone, and says what the folder takes then.
    fn roll(&self) -> u64 {
        let (path, now) = (self.path(), self.now_s.to_string());
        let roll = ["roll", "--window-lead", "1m", "--now", &now, "--index"].map(Path::new);
        run(roll.into_iter().chain([path.as_path()])).done();
        let drafts = files::files(&path.join("index"), |name| name.ends_with(".dbtmp"));
        assert!(drafts.is_empty(), "a crash left {drafts:?}");
        files::disk_bytes(&path)
    }

    fn verify(&self) {
        let (path, now) = (self.path(), self.now_s.to_string());
        let verify = ["verify", "--now", &now].map(Path::new);
        run(verify.into_iter().chain([path.as_path()])).done();
    }

    /// Sends everything that was ever acknowledged once more: none of it is accepted.
    fn replay_everything(&mut self) {
        let line = |(device, nonce)| self.devices.line_at(self.now_s, device, nonce, b"here");
        let all = self.ledger.all();
        let lines: String = all.iter().copied().map(line).collect();
        let said = decode(&self.path(), &[], lines).done().verdicts();
        assert_eq!(said.len(), all.len());
        for ((device, nonce), said) in all.into_iter().zip(&said) {
            let entered = self.ledger.enter(device, nonce, said);
            entered.unwrap_or_else(|breach| panic!("{breach}"));
        }
    }
}

/// How long the program takes from its start to the first verdict, and from there to one
/// in the next window.
fn typical(fleet: &mut Fleet, random: &mut Random) -> (Duration, Duration) {
    let mut running = fleet.start(&[]);
    let mut hour = || {
        let started = Instant::now();
        fleet.go_on(&mut running, random);
        started.elapsed()
    };
    let took = (hour(), hour());
    drop(running.end().done());
    took
}

/// What the folder took each time it was looked at, after so many windows.
type Sizes = Vec<(u64, u64)>;

fn killed_while_windows_go_by(windows: u64, kills: u64, seed: u64) {
    let mut random = Random::new(seed);
    let mut fleet = Fleet::new();
    let (opening, window) = typical(&mut fleet, &mut random);
    let mut gone = 2;
    let (mut unanswered, mut half_made) = (0, 0);
    let (mut sizes, mut heard_s) = (Sizes::new(), fleet.now_s);
    for kill in 0..kills {
        let share = random.below(1 + 2 * (windows - gone).div_ceil(kills - kill));
        let hours = 1 + share.min(windows.saturating_sub(gone + 1));
        // Building, declaring, and behind the verdict dropping, or while it is opened.
        let longest = if hours == 1 { opening + window } else { 2 * window };
        let after = longest.mul_f64(random.below(1000) as f64 / 1000.0);
        unanswered += u64::from(!fleet.decode_and_kill(hours, after, &mut random));
        gone += hours;
        let path = fleet.path();
        let made = files::newest_window(&path);
        let declared = inspect_at(&path, fleet.now_s)["epoch"].as_u64().expect("a number");
        half_made += u64::from(made > declared);
        // Of a device that is silent for days more hints are expected, and windows grow.
        let is_new_day = fleet.now_s / DAY > heard_s / DAY;
        fleet.hear(if is_new_day { DEVICES } else { 20 });
        heard_s = fleet.now_s;
        if kill % 5 == 4 {
            fleet.verify();
        }
        if gone >= 10 {
            sizes.push((gone, fleet.roll()));
        }
    }
    while gone < windows {
        fleet.decode_and_kill(1, 3 * window, &mut random);
        gone += 1;
    }
    fleet.verify();
    sizes.push((gone, fleet.roll()));
    fleet.replay_everything();
    eprintln!(
        "{gone} windows and {kills} kills, {unanswered} before a verdict, {half_made} with a \
         window half-made; {} acknowledged; bytes on disk {sizes:?}",
        fleet.ledger.count()
    );
    assert!(unanswered > kills / 5, "{unanswered} of {kills} kills fell into a window's change");
    grows_by_a_tenth_at_most(&sizes);
}

/// Holds what the folder takes at the end against what it took in the beginning. Logs of
/// the store and the states' files vary from one opening to the next: of both ends the
/// most of some are taken.
fn grows_by_a_tenth_at_most(sizes: &[(u64, u64)]) {
    let some = sizes.len().div_ceil(4);
    let most = |sizes: &[(u64, u64)]| sizes.iter().map(|(_, bytes)| *bytes).max().expect("some");
    let (first, last) = (most(&sizes[..some]), most(&sizes[sizes.len() - some..]));
    assert!(last * 10 <= first * 11, "the folder grew from {first} to {last} bytes: {sizes:?}");
}

#[test]
fn sixty_windows_and_twenty_kills_leave_the_folder_as_small_as_ten() {
    killed_while_windows_go_by(60, 20, 1);
}

#[test]
#[ignore = "ten minutes"]
fn a_thousand_windows_and_two_hundred_kills_leave_the_folder_as_small_as_ten() {
    killed_while_windows_go_by(1000, 200, 2);
}

/// A roll that builds a window, declares it and drops another, killed at each call that
/// changes files.
fn killed_at_each(calls: &[&str], form: &'static [&'static str]) {
    let mut fleet = Fleet::in_form(form);
    let mut kills = 0;
    for call in calls {
        for nth in 1.. {
            // Nobody builds the next window before its time has come near.
            fleet.now_s = fleet.now_s - fleet.now_s % HOUR + HOUR + HOUR / 2;
            let (path, now) = (fleet.path(), fleet.now_s.to_string());
            let args = ["roll", "--threads", "1", "--now", &now, "--index"].map(OsStr::new);
            let form = form.iter().map(OsStr::new);
            let args = args.into_iter().chain([path.as_os_str()]).chain(form);
            let ended = ends_before(call, nth, args);
            // By whoever opens it next.
            let spans = inspect_at(&fleet.path(), fleet.now_s)["spans"].clone();
            let spans = spans.as_array().expect("a list").clone();
            let present = fleet.now_s - fleet.now_s % HOUR;
            let is_there = spans.iter().any(|span| span[0].as_u64() == Some(present));
            assert!(is_there || !ended, "a roll that ends leaves the present: {spans:?}");
            // The one before, this one, the next.
            assert!((1..=3).contains(&spans.len()), "{spans:?}");
            fleet.hear(3);
            if ended {
                break;
            }
            kills += 1;
        }
        fleet.verify();
    }
    fleet.replay_everything();
    eprintln!("{kills} kills, one at each of {calls:?}");
    assert!(kills > 10 * calls.len().min(2), "{kills} kills only");
}

#[test]
fn a_roll_killed_at_each_of_its_syncs_leaves_the_old_windows_or_the_new_ones() {
    killed_at_each(&["fdatasync"], &["--full"]);
}

#[test]
fn a_roll_killed_at_each_step_of_a_snapshot_leaves_the_old_windows_or_the_new_ones() {
    killed_at_each(&["fsync", "fdatasync", "rename"], &[]);
}

#[test]
#[ignore = "two minutes"]
fn a_roll_killed_at_every_call_that_changes_files_leaves_the_old_windows_or_the_new_ones() {
    let calls = [
        "write",
        "pwrite64",
        "ftruncate",
        "fallocate",
        "fsync",
        "fdatasync",
        "rename",
        "link",
        "unlink",
        "unlinkat",
    ];
    for form in [&[][..], &["--full"]] {
        killed_at_each(&calls, form);
    }
}
