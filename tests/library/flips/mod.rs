//! A bit turned in any file of a fleet: the same verdicts, or one device that is told, or a
//! refusal that names a file. Never a replay that is accepted, a verdict about another
//! device, a panic, an abort or no end. The trials run in processes of their own.

mod fleet;
mod keys;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hintdex_tests::children::{self, End};
use hintdex_tests::{Random, files};
use rocksdb::{DB, Options};

use crate::damage::record_starts;
use trial::{OUTCOMES, Outcome, Trial};

/// How long a trial may take beside whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file of a form of the fleet, and what kind of file it is.
struct File {
    form: String,
    file: String,
    kind: String,
    len_bytes: usize,
    /// In a log, where the store's records begin.
    records: Vec<usize>,
}

impl File {
    /// What it weighs among all bytes: files that nobody reads back weigh nothing.
    fn weight(&self) -> usize {
        if self.kind == "OPTIONS" { 0 } else { self.len_bytes }
    }
}

/// What a record of a log begins with: a checksum, a length and a type.
const RECORD_HEADER_LEN_BYTES: u64 = 7;

/// Every file of the fleet that has a byte.
fn all_files(folder: &Path, form: &str) -> Vec<File> {
    let families = families(folder, form);
    let of_folder = |inside: &str| {
        let paths = files::files(&folder.join(form).join(inside), |_| true);
        paths.into_iter().map(move |path| (path, inside.to_owned())).collect::<Vec<_>>()
    };
    let all = of_folder("").into_iter().chain(of_folder("index"));
    all.filter_map(|(path, inside)| {
        let name = path.file_name()?.to_str()?.to_owned();
        let len_bytes = usize::try_from(fs::metadata(&path).ok()?.len()).ok()?;
        let kind = match (families.get(&name), name.rsplit_once('.')) {
            (Some(family), _) => format!("table of {}", family.split('-').next()?),
            (None, Some((_, "log"))) => "log of the store".to_owned(),
            _ => name.split(['-', '.']).next()?.to_owned(),
        };
        let kind = if inside.is_empty() { name.clone() } else { kind };
        let is_log = kind == "log of the store";
        let records = if is_log { record_starts(&fs::read(&path).ok()?) } else { Vec::new() };
        let file = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        Some(File { form: form.to_owned(), file, kind, len_bytes, records })
    })
    .filter(|file| file.len_bytes > 0)
    .collect()
}

/// The family of each table.
fn families(folder: &Path, form: &str) -> BTreeMap<String, String> {
    let path = folder.join(form).join("index");
    let names = DB::list_cf(&Options::default(), &path).expect("it is a database");
    let db = DB::open_cf_for_read_only(&Options::default(), &path, names, false);
    let tables = db.expect("it can be read").live_files().expect("it has files");
    let name = |name: &str| name.trim_start_matches('/').to_owned();
    tables.iter().map(|table| (name(&table.name), table.column_family_name.clone())).collect()
}

/// A random bit of a random file: half of the time every file is as likely, else every byte.
fn random_trial(all: &[File], random: &mut Random) -> Trial {
    let mut file = &all[random.place(all.len())];
    if random.chance(50) {
        let mut byte = random.place(all.iter().map(File::weight).sum());
        for with_byte in all {
            file = with_byte;
            if byte < file.weight() {
                break;
            }
            byte -= file.weight();
        }
    }
    let bit = if !file.records.is_empty() && random.chance(30) {
        let start = file.records[random.place(file.records.len())];
        start * 8 + usize::try_from(random.below(RECORD_HEADER_LEN_BYTES * 8)).expect("few")
    } else {
        random.place(file.len_bytes * 8)
    };
    Trial { form: file.form.clone(), file: file.file.clone(), bit, heals: false }
}

/// Runs trials in children, one after another: whoever aborts or hangs is followed by one
/// that goes on behind that trial. Returns each outcome and why.
fn run(folder: &Path, trials: &[Trial]) -> Vec<(Outcome, String)> {
    let lines: Vec<String> = trials.iter().map(Trial::line).collect();
    fs::write(folder.join(trial::TRIALS), lines.join("\n")).expect("a file can be written");
    loop {
        let end = children::run("flips::trials_in_a_process_of_their_own", folder, PATIENCE);
        let reports = children::reports(folder);
        let (begun, ended) = (count(&reports, "begin"), count(&reports, "end"));
        let stopped = match end {
            End::Done if ended == trials.len() => break,
            End::Aborted => Outcome::Aborted,
            End::Hung => Outcome::Hung,
            End::Done | End::Failed => {
                let errors = fs::read_to_string(folder.join("errors.txt")).unwrap_or_default();
                panic!("the trials themselves went wrong behind number {begun}: {errors}");
            }
        };
        assert!(begun > ended, "a child was {stopped:?} before its first trial");
        children::report(folder, &format!("end {} {stopped:?} ", begun - 1));
    }
    let reports = children::reports(folder);
    let ends = reports.iter().filter_map(|line| {
        let (_, rest) = line.strip_prefix("end ")?.split_once(' ')?;
        let (outcome, why) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((Outcome::parse(outcome)?, why.to_owned()))
    });
    ends.collect()
}

