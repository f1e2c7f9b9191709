//! The record of a master key that is kept outside of the fleet's folder: where it was when
//! the record was written. It is for messages, and nothing is read or run by it.

use hintdex_host::MAX_SECRET_LEN_BYTES;

/// The first line of the record.
const TITLE: &str = "hintdex master key elsewhere 1";

/// The text of a record.
pub(super) fn to_text(place: &str) -> String {
    // A path may hold a line end, and a record has two lines.
    let place: String = place.chars().filter(|character| !character.is_control()).collect();
    format!("{TITLE}\n{place}\n")
}

/// The place that a record names; `None` if the record is damaged.
pub(super) fn parse(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_LEN_BYTES)?;
    let mut lines = text.lines();
    let (title, place) = (lines.next()?, lines.next()?);
    let is_whole = title == TITLE && lines.next().is_none() && !place.is_empty();
    is_whole.then(|| place.to_owned())
}

/// The longest record that is read.
pub(super) const MAX_LEN_BYTES: usize = 4 * MAX_SECRET_LEN_BYTES;

#[cfg(test)]
mod tests {
    use super::{parse, to_text};

    #[test]
    fn a_record_names_its_place_in_one_line() {
        for place in ["credential:station", "/run/key", "command:/usr/bin/pass"] {
            assert_eq!(parse(to_text(place).as_bytes()).as_deref(), Some(place));
        }
        assert_eq!(parse(to_text("a\nb").as_bytes()).as_deref(), Some("ab"));
        for bad in ["", "x\ny\n", "hintdex master key elsewhere 1\n", "hintdex master key 2\nx\n"] {
            assert_eq!(parse(bad.as_bytes()), None);
        }
    }
}
