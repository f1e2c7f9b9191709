//! The system calls of a run of the program, in the order in which they ended.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{self, Outcome};

/// Runs the program under `strace`, which traces `calls` (`fsync,rename`) and takes `options`
/// beside them; the outcome, and one line for each call.
pub fn traced<S: AsRef<OsStr>>(
    calls: &str,
    options: &[&str],
    args: impl IntoIterator<Item = S>,
    input: &str,
    log: &Path,
) -> (Outcome, Vec<String>) {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "4096", "-e", &format!("trace={calls}")]).args(options);
    strace.arg("-o").arg(log).arg(program::path()).args(args);
    let outcome = program::run_with(strace, input);
    let log = fs::read_to_string(log).expect("strace is installed (make setup)");
    (outcome, whole_calls(&log))
}

/// Runs the program under `strace`, which kills it at its `nth` call of `call`. Returns whether
/// the program ended before that.
pub fn ends_before<S: AsRef<OsStr>>(
    call: &str,
    nth: usize,
    args: impl IntoIterator<Item = S>,
) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    strace.arg(program::path()).args(args).stdout(Stdio::null()).stderr(Stdio::null());
    strace.status().expect("strace is installed (make setup)").success()
}

/// The lines of a log of `strace -f`, each call in one line.
///
/// Where another thread calls meanwhile, `strace` writes a call in two halves: `16 f(1
/// <unfinished ...>`, later `16 <... f resumed>) = 0`. They are joined where the second half
/// stands, which is when the call had ended.
fn whole_calls(log: &str) -> Vec<String> {
    const UNFINISHED: &str = "<unfinished ...>";
    const RESUMED: &str = " resumed>";
    let mut begun: Vec<(&str, &str)> = Vec::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default();
        if let Some(first) = line.strip_suffix(UNFINISHED) {
            begun.push((thread, first.trim_end()));
        } else if let Some((_, second)) = line.split_once(RESUMED) {
            let at = begun.iter().position(|(of, _)| *of == thread);
            let first = at.map_or(thread, |at| begun.swap_remove(at).1);
            calls.push(format!("{first}{second}"));
        } else {
            calls.push(line.to_owned());
        }
    }
    // A call that never ended: the program was killed in it.
    calls.extend(begun.into_iter().map(|(_, first)| format!("{first} {UNFINISHED}")));
    calls
}

#[cfg(test)]
mod tests {
    use super::whole_calls;

    #[test]
    fn the_halves_of_a_call_are_joined_where_it_ended() {
        let log = "\
12 fsync(3</a> <unfinished ...>
13 rename(\"/b\", \"/c\" <unfinished ...>
14 fsync(4</d>) = 0
13 <... rename resumed>) = 0
12 <... fsync resumed>)              = -1 EIO (Input/output error)
15 fsync(5</e> <unfinished ...>
";
        assert_eq!(
            whole_calls(log),
            [
                "14 fsync(4</d>) = 0",
                "13 rename(\"/b\", \"/c\") = 0",
                "12 fsync(3</a>)              = -1 EIO (Input/output error)",
                "15 fsync(5</e> <unfinished ...>",
            ]
        );
    }
}
