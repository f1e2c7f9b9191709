//! The text of a key: its bytes in hex, 64 digits for a master key.

use std::io;
use std::path::{Path, PathBuf};

use hintdex_host::SecretSource;
use zeroize::Zeroizing;

use super::Secret;
use crate::Error;

/// Why a text of another length is no such key.
pub(super) const WRONG_LENGTH: &str = "it is too short or too long";

/// The hex digits of a master key and a line end.
pub(super) const LEN_BYTES: usize = 65;

/// Reads a secret of `N` bytes from its text, with white space around the digits.
///
/// # Errors
/// Why the text is no such key.
pub(super) fn parse<const N: usize>(text: &[u8]) -> Result<Box<Zeroizing<[u8; N]>>, &'static str> {
    let mut secret = Box::new(Zeroizing::new([0; N]));
    hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice()).map_err(
        |error| match error {
            hex::FromHexError::InvalidHexCharacter { .. } => {
                "it holds characters other than hex digits"
            }
            _ => WRONG_LENGTH,
        },
    )?;
    Ok(secret)
}

/// Reads a key of `N` bytes in hex from a source. `what` is the name of the key in messages.
pub(crate) fn read_key<const N: usize>(
    source: &SecretSource,
    what: &'static str,
) -> Result<Box<Zeroizing<[u8; N]>>, Error> {
    let parsed = match source.read(what) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.is_of_length() => Err(WRONG_LENGTH),
        Err(error) => return Err(error.into()),
    };
    let path = PathBuf::from(source.place());
    parsed.map_err(|why| Error::KeyFile { path, what, digits: 2 * N, why })
}

/// The text of a secret, with a line end.
///
/// The length is fixed: a text that grows would leave copies of the key on the heap.
pub(super) fn of(secret: &Secret) -> Zeroizing<[u8; LEN_BYTES]> {
    let mut text = Zeroizing::new([b'\n'; LEN_BYTES]);
    let digits = text.iter_mut().take(LEN_BYTES - 1);
    let nibbles = secret.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.zip(nibbles).for_each(|(digit, nibble)| {
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    });
    text
}

/// Generates a random secret, for the file `path`.
pub(super) fn generate(path: &Path) -> Result<Secret, Error> {
    let mut secret = Secret::default();
    random(secret.as_mut_slice(), path)?;
    Ok(secret)
}

/// Fills `bytes` with random bytes, for the file `path`.
pub(in crate::keys) fn random(bytes: &mut [u8], path: &Path) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| {
        Error::io("reading random bytes", path)(io::Error::other(error.to_string()))
    })
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::{Secret, of, parse};

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let mut secret = Secret::default();
        (0..).zip(secret.iter_mut()).for_each(|(at, byte): (u8, &mut u8)| *byte = at * 9);
        let text = of(&secret);
        assert_eq!(text.strip_suffix(b"\n"), Some(hex::encode(secret.as_slice()).as_bytes()));
        assert!(parse(text.as_slice()).expect("64 digits") == secret);
        let upper = format!("  {}\r\n", hex::encode_upper(secret.as_slice()));
        assert!(parse(upper.as_bytes()).expect("64 digits") == secret);
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(66), &"0g".repeat(32)] {
            assert!(parse::<32>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
