//! Keys as people write them: hex or base64, with separators and prefixes.
//!
//! The length of a key is known, so it separates the readings: a key of n bytes is 2n hex
//! digits, or ⌈4n/3⌉ characters of base64. No text is a key of the same length in both.

use zeroize::Zeroizing;

use super::secret::describe;

/// Why a text is no key of a length. The text itself is described, never quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// Hex digits, but not of this length.
    Length { digits: usize },
    /// Neither hex nor base64 of this length.
    Other {
        /// The number and the kind of the characters.
        given: String,
        /// The length of the key that base64 yields, if the text is base64.
        base64_len_bytes: Option<usize>,
    },
    /// All zeros: the key was never written.
    Zero,
}

/// Words in front of a key that name it.
const NAMES: [&str; 2] = ["irk:", "key:"];

/// Reads a key of `LEN` bytes.
///
/// The forms are hex digits, with `0x` in front or with colons, dashes or spaces between
/// pairs, and base64 in either alphabet, with or without padding. `irk:`, `key:`, `hex:` and
/// `base64:` may stand in front.
pub fn read_key<const LEN: usize>(text: &str) -> Result<Zeroizing<[u8; LEN]>, BadKey> {
    let named = NAMES.iter().find_map(|name| after_prefix(text, name)).unwrap_or(text).trim();
    let (hex_text, base64_text) =
        match (after_prefix(named, "hex:"), after_prefix(named, "base64:")) {
            (Some(digits), _) => (Some(digits), None),
            (_, Some(characters)) => (None, Some(characters)),
            (None, None) => (Some(named), Some(named)),
        };
    let mut key = Zeroizing::new([0; LEN]);
    let digits = hex_text.and_then(|text| read_hex(text, key.as_mut_slice()));
    let base64_len_bytes = match base64_text {
        Some(text) if digits != Some(2 * LEN) => read_base64(text, key.as_mut_slice()),
        _ => None,
    };
    match (digits, base64_len_bytes) {
        (Some(digits), _) if digits == 2 * LEN => {}
        (_, Some(len_bytes)) if len_bytes == LEN => {}
        (Some(digits), _) => return Err(BadKey::Length { digits }),
        (None, base64_len_bytes) => {
            let given = describe(hex_text.or(base64_text).unwrap_or_default());
            return Err(BadKey::Other { given, base64_len_bytes });
        }
    }
    if key.iter().fold(0, |all, byte| all | byte) == 0 {
        return Err(BadKey::Zero);
    }
    Ok(key)
}

/// The text after a prefix in any case.
fn after_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (front, rest) = text.trim_start().split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then(|| rest.trim())
}

/// Reads hex into `into`. Returns the number of digits; `None` if the text is not hex.
fn read_hex(text: &str, into: &mut [u8]) -> Option<usize> {
    let text = after_prefix(text, "0x").unwrap_or(text);
    let mut digits = 0;
    for character in text.chars() {
        if matches!(character, ':' | '-' | ' ') && digits % 2 == 0 && digits > 0 {
            continue;
        }
        let digit = u8::try_from(character.to_digit(16)?).ok()?;
        if let Some(byte) = into.get_mut(digits / 2) {
            *byte = *byte << 4 | digit;
        }
        digits += 1;
    }
    Some(digits)
}

/// Reads base64 (RFC 4648) into `into`. Returns the length in bytes; `None` if the text is
/// not base64: another character, both alphabets, wrong padding, or bits beyond the last byte.
fn read_base64(text: &str, into: &mut [u8]) -> Option<usize> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let is_padded = padding > 0;
    if body.len() % 4 == 1 || is_padded && (padding > 2 || !text.len().is_multiple_of(4)) {
        return None;
    }
    let has = |characters: [char; 2]| body.contains(characters);
    if has(['+', '/']) && has(['-', '_']) {
        return None;
    }
    into.fill(0);
    let (mut bits, mut bit_count, mut len_bytes) = (0_u32, 0, 0);
    for character in body.bytes() {
        bits = bits << 6 | u32::from(sextet(character)?);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            if let Some(byte) = into.get_mut(len_bytes) {
                *byte = u8::try_from(bits >> bit_count & 0xff).ok()?;
            }
            bits &= (1 << bit_count) - 1;
            len_bytes += 1;
        }
    }
    (bits == 0).then_some(len_bytes)
}

const fn sextet(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}
