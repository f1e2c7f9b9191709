//! Input that may hold keys: its buffer never moves and is zeroized, and a message quotes
//! neither its content nor a path that may be a key.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::console::{Console, Input};
use crate::failure::Failure;

/// The hex digits of six bytes of a key, with or without separators.
const LEAST_HEX_DIGITS: usize = 12;
/// The base64 characters of six bytes of a key.
const LEAST_BASE64_CHARS: usize = 8;
/// The longest text that is quoted, in characters.
const MAX_QUOTED_CHARS: usize = 24;

/// Whether a text is too short, or of pieces too short, to hold six bytes of a key.
fn is_harmless(text: &str) -> bool {
    let is_separator =
        |character: char| !character.is_alphanumeric() && !"+/-_=".contains(character);
    let is_short = |piece: &str| piece.chars().count() < LEAST_BASE64_CHARS;
    let digits = text.chars().filter(|character| character.is_alphanumeric()).count();
    text.chars().count() <= MAX_QUOTED_CHARS
        && digits < LEAST_HEX_DIGITS
        && text.split(is_separator).all(is_short)
}

/// A text of the user, as a message may show it.
///
/// A text in the wrong place may be a key in any spelling: hex, base64, with separators. So
/// a text is quoted only if it is too short to hold a key. Of a longer text, the message
/// shows the length and the kind of characters.
pub fn shown(text: &str) -> String {
    if is_harmless(text) { format!("{text:?}") } else { format!("({})", describe(text)) }
}

/// The number of characters of a text, and their kind.
pub fn describe(text: &str) -> String {
    let count = text.chars().count();
    let all = |is: fn(&u8) -> bool| text.bytes().all(|byte| is(&byte));
    let kind = match count {
        0 => return "nothing".to_owned(),
        _ if all(u8::is_ascii_digit) => "digits",
        _ if all(u8::is_ascii_hexdigit) => "hex digits",
        _ if all(u8::is_ascii_alphabetic) => "letters",
        _ if all(u8::is_ascii_alphanumeric) => "letters and digits",
        _ => "characters",
    };
    format!("{count} {kind}")
}

/// Opens a file of keys; `-` is standard input.
pub fn open_secret<'a>(path: &Path, console: &'a Console<'_>) -> Result<Input<'a>, Failure> {
    let opened = match path.as_os_str() == "-" {
        true => console.input(),
        false => File::open(console.path(path)?).map(Input::File),
    };
    opened.map_err(|error| Failure::usage(format!("opening {} failed: {error}", shown_path(path))))
}

/// A path that cannot be opened, as a message may [show](shown) it: the user may have given
/// a key in its place. An existing folder is named.
fn shown_path(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match path.parent().filter(|folder| folder.is_dir()) {
        Some(_) if is_harmless(&name) => path.display().to_string(),
        Some(folder) => format!("the file of keys {} in {}", shown(&name), folder.display()),
        None => format!("the file of keys {}", shown(&path.to_string_lossy())),
    }
}

/// A reader whose buffer is zeroized on drop.
pub struct SecretReader<R> {
    input: R,
    buffer: Zeroizing<Vec<u8>>,
    /// The part of the buffer that was read and not consumed.
    from: usize,
    to: usize,
}

impl<R: Read> SecretReader<R> {
    pub fn new(buffer_len_bytes: usize, input: R) -> Self {
        let buffer = Zeroizing::new(vec![0; buffer_len_bytes]);
        Self { input, buffer, from: 0, to: 0 }
    }

    /// The next bytes, without consuming them: at least `len_bytes`, or all up to the end of
    /// the input. At most as many as the buffer holds.
    pub fn peek(&mut self, len_bytes: usize) -> io::Result<&[u8]> {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        while self.to < len_bytes.min(self.buffer.len()) && self.read_more()? > 0 {}
        Ok(self.buffer.get(..self.to).unwrap_or_default())
    }

    /// Reads into the free end of the buffer.
    fn read_more(&mut self) -> io::Result<usize> {
        loop {
            match self.input.read(self.buffer.get_mut(self.to..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.to += read;
                    return Ok(read);
                }
            }
        }
    }
}

impl<R: Read> Read for SecretReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for SecretReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from >= self.to {
            (self.from, self.to) = (0, 0);
            self.read_more()?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, len_bytes: usize) {
        self.from = self.to.min(self.from + len_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_shows_length_and_kind_alone() {
        for (text, expected) in [
            ("", "nothing"),
            ("0123", "4 digits"),
            ("00ff", "4 hex digits"),
            ("key", "3 letters"),
            ("hint2", "5 letters and digits"),
            ("aé=", "3 characters"),
        ] {
            assert_eq!(describe(text), expected);
        }
        for text in ["colour", "step:86401", "devices.csv", "0-999,70", ""] {
            assert_eq!(shown(text), format!("{text:?}"));
        }
        assert_eq!(shown("0123456789"), "(10 digits)");
        for text in ["00:11:22:33:44:55", "00 11 22 33 44 55", "Ab-_+/9=", "001122334455"] {
            assert!(shown(text).starts_with('('), "{text}");
        }
    }

    #[test]
    fn a_buffer_of_any_length_reads_the_same_bytes() {
        let text: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for buffer_len_bytes in [1, 7, 64, 4096] {
            let mut reader = SecretReader::new(buffer_len_bytes, text.as_slice());
            let seen = reader.peek(5).map(<[u8]>::to_vec).unwrap_or_default();
            assert!(seen.len() >= 5.min(buffer_len_bytes) && text.starts_with(&seen));
            let mut read = Vec::new();
            assert_eq!(reader.read_until(9, &mut read).ok(), Some(10));
            assert_eq!(reader.read_to_end(&mut read).ok(), Some(990));
            assert_eq!(read, text);
        }
    }
}
