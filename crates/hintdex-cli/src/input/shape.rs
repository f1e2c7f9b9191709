//! What a line that is no packet looks like: enough to see what went wrong, and not a
//! character of the line itself, which may be a key.

use std::fmt;

/// What a line looks like, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Without what ends it.
    len_bytes: usize,
    looks: Looks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Empty,
    Binary,
    Quoted,
    Json,
    HexWithPrefix,
    HexWithSeparators,
    OddHex,
    Hex,
    /// With so many columns.
    Csv(usize),
    Base64,
    Text,
}

impl Shape {
    /// The shape of a line of which `line` was kept and which has `len_bytes` in all.
    pub fn of(line: &[u8], len_bytes: usize) -> Self {
        let text = line.trim_ascii();
        let is_whole = line.len() == len_bytes;
        let len_bytes = if is_whole { text.len() } else { len_bytes };
        Self { len_bytes, looks: Looks::of(text) }
    }
}

impl Looks {
    fn of(line: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(line) else { return Self::Binary };
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Self::Binary;
        }
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let first = text.split([' ', '\t', ',', ';']).next().unwrap_or_default();
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

/// Whether this may be base64, as gateways write it: long, of its characters alone, and no
/// word of a language, which has no digits and capitals in it.
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
        match self.looks {
            Looks::Empty => f.write_str("it is empty"),
            Looks::Binary => f.write_str("it holds bytes that are no text"),
            Looks::Quoted => f.write_str("it begins with a quotation mark"),
            Looks::Json => f.write_str("it looks like JSON"),
            Looks::HexWithPrefix => f.write_str("it has 0x in front"),
            Looks::HexWithSeparators => f.write_str("it has something between its pairs of digits"),
            Looks::OddHex => f.write_str("it has an odd number of hex digits"),
            Looks::Hex => f.write_str("it begins with hex digits"),
            Looks::Csv(columns) => write!(f, "it looks like CSV with {columns} columns"),
            Looks::Base64 => f.write_str("it looks like base64"),
            Looks::Text => f.write_str("it looks like other text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_what_the_line_is_and_nothing_of_it() {
        for (line, looks) in [
            (&b""[..], Looks::Empty),
            (b" \r", Looks::Empty),
            (b"{\"data\":\"f4a02359\"}", Looks::Json),
            (b"[1,2]", Looks::Json),
            (b"\"f4a02359\"", Looks::Quoted),
            (b"0xf4a02359", Looks::HexWithPrefix),
            (b"f4:a0:23:59", Looks::HexWithSeparators),
            (b"F4 A0 23 59", Looks::HexWithSeparators),
            (b"f4-a0-23-59-be", Looks::HexWithSeparators),
            (b"f4a02", Looks::OddHex),
            (b"f4a02 2026-11-23", Looks::OddHex),
            (b"f4a0", Looks::Hex),
            (b"f4a0 2026-11-23", Looks::Hex),
            (b"time,rssi,payload", Looks::Csv(3)),
            (b"2026-11-23T07:00:00Z;-97", Looks::Csv(2)),
            (b"9KAjWb4zsVa0MyuH6ONQtg==", Looks::Base64),
            (b"9KAjWb4zsVa0MyuH6ONQtg", Looks::Base64),
            (b"waiting for the receiver", Looks::Text),
            (b"Incomprehensibilities", Looks::Text),
            (b"\xff\xfe\x00", Looks::Binary),
            (b"up\0down", Looks::Binary),
        ] {
            let shape = Shape::of(line, line.len());
            assert_eq!(shape.looks, looks, "{}", String::from_utf8_lossy(line));
            assert_eq!(shape.len_bytes, line.trim_ascii().len());
        }
        // Of a line that is too long only a part is kept.
        assert_eq!(Shape::of(b"00", 1 << 20).len_bytes, 1 << 20);
        assert_eq!(
            Shape::of(b"a", 1).to_string(),
            "1 byte long, it has an odd number of hex digits"
        );
    }
}