fn count(reports: &[String], word: &str) -> usize {
    reports.iter().filter(|line| line.starts_with(word)).count()
}

/// Shows how often each outcome came by kind of file, and panics at one that may not be.
fn judge(trials: &[Trial], outcomes: &[(Outcome, String)], all: &[File]) {
    assert_eq!(trials.len(), outcomes.len());
    let mut table: BTreeMap<&str, BTreeMap<Outcome, u32>> = BTreeMap::new();
    let (mut bad, mut bad_count) = (BTreeMap::<(&str, Outcome), Vec<String>>::new(), 0);
    for (trial, (outcome, why)) in trials.iter().zip(outcomes) {
        let is_it = |file: &&File| file.form == trial.form && file.file == trial.file;
        let kind = all.iter().find(is_it).map_or("?", |file| file.kind.as_str());
        *table.entry(kind).or_default().entry(*outcome).or_default() += 1;
        if !outcome.is_allowed(trial.heals) {
            bad_count += 1;
            bad.entry((kind, *outcome)).or_default().push(format!("{}: {why}", trial.line()));
        }
    }
    let seen: Vec<Outcome> = OUTCOMES
        .into_iter()
        .filter(|outcome| table.values().any(|row| row.contains_key(outcome)))
        .collect();
    let mut lines = format!("{:>20}", "");
    seen.iter().for_each(|outcome| lines += &format!(" {:>16}", format!("{outcome:?}")));
    for (kind, row) in &table {
        lines += &format!("\n{kind:>20}");
        let cell = |outcome| row.get(outcome).copied().unwrap_or(0);
        seen.iter().for_each(|outcome| lines += &format!(" {:>16}", cell(outcome)));
    }
    println!("{lines}");
    let first = |of_kind: &Vec<String>| of_kind.iter().take(2).cloned().collect::<Vec<_>>();
    let examples: Vec<_> = bad.iter().map(|(what, of_kind)| (what, first(of_kind))).collect();
    assert!(bad.is_empty(), "{bad_count} trials went wrong:\n{examples:#?}\n{lines}");
}

fn flip(count: usize, seed: u64) {
    let folder = files::folder_in_memory();
    let forms = fleet::make(folder.path());
    let name = |form: &std::path::PathBuf| form.file_name().expect("a name").to_owned();
    let all: Vec<File> = forms
        .iter()
        .flat_map(|form| all_files(folder.path(), &name(form).to_string_lossy()))
        .collect();
    let mut random = Random::new(seed);
    let trials: Vec<Trial> = (0..count).map(|_| random_trial(&all, &mut random)).collect();
    let outcomes = run(folder.path(), &trials);
    judge(&trials, &outcomes, &all);
}

/// Run by the others in processes of their own; there is nothing to do in this one.
#[test]
#[ignore = "run by the other tests"]
fn trials_in_a_process_of_their_own() {
    children::folder().iter().for_each(|folder| trial::run_all(folder));
}

#[test]
fn a_thousand_bits_turned_one_at_a_time() {
    flip(1000, 1);
}

#[test]
#[ignore = "half an hour: in make test-long"]
fn a_hundred_thousand_bits_turned_one_at_a_time() {
    flip(100_000, 2);
}

/// Hints are made from keys and states: a table of them that is damaged costs time, at every
/// start, until a roll makes it anew.
#[test]
fn a_bit_turned_in_a_table_of_hints_costs_time_and_is_mended_by_a_roll() {
    let folder = files::folder_in_memory();
    let forms = fleet::make(folder.path());
    let mut trials = Vec::new();
    let mut all = Vec::new();
    for form in ["logged", "flushed"] {
        all.extend(all_files(folder.path(), form));
    }
    assert_eq!(forms.len(), 2);
    let mut random = Random::new(4);
    for file in all.iter().filter(|file| file.kind == "table of hints") {
        let len = file.len_bytes;
        // The footer, the blocks in front of it, and the rows from the first one on.
        let from_end =
            [1, 8, 20, 41, 53, 60, 100, 200, 400, 800].map(|back| len.saturating_sub(back));
        let rows = (0..10).map(|tenth| len * tenth / 10);
        for at in from_end.into_iter().chain(rows) {
            let bit = at * 8 + random.place(8);
            let (form, file) = (file.form.clone(), file.file.clone());
            trials.push(Trial { form, file, bit, heals: true });
        }
    }
    assert!(trials.len() >= 40, "{} tables of hints", trials.len() / 20);
    let outcomes = run(folder.path(), &trials);
    judge(&trials, &outcomes, &all);
}
