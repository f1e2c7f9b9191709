//! The terminal of a caller, on which a station shows a progress bar.

use std::fs::File;
use std::io::{self, Write};

use indicatif::TermLike;
use rustix::termios::{isatty, tcgetwinsize};

/// The width of a terminal that does not report its width.
const USUAL_WIDTH: u16 = 80;

/// The terminal behind the standard error of a caller.
#[derive(Debug)]
pub struct CallerTerminal(File);

impl CallerTerminal {
    /// `None` if the file is no terminal.
    pub fn of(stderr: &File) -> Option<Self> {
        if !isatty(stderr) {
            return None;
        }
        stderr.try_clone().ok().map(Self)
    }

    fn send(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }

    /// Moves the cursor (ECMA-48, CUU to CUB).
    fn move_cursor(&self, by: usize, direction: char) -> io::Result<()> {
        if by == 0 { Ok(()) } else { self.send(&format!("\x1b[{by}{direction}")) }
    }
}

impl TermLike for CallerTerminal {
    fn width(&self) -> u16 {
        let size = tcgetwinsize(&self.0).ok();
        size.map(|size| size.ws_col).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.send(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.send(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.send("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
