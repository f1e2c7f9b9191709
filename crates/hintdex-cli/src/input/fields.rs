//! The fields of a line: hex digits, and text after them.

/// The longest packet that is read, in bytes. No radio sends longer packets.
pub const MAX_PACKET_LEN_BYTES: usize = 65_535;

/// The most bytes of text after the hex digits: separators, a time, and the line end.
const MAX_TRAILING_LEN_BYTES: usize = 64;

/// The most bytes of a line that are kept.
pub const MAX_LINE_LEN_BYTES: usize = 2 * MAX_PACKET_LEN_BYTES + MAX_TRAILING_LEN_BYTES;

/// Whether a byte separates the hex digits from the text after them.
const fn is_separator(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b',' | b';')
}

/// Splits a line into its hex digits and the text after the first separator. White space
/// around both is removed.
pub fn split_fields(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii();
    let end = line.iter().position(is_separator).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    (digits, rest.split_first().map_or(rest, |(_, rest)| rest.trim_ascii()))
}

/// Reads bytes in hex, with `0x` in front, or with one separator, a colon or a dash, between
/// all pairs of digits. `None` if the text is something else.
pub fn read_pairs(text: &[u8]) -> Option<Vec<u8>> {
    let separator = *text.get(2).filter(|byte| matches!(byte, b':' | b'-')).unwrap_or(&0);
    if separator != 0 {
        let pairs = text.split(|byte| *byte == separator);
        let pair = |pair: &[u8]| {
            let mut byte = [0];
            hex::decode_to_slice(pair, &mut byte).ok().map(|()| byte[0])
        };
        return pairs.map(pair).collect();
    }
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    hex::decode(digits).ok()
}

/// The first field of a line of text.
pub fn first_field(text: &str) -> &str {
    text.split([' ', '\t', ',', ';']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::split_fields;

    #[test]
    fn a_line_is_split_at_its_first_separator() {
        for line in ["ab 17", "ab,17", "ab;17", "ab\t17", "  ab, 17\r", "ab  17"] {
            assert_eq!(split_fields(line.as_bytes()), (&b"ab"[..], &b"17"[..]), "{line:?}");
        }
        for line in ["ab", " ab\r", "ab,", "ab; "] {
            assert_eq!(split_fields(line.as_bytes()), (&b"ab"[..], &b""[..]), "{line:?}");
        }
        assert_eq!(split_fields(b"ab 17 18"), (&b"ab"[..], &b"17 18"[..]));
    }
}
