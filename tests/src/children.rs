//! Work that may abort or never end, done in processes of its own: the test's program runs
//! itself again and is watched while it reports.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What tells a child its folder.
const FOLDER: &str = "HINTDEX_TEST_CHILD_FOLDER";
/// In a child's folder: what it reported, a line each.
const REPORTS: &str = "reports.txt";
/// How often a child is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with all its work done.
    Done,
    /// By itself, with an exit code that says that it failed.
    Failed,
    /// By a signal: it aborted.
    Aborted,
    /// It reported nothing for too long and was stopped.
    Hung,
}

/// The folder of the child that this process is; `None` where it is none, and whoever asks
/// has nothing to do.
pub fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Reports a line to the parent.
pub fn report(folder: &Path, line: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(REPORTS));
    writeln!(file.expect("a file of reports"), "{line}").expect("it can be written");
}

/// Everything that was reported in a folder, by however many children.
pub fn reports(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join(REPORTS)).unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// Runs the hidden test called `name` of this program in a process of its own, until it ends
/// or reports nothing for `patience`.
pub fn run(name: &str, folder: &Path, patience: Duration) -> End {
    let program = env::current_exe().expect("a program has a path");
    let errors = File::options().create(true).append(true).open(folder.join("errors.txt"));
    let child = Command::new(program)
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.expect("a file of errors"))
        .spawn();
    let mut child = child.expect("this program runs again");
    watch(&mut child, &folder.join(REPORTS), patience)
}

fn watch(child: &mut Child, reports: &Path, patience: Duration) -> End {
    let len = || fs::metadata(reports).map_or(0, |meta| meta.len());
    let (mut reported, mut since) = (len(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return match status.code() {
                Some(0) => End::Done,
                Some(_) => End::Failed,
                None => End::Aborted,
            };
        }
        let now = len();
        if now != reported {
            (reported, since) = (now, Instant::now());
        }
        if since.elapsed() > patience {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
            return End::Hung;
        }
        thread::sleep(PERIOD);
    }
}
