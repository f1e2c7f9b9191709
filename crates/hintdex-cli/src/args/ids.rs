//! Ids of devices on the command line.

use std::str::FromStr;

/// One id, or a range of ids like `70000-79999` with its first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdRange {
    pub first: u32,
    pub last: u32,
}

impl IdRange {
    /// Whether `ids` name `id`; no ids name every id.
    pub fn name(ids: &[Self], id: u32) -> bool {
        ids.is_empty() || ids.iter().any(|range| (range.first..=range.last).contains(&id))
    }
}

impl FromStr for IdRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let id =
            |text: &str| text.trim().parse().map_err(|_| "an id is a number from 0 to 4294967295");
        let range = Self { first: id(first)?, last: id(last)? };
        if range.first > range.last {
            Err("the first id of a range is not above its last")
        } else {
            Ok(range)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::IdRange;

    #[test]
    fn ids_are_numbers_and_ranges() {
        assert_eq!("7".parse(), Ok(IdRange { first: 7, last: 7 }));
        assert_eq!("0-4294967295".parse(), Ok(IdRange { first: 0, last: u32::MAX }));
        for bad in ["", "-", "1-", "-1", "2-1", "4294967296", "a", "1-2-3"] {
            assert!(bad.parse::<IdRange>().is_err(), "{bad}");
        }
    }
}
