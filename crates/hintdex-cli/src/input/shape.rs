//! The shape of a line that is no packet: enough to see the fault, and not a character of the
//! line itself, which may be a key.

use std::fmt;

use super::fields::first_field;

/// The length and the kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Without the line end.
    len_bytes: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Binary,
    Quoted,
    Json,
    HexWithPrefix,
    HexWithSeparators,
    OddHex,
    Hex,
    /// With this many columns.
    Csv(usize),
    Base64,
    Text,
}

impl Shape {
    /// The shape of a line of `len_bytes` bytes, of which `line` was kept.
    pub fn of(line: &[u8], len_bytes: usize) -> Self {
        let text = line.trim_ascii();
        let is_whole = line.len() == len_bytes;
        let len_bytes = if is_whole { text.len() } else { len_bytes };
        Self { len_bytes, kind: Kind::of(text) }
    }
}

impl Kind {
    fn of(line: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(line) else { return Self::Binary };
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Self::Binary;
        }
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let first = first_field(text);
        let is_pair = |pair: &&str| pair.len() == 2 && is_hex(pair);
        let has_pairs = |between: char| text.split(between).take(3).filter(is_pair).count() == 3;
        match text.as_bytes() {
            [] => Self::Empty,
            [b'{' | b'[', ..] => Self::Json,
            [b'"' | b'\'', ..] => Self::Quoted,
            [b'0', b'x' | b'X', ..] => Self::HexWithPrefix,
            _ if [':', '-', ' ', '.'].into_iter().any(has_pairs) => Self::HexWithSeparators,
            _ if !first.is_empty() && is_hex(first) && first.len() % 2 == 1 => Self::OddHex,
            _ if !first.is_empty() && is_hex(first) => Self::Hex,
            bytes if bytes.contains(&b',') || bytes.contains(&b';') => {
                let is_between = |byte: &&u8| matches!(byte, b',' | b';');
                Self::Csv(bytes.iter().filter(is_between).count() + 1)
            }
            _ if is_base64(text) => Self::Base64,
            _ => Self::Text,
        }
    }
}

/// Whether a text may be base64, as gateways write it: long, of base64's characters alone,
/// and with digits and capitals, which a word of a language does not have.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_of =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let has = |is: fn(&u8) -> bool| body.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    body.len() >= 16 && body.bytes().all(is_of) && is_mixed && has(u8::is_ascii_digit)
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = if self.len_bytes == 1 { "byte" } else { "bytes" };
        write!(f, "{} {bytes} long, ", self.len_bytes)?;
        match self.kind {
            Kind::Empty => f.write_str("it is empty"),
            Kind::Binary => f.write_str("it holds bytes that are not text"),
            Kind::Quoted => f.write_str("it begins with a quotation mark"),
            Kind::Json => f.write_str("it looks like JSON"),
            Kind::HexWithPrefix => f.write_str("it has 0x in front"),
            Kind::HexWithSeparators => f.write_str("it has separators between its pairs of digits"),
            Kind::OddHex => f.write_str("it has an odd number of hex digits"),
            Kind::Hex => f.write_str("it begins with hex digits"),
            Kind::Csv(columns) => write!(f, "it looks like CSV with {columns} columns"),
            Kind::Base64 => f.write_str("it looks like base64"),
            Kind::Text => f.write_str("it looks like other text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_names_the_kind_of_a_line_and_quotes_none_of_it() {
        for (line, kind) in [
            (&b""[..], Kind::Empty),
            (b" \r", Kind::Empty),
            (b"{\"data\":\"f4a02359\"}", Kind::Json),
            (b"[1,2]", Kind::Json),
            (b"\"f4a02359\"", Kind::Quoted),
            (b"0xf4a02359", Kind::HexWithPrefix),
            (b"f4:a0:23:59", Kind::HexWithSeparators),
            (b"F4 A0 23 59", Kind::HexWithSeparators),
            (b"f4-a0-23-59-be", Kind::HexWithSeparators),
            (b"f4a02", Kind::OddHex),
            (b"f4a02 2026-11-23", Kind::OddHex),
            (b"f4a0", Kind::Hex),
            (b"f4a0 2026-11-23", Kind::Hex),
            (b"time,rssi,payload", Kind::Csv(3)),
            (b"2026-11-23T07:00:00Z;-97", Kind::Csv(2)),
            (b"9KAjWb4zsVa0MyuH6ONQtg==", Kind::Base64),
            (b"9KAjWb4zsVa0MyuH6ONQtg", Kind::Base64),
            (b"waiting for the receiver", Kind::Text),
            (b"Incomprehensibilities", Kind::Text),
            (b"\xff\xfe\x00", Kind::Binary),
            (b"up\0down", Kind::Binary),
        ] {
            let shape = Shape::of(line, line.len());
            assert_eq!(shape.kind, kind, "{}", String::from_utf8_lossy(line));
            assert_eq!(shape.len_bytes, line.trim_ascii().len());
        }
        // Of a line that is too long, only a part is kept.
        assert_eq!(Shape::of(b"00", 1 << 20).len_bytes, 1 << 20);
        assert_eq!(
            Shape::of(b"a", 1).to_string(),
            "1 byte long, it has an odd number of hex digits"
        );
    }
}
