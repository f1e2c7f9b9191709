//! One trial: a bit of one file turned, the station opened as the program does, and what it
//! says held against what it says of the sound fleet.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use hintdex::Station;
use hintdex_tests::{children, files};

use super::fleet::{Said, Sent, as_decode, capture, said};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The form of the fleet, by the name of its folder.
    pub form: String,
    /// The file inside it.
    pub file: String,
    pub bit: usize,
    /// Whether it must say the same now and at the next start, and be mended by a roll.
    pub heals: bool,
}

impl Trial {
    pub fn line(&self) -> String {
        let Self { form, file, bit, heals } = self;
        format!("{form} {file} {bit} {heals}")
    }

    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (form, file) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (bit, heals) = (words.next()?.parse().ok()?, words.next()? == "true");
        Some(Self { form, file, bit, heals })
    }
}

/// How a trial came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Same,
    /// The packets of one device are not accepted any longer.
    OneDevice,
    /// An error names the file.
    Refused,
    /// An error names another file.
    RefusedByAnother,
    /// An error names no file.
    RefusedUnnamed,
    /// It said the same, and a roll did not mend it.
    NotHealed,
    ReplayAccepted,
    WrongDevice,
    SeveralDevices,
    Panicked,
    Aborted,
    Hung,
}

pub const OUTCOMES: [Outcome; 12] = [
    Outcome::Same,
    Outcome::OneDevice,
    Outcome::Refused,
    Outcome::RefusedByAnother,
    Outcome::RefusedUnnamed,
    Outcome::NotHealed,
    Outcome::ReplayAccepted,
    Outcome::WrongDevice,
    Outcome::SeveralDevices,
    Outcome::Panicked,
    Outcome::Aborted,
    Outcome::Hung,
];

impl Outcome {
    pub const fn is_allowed(self, heals: bool) -> bool {
        match self {
            Self::Same => true,
            Self::OneDevice | Self::Refused | Self::RefusedByAnother => !heals,
            _ => false,
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        OUTCOMES.into_iter().find(|outcome| format!("{outcome:?}") == word)
    }
}

/// The list of trials, inside a child's folder.
pub const TRIALS: &str = "trials.txt";

/// What is right in a form of the fleet: of the capture, and of the capture once more.
struct Right {
    form: String,
    first: Vec<Said>,
    again: Vec<Said>,
}

/// All trials of a child's folder that nobody has reported yet.
pub fn run_all(folder: &Path) {
    let trials = fs::read_to_string(folder.join(TRIALS)).expect("a list of trials");
    let begun = children::reports(folder).iter().filter(|line| line.starts_with("begin")).count();
    let sent = capture();
    let mut right: Vec<Right> = Vec::new();
    panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    for (number, line) in trials.lines().enumerate().skip(begun) {
        let trial = Trial::parse(line).expect("a trial");
        if !right.iter().any(|right| right.form == trial.form) {
            right.push(of_sound(folder, &trial.form, &sent));
        }
        let right = right.iter().find(|right| right.form == trial.form).expect("it was made");
        children::report(folder, &format!("begin {number}"));
        PANICS.store(0, Ordering::Relaxed);
        let tried = panic::catch_unwind(AssertUnwindSafe(|| run(folder, &trial, right, &sent)));
        let (outcome, why) = match tried {
            Ok(outcome) if PANICS.load(Ordering::Relaxed) == 0 => outcome,
            _ => {
                let why = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
                (Outcome::Panicked, why)
            }
        };
        let why = why.replace('\n', " ");
        children::report(folder, &format!("end {number} {outcome:?} {why}"));
    }
}

/// Panics of any thread since a trial began.
static PANICS: AtomicU32 = AtomicU32::new(0);
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fn of_sound(folder: &Path, form: &str, sent: &[Sent]) -> Right {
    let copy = folder.join("sound");
    files::replace_folder(&folder.join(form), &copy);
    let hear = || {
        let station = Station::open(&copy, &as_decode()).expect("a sound fleet opens");
        said(&station, sent).expect("a sound fleet decodes")
    };
    let (first, again) = (hear(), hear());
    assert_eq!(first.iter().filter(|said| said.0 == "accepted").count(), 60);
    assert_eq!(first.iter().filter(|said| matches!(said.0, "replay" | "stale")).count(), 20);
    Right { form: form.to_owned(), first, again }
}

/// The damaged copy of a fleet. Tables are never written to: those that are sound are linked.
fn damage(folder: &Path, trial: &Trial) -> PathBuf {
    let copy = folder.join("damaged");
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("the folder can be removed");
    }
    link_folder(&folder.join(&trial.form), &copy);
    let file = copy.join(&trial.file);
    let mut bytes = fs::read(&file).expect("it can be read");
    bytes[trial.bit / 8] ^= 1 << (trial.bit % 8);
    // It may be a link to the sound one.
    fs::remove_file(&file).expect("it can be removed");
    fs::write(&file, bytes).expect("it can be written");
    copy
}

