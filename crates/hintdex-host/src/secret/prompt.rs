//! A secret from the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::error::Why;
use super::{MAX_SECRET_LEN_BYTES, SecretText, empty_text};

/// The terminal of the process, whatever its standard input is.
const TERMINAL: &str = "/dev/tty";

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Asks for the secret whose name is `what`.
pub(super) fn read(what: &str) -> Result<SecretText, Why> {
    Silent::open()?.line(&format!("{what}: "))
}

/// Asks twice for a new secret, and compares.
pub(super) fn read_twice(what: &str) -> Result<SecretText, Why> {
    let mut terminal = Silent::open()?;
    let text = terminal.line(&format!("new {what}: "))?;
    let again = terminal.line(&format!("new {what}, again: "))?;
    if text.is_empty() {
        return Err(Why::Empty);
    }
    // One person has entered both just now: the duration of the comparison reveals nothing.
    (text == again).then_some(text).ok_or(Why::Differ)
}

/// The terminal without echo, until the value is dropped.
///
/// Bytes arrive as they are typed, and the keys for signals are bytes, too: a signal would end
/// the process with the echo off.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn open() -> Result<Self, Why> {
        let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL);
        let terminal = terminal.map_err(Why::NoTerminal)?;
        let before = tcgetattr(&terminal).map_err(|error| Why::NoTerminal(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)
            .map_err(|error| Why::NoTerminal(error.into()))?;
        Ok(Self { terminal, before })
    }

    /// Asks for a line.
    fn line(&mut self, question: &str) -> Result<SecretText, Why> {
        self.terminal.write_all(question.as_bytes()).map_err(Why::Reading)?;
        let mut text = empty_text();
        let entered = self.edit(&mut text);
        // The line end was not echoed. A terminal that cannot be written to shows nothing.
        let _ = self.terminal.write_all(b"\n");
        entered.map(|()| text)
    }

    fn edit(&mut self, text: &mut Vec<u8>) -> Result<(), Why> {
        let mut byte = [0];
        loop {
            if self.terminal.read(&mut byte).map_err(Why::Reading)? == 0 {
                return Err(Why::Cancelled);
            }
            match byte {
                [b'\n' | b'\r'] => return Ok(()),
                [INTERRUPT] => return Err(Why::Cancelled),
                [END] if text.is_empty() => return Err(Why::Cancelled),
                [END] => return Ok(()),
                [BACKSPACE | DELETE] => erase_last(text),
                [ERASE_LINE] => text.clear(),
                [other] if text.len() <= MAX_SECRET_LEN_BYTES => text.push(other),
                _ => {}
            }
        }
    }
}

/// Erases the last character, of one to four bytes (UTF-8).
fn erase_last(text: &mut Vec<u8>) {
    while text.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone has no echo to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::erase_last;

    #[test]
    fn backspace_erases_a_character_of_several_bytes() {
        let mut text = "pä€".as_bytes().to_vec();
        for left in ["pä", "p", "", ""] {
            erase_last(&mut text);
            assert_eq!(text, left.as_bytes());
        }
    }
}
