//! Base64 as gateways write it: either alphabet or both mixed, with or without padding.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of a text in the alphabets of RFC 4648, sections 4 and 5; `None` for another text.
///
/// The example in the text of Semtech's protocol mixes both alphabets, so a mixture is read.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<u8> = text.trim_ascii().bytes().map(standard).collect();
    LENIENT.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for text in ["+/+/AA==", "+/+/AA", "-_-_AA==", "-_-_AA", "-/+_AA", " +/+/AA== \n"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff, 0xbf, 0]), "{text}");
        }
        assert_eq!(decode(""), Some(vec![]));
        for text in ["*AAA", "A", "AA=A", "é", "AA AA"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
