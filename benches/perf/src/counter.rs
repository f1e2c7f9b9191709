//! Counting the instructions of a path, by callgrind in a process of its own.

use std::io::ErrorKind;
use std::process::Command;

use crate::Failure;

/// Where callgrind starts and stops counting.
const COUNTED: &str = "hintdex_perf::counted";

/// What a path took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Instructions between entering and leaving the counted function.
    pub instructions: u64,
    /// A hash of what the path computed, so that two counts are of one work.
    pub result: u64,
}

/// Runs the path `name` of this program under callgrind.
///
/// # Errors
/// When valgrind is missing, the path fails, or nothing was counted.
pub fn count(name: &str) -> Result<Count, Failure> {
    let program = std::env::current_exe()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    valgrind.arg(format!("--toggle-collect={COUNTED}")).arg(program).args(["run", name]);
    // The library's own choices by the processor are made from what valgrind says
    // it is; nothing else of the surroundings counts.
    valgrind.env_clear().env("TMPDIR", std::env::temp_dir());
    valgrind.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = valgrind.output().map_err(explain)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under valgrind:\n{said}").into());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let instructions = collected.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0);
    let printed = String::from_utf8(output.stdout)?;
    let result = u64::from_str_radix(printed.trim(), 16)?;
    if instructions == 0 {
        return Err(format!("{name}: callgrind never saw {COUNTED}; was the name stripped?").into());
    }
    Ok(Count { instructions, result })
}

/// The tools that figures depend on: the compiler and valgrind.
///
/// # Errors
/// When one of them is missing.
pub fn tools() -> Result<Vec<String>, Failure> {
    ["rustc", "valgrind"].into_iter().map(version).collect()
}

fn version(tool: &str) -> Result<String, Failure> {
    let output = Command::new(tool).arg("--version").output().map_err(|error| match tool {
        "valgrind" => explain(error),
        _ => format!("{tool}: {error}").into(),
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn explain(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => {
            "valgrind is missing; install it with: apt-get install valgrind".into()
        }
        _ => format!("valgrind: {error}").into(),
    }
}
