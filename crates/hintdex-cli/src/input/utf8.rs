//! Text as UTF-8, whatever its encoding: UTF-8, or UTF-16 that begins with its byte order mark.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use super::secret::SecretReader;

/// Bytes of UTF-8 that are decoded at a time, at most.
const DECODED_LEN_BYTES: usize = 1 << 14;

/// A byte that occurs in no UTF-8: it stands for UTF-16 that is no text.
const NO_TEXT: u8 = 0xff;

/// The encoding of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// The encoding of a text, and the length of its byte order mark.
    fn of(first: &[u8]) -> (Self, usize) {
        match first {
            [0xff, 0xfe, ..] => (Self::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Self::Utf16Be, 2),
            [0xef, 0xbb, 0xbf, ..] => (Self::Utf8, 3),
            _ => (Self::Utf8, 0),
        }
    }

    const fn unit(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Utf16Be => u16::from_be_bytes(bytes),
            Self::Utf16Le | Self::Utf8 => u16::from_le_bytes(bytes),
        }
    }
}

/// A text as UTF-8, without its byte order mark. Its buffers are zeroized.
pub struct Utf8Reader<R> {
    input: SecretReader<R>,
    /// The encoding, once the first bytes were read.
    encoding: Option<Encoding>,
    /// Decoded UTF-16.
    decoded: Zeroizing<Vec<u8>>,
    /// How much of `decoded` was consumed.
    from: usize,
    /// A high surrogate whose other half has not come.
    high: Option<u16>,
}

impl<R: Read> Utf8Reader<R> {
    pub fn new(input: SecretReader<R>) -> Self {
        let decoded = Zeroizing::new(Vec::new());
        Self { input, encoding: None, decoded, from: 0, high: None }
    }

    fn encoding(&mut self) -> io::Result<Encoding> {
        if let Some(encoding) = self.encoding {
            return Ok(encoding);
        }
        let (encoding, mark_len_bytes) = Encoding::of(self.input.peek(3)?);
        self.input.consume(mark_len_bytes);
        if encoding != Encoding::Utf8 {
            // The buffer never grows: it would leave copies of keys on the heap.
            self.decoded.reserve_exact(DECODED_LEN_BYTES);
        }
        self.encoding = Some(encoding);
        Ok(encoding)
    }

    /// Decodes the next units of UTF-16, until some UTF-8 has come or the input has ended.
    fn decode(&mut self, encoding: Encoding) -> io::Result<()> {
        self.decoded.clear();
        self.from = 0;
        while self.decoded.is_empty() {
            let bytes = self.input.peek(2)?;
            if bytes.is_empty() {
                if self.high.take().is_some() {
                    self.decoded.push(NO_TEXT);
                }
                return Ok(());
            }
            // A unit is at most three bytes of UTF-8, with the mark of a lone surrogate four.
            let (units, half) = bytes.as_chunks::<2>();
            let units = units.get(..units.len().min(DECODED_LEN_BYTES / 4)).unwrap_or_default();
            for unit in units {
                decode_unit(encoding.unit(*unit), &mut self.high, &mut self.decoded);
            }
            if units.is_empty() && !half.is_empty() {
                self.decoded.push(NO_TEXT);
            }
            let used = if units.is_empty() { half.len() } else { 2 * units.len() };
            self.input.consume(used);
        }
        Ok(())
    }
}

fn decode_unit(unit: u16, high: &mut Option<u16>, decoded: &mut Vec<u8>) {
    let mut push = |units: &[u16]| {
        for read in char::decode_utf16(units.iter().copied()) {
            match read {
                Ok(character) => {
                    let mut bytes = [0; 4];
                    decoded.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                }
                Err(_) => decoded.push(NO_TEXT),
            }
        }
    };
    match (high.take(), unit) {
        (None, 0xd800..=0xdbff) => *high = Some(unit),
        (None, _) => push(&[unit]),
        (Some(first), _) => push(&[first, unit]),
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Utf8Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.encoding()? {
            Encoding::Utf8 => self.input.fill_buf(),
            encoding => {
                if self.from >= self.decoded.len() {
                    self.decode(encoding)?;
                }
                Ok(self.decoded.get(self.from..).unwrap_or_default())
            }
        }
    }

    fn consume(&mut self, len_bytes: usize) {
        match self.encoding {
            None | Some(Encoding::Utf8) => self.input.consume(len_bytes),
            Some(_) => self.from = self.decoded.len().min(self.from + len_bytes),
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn read(bytes: &[u8], buffer_len_bytes: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut reader = Utf8Reader::new(SecretReader::new(buffer_len_bytes, bytes));
        reader.read_to_end(&mut text).expect("memory can be read");
        text
    }

    #[test]
    fn each_encoding_reads_as_the_same_utf8() {
        let text = "id;Schlüssel\n1;😀\n".repeat(3000);
        let units = || text.encode_utf16();
        let le: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect();
        let be: Vec<u8> =
            [0xfe, 0xff].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect();
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for bytes in [le, be, marked, text.clone().into_bytes()] {
            for buffer_len_bytes in [3, 7, 64, 1 << 16] {
                assert!(read(&bytes, buffer_len_bytes) == text.as_bytes());
            }
        }
    }

    #[test]
    fn utf16_that_is_no_text_is_no_utf8() {
        for (bytes, expected) in [
            (&b"\xff\xfea\0b"[..], &b"a\xff"[..]),
            (b"\xff\xfe\x3d\xd8", b"\xff"),
            (b"\xff\xfe\x3d\xd8a\0", b"\xffa"),
            (b"\xff\xfe\0\xdca\0", b"\xffa"),
            (b"\xff\xfe", b""),
            (b"\xff", b"\xff"),
            (b"", b""),
        ] {
            assert_eq!(read(bytes, 64), expected, "{bytes:x?}");
        }
    }
}