fn link_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            link_folder(&path, &target);
        } else if path.extension().is_some_and(|ending| ending == "sst" || ending == "hdx") {
            fs::hard_link(&path, target).expect("a file can be linked");
        } else {
            fs::copy(&path, target).expect("a file can be copied");
        }
    }
}

fn run(folder: &Path, trial: &Trial, right: &Right, sent: &[Sent]) -> (Outcome, String) {
    let dir = damage(folder, trial);
    let names = file_names(&dir);
    let refused = |error: &hintdex::Error| {
        let text = error.to_string();
        let own = Path::new(&trial.file).file_name().and_then(|name| name.to_str());
        let outcome = if own.is_some_and(|own| text.contains(own)) {
            Outcome::Refused
        } else if names.iter().any(|name| text.contains(name)) {
            Outcome::RefusedByAnother
        } else {
            Outcome::RefusedUnnamed
        };
        (outcome, text)
    };
    let hear = || said(&Station::open(&dir, &as_decode())?, sent);
    let first = match hear() {
        Ok(said) => compare(sent, &right.first, &said),
        Err(error) => return refused(&error),
    };
    if !trial.heals || first.0 != Outcome::Same {
        return first;
    }
    let again = match hear() {
        Ok(said) => compare(sent, &right.again, &said),
        Err(error) => return refused(&error),
    };
    if again.0 != Outcome::Same {
        return again;
    }
    let heal = || {
        let station = Station::open(&dir, &as_decode())?;
        station.roll(None)?;
        station.verify(None)?;
        drop(station);
        Station::open(&dir, &as_decode())?.verify(None)
    };
    match heal() {
        Ok(_) => first,
        Err(error) => (Outcome::NotHealed, error.to_string()),
    }
}

/// The names of all files of a fleet that an error may name.
fn file_names(dir: &Path) -> Vec<String> {
    let folders = [dir.to_owned(), dir.join("index")];
    let paths = folders.iter().flat_map(|folder| files::files(folder, |_| true));
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    // The store's manifest may be named by what CURRENT says, which may be damaged.
    paths.filter_map(name).chain(["MANIFEST-".to_owned()]).collect()
}

/// What became of the verdicts.
fn compare(sent: &[Sent], right: &[Said], now: &[Said]) -> (Outcome, String) {
    let mut devices = BTreeSet::new();
    let mut first = None;
    for ((sent, right), now) in sent.iter().zip(right).zip(now) {
        if right == now {
            continue;
        }
        let why = format!("device {}: {right:?} became {now:?}", sent.device);
        if now.1.is_some_and(|(device, _)| device != sent.device) {
            return (Outcome::WrongDevice, why);
        }
        if now.0 == "accepted" {
            return (Outcome::ReplayAccepted, why);
        }
        devices.insert(sent.device);
        first.get_or_insert(why);
    }
    let why = first.unwrap_or_default();
    match devices.len() {
        0 => (Outcome::Same, why),
        1 => (Outcome::OneDevice, why),
        count => (Outcome::SeveralDevices, format!("{count} devices, {why}")),
    }
}
