//! The identifiers that are looked for under many keys at once.

use std::collections::HashMap;

/// Bits of the filter for each head that is wanted: one head in 64 passes by chance.
const FILTER_BITS_PER_HEAD: usize = 64;

/// The heads that are looked for: a filter that nearly all others fail, and a map to the
/// places of the sightings.
pub struct HeadIndex {
    filter: Vec<u64>,
    places: HashMap<u64, Vec<usize>>,
}

impl HeadIndex {
    /// Of sightings, by their places and the heads of their identifiers.
    pub fn new(sightings: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, head) in sightings {
            places.entry(head).or_default().push(at);
        }
        let words = (places.len() * FILTER_BITS_PER_HEAD / 64).next_power_of_two();
        let mut wanted = Self { filter: vec![0; words], places };
        let heads: Vec<_> = wanted.places.keys().copied().collect();
        for head in heads {
            let (word, bit) = wanted.bit_of(head);
            if let Some(word) = wanted.filter.get_mut(word) {
                *word |= bit;
            }
        }
        wanted
    }

    /// Identifiers are uniform, so their bits are as good as a hash.
    fn bit_of(&self, head: u64) -> (usize, u64) {
        let mask = self.filter.len() as u64 - 1;
        let word = usize::try_from((head >> 6) & mask).unwrap_or(0);
        (word, 1 << (head & 63))
    }

    /// The places of the sightings of a head; nearly always none.
    pub fn places(&self, head: u64) -> &[usize] {
        let (word, bit) = self.bit_of(head);
        if self.filter.get(word).is_none_or(|word| word & bit == 0) {
            return &[];
        }
        self.places.get(&head).map_or(&[], Vec::as_slice)
    }
}
