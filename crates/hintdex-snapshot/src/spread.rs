//! Sorting of hashes that are spread evenly, as the output of a hash function or a cipher.

/// A hash of a hint and a value, in twelve bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(crate) struct Keyed {
    pub hash: u64,
    pub value: u32,
}

impl Keyed {
    /// Whether this key comes after `other`.
    #[inline]
    const fn is_behind(self, other: Self) -> bool {
        self.hash > other.hash || self.hash == other.hash && self.value > other.value
    }
}

/// The mean number of keys in a part. A part and its copy fit into the level 1 cache.
const PART_LEN_KEYS: usize = 1024;

/// The most bits that select a part, so that few parts are written alternately.
const MAX_PART_BITS: u32 = 11;

/// The most keys of a place that are sorted by exchanges. Evenly spread hashes hardly ever
/// have ten in a place.
const MAX_PLACE_LEN_KEYS: usize = 32;

/// The keys, sorted by hash and value.
///
/// The upper bits of a hash select a part that fits into the cache, and within the part one of
/// about as many places as the part has keys. Evenly spread hashes are then nearly sorted, and
/// exchanges of neighbours complete the order. A part with a crowded place is sorted by
/// comparisons instead.
pub(crate) fn sorted(keys: impl ExactSizeIterator<Item = Keyed> + Clone) -> Vec<Keyed> {
    let part_bits = (keys.len() / PART_LEN_KEYS).max(1).ilog2().min(MAX_PART_BITS);
    let mut sorted = vec![Keyed::default(); keys.len()];
    let (mut ends, mut copy) = (Vec::new(), Vec::new());
    deal(keys, 0, part_bits, &mut sorted, &mut ends);
    let (mut rest, mut place_ends) = (sorted.as_mut_slice(), Vec::new());
    for len in lens(&ends) {
        let (part, after) = rest.split_at_mut(len);
        rest = after;
        copy.clear();
        copy.extend_from_slice(part);
        let place_bits = len.next_power_of_two().ilog2();
        deal(copy.iter().copied(), part_bits, place_bits, part, &mut place_ends);
        if lens(&place_ends).any(|len| len > MAX_PLACE_LEN_KEYS) {
            part.sort_unstable_by_key(|key| (key.hash, key.value));
        } else {
            sort_neighbours(part);
        }
    }
    sorted
}

/// Sorts keys by insertion: each is near its final position.
fn sort_neighbours(keys: &mut [Keyed]) {
    let mut before = Keyed::default();
    for end in 1..=keys.len() {
        let done = keys.get_mut(..end).unwrap_or_default();
        match done.last() {
            Some(last) if before.is_behind(*last) => sink(done),
            last => before = last.copied().unwrap_or_default(),
        }
    }
}

/// Moves the last key to its position among the others, which are sorted.
fn sink(mut keys: &mut [Keyed]) {
    while let [.., before, last] = keys
        && before.is_behind(*last)
    {
        core::mem::swap(before, last);
        keys = keys.split_last_mut().map_or(&mut [], |(_, rest)| rest);
    }
}

/// Copies `keys` to `to`, ordered by `count` bits of their hashes behind the first `skipped`
/// bits (a counting sort). `ends` receives the end of each of the 2^`count` places.
fn deal(
    keys: impl Iterator<Item = Keyed> + Clone,
    skipped: u32,
    count: u32,
    to: &mut [Keyed],
    ends: &mut Vec<usize>,
) {
    // Two shifts: one shift by 64, for no bits, would overflow.
    let place_of = |key: Keyed| (key.hash << skipped >> 1 >> (u64::BITS - 1 - count)) as usize;
    ends.clear();
    ends.resize(1 << count, 0);
    for key in keys.clone() {
        if let Some(len) = ends.get_mut(place_of(key)) {
            *len += 1;
        }
    }
    let mut sum = 0;
    for end in ends.iter_mut() {
        sum += core::mem::replace(end, sum);
    }
    for key in keys {
        if let Some(end) = ends.get_mut(place_of(key)) {
            if let Some(place) = to.get_mut(*end) {
                *place = key;
            }
            *end += 1;
        }
    }
}

/// The number of keys in each of the places with these ends.
fn lens(ends: &[usize]) -> impl Iterator<Item = usize> {
    let mut start = 0;
    ends.iter().map(move |&end| end - core::mem::replace(&mut start, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_sorted(hashes: impl Iterator<Item = u64>) {
        let keys: Vec<_> = hashes.zip([3, 1, 2].into_iter().cycle()).collect();
        let keyed = keys.iter().map(|&(hash, value)| Keyed { hash, value });
        let order = |key: &Keyed| (key.hash, key.value);
        let mut expected: Vec<_> = keyed.clone().collect();
        expected.sort_by_key(order);
        assert_eq!(sorted(keyed), expected);
    }

    proptest! {
        #[test]
        fn any_hashes_are_sorted(hashes in prop::collection::vec(any::<u64>(), 0..5000)) {
            assert_sorted(hashes.into_iter());
        }

        /// Hashes of few bits, at either end of the word: crowded places, and equal hashes.
        #[test]
        fn hashes_that_are_not_spread_are_sorted(
            hashes in prop::collection::vec(0_u64..100, 0..5000),
            shift in 0_u32..=57,
        ) {
            assert_sorted(hashes.into_iter().map(|hash| hash << shift));
        }
    }
}
