//! A secret from the standard output of a command.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use super::error::Why;
use super::{MAX_SECRET_LEN_BYTES, SecretText};

/// How often a command that has closed its output is asked whether it has ended.
const ENDS_WITHIN: Duration = Duration::from_millis(2);

/// Runs a command, and returns its output: at most one byte more than the longest secret.
///
/// The command's errors go to the standard error of this process; it reads nothing, since the
/// standard input of this process may be the packets.
pub(super) fn read(words: &[String], limit: Duration) -> Result<SecretText, Why> {
    let (program, args) = words.split_first().ok_or(Why::Empty)?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = Running(command.spawn().map_err(Why::Starting)?);
    let until = Instant::now() + limit;
    let text = running.output(until, limit)?;
    if text.len() > MAX_SECRET_LEN_BYTES {
        return Err(Why::TooLong);
    }
    loop {
        match running.0.try_wait().map_err(Why::Reading)? {
            Some(status) if status.success() => return Ok(text),
            Some(status) => return Err(Why::Ended(status)),
            None if Instant::now() >= until => return Err(Why::Late(limit)),
            None => thread::sleep(ENDS_WITHIN),
        }
    }
}

/// A command that is killed unless it has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A command that has ended is not there to be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Reads until the output ends, or is longer than any secret.
    fn output(&mut self, until: Instant, limit: Duration) -> Result<SecretText, Why> {
        let mut text = Zeroizing::new(vec![0; MAX_SECRET_LEN_BYTES + 1]);
        let mut len = 0;
        let Some(stdout) = &mut self.0.stdout else { return Err(Why::Empty) };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = Timespec { tv_sec: seconds(left), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&wait)) {
                Ok(0) => return Err(Why::Late(limit)),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Why::Reading(error.into())),
            }
            let room = text.get_mut(len..).unwrap_or_default();
            match stdout.read(room) {
                // The end of the output, or no room is left.
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Reading(error)),
            }
        }
        text.truncate(len);
        Ok(text)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Why, read};

    fn run(command: &str, limit: Duration) -> Result<Vec<u8>, Why> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        read(&words, limit).map(|text| text.to_vec())
    }

    /// A limit that nothing here reaches.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_output_of_a_command_is_read_as_it_is() {
        for (command, expected) in [("echo a b", &b"a b\n"[..]), ("printf x", b"x"), ("true", b"")]
        {
            assert!(run(command, LONG).is_ok_and(|text| text == expected), "{command}");
        }
        // Its input is empty: it is not the packets of this process.
        assert!(run("cat", LONG).is_ok_and(|text| text.is_empty()));
    }

    #[test]
    fn a_command_that_fails_or_prints_too_much_yields_nothing() {
        assert!(matches!(run("false", LONG), Err(Why::Ended(_))));
        assert!(matches!(run("/no/such/program", LONG), Err(Why::Starting(_))));
        // It prints for ever, and is killed.
        assert!(matches!(run("yes", LONG), Err(Why::TooLong)));
    }

    #[test]
    fn a_command_is_killed_at_its_limit() {
        let short = Duration::from_millis(20);
        assert!(matches!(run("sleep 100000", short), Err(Why::Late(_))));
        // Its output has ended, and it has not.
        let closes = ["sh", "-c", "exec 1>&-; exec sleep 100000"].map(str::to_owned);
        assert!(matches!(read(&closes, short), Err(Why::Late(_))));
    }
}
