//! Sorting what a hash, or a cipher, has spread.

/// A hash of a hint and what goes with it, in twelve bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(super) struct Keyed {
    pub hash: u64,
    pub value: u32,
}

impl Keyed {
    /// Whether it comes after `other`.
    #[inline]
    const fn is_behind(self, other: Self) -> bool {
        self.hash > other.hash || self.hash == other.hash && self.value > other.value
    }
}

/// About how many keys a part has: they and their copy fit into a core's nearest cache.
const PART_LEN_KEYS: usize = 1024;

/// The most parts, so that the places written to by turns stay few.
const MAX_PART_BITS: u32 = 11;

/// The most keys of a place that are put in order by exchanging neighbours: by chance,
/// there are hardly ever ten.
const MAX_CROWD_LEN_KEYS: usize = 32;

/// `keys` in the order of hash and value.
///
/// Hashes that are spread evenly over all 64 bits are nearly in order once they are dealt
/// by their upper bits: first to parts that fit into the cache, then within each part to
/// as many places as it has keys. What is left are exchanges of neighbours. Hashes that
/// are not spread are sorted, too, only by comparisons.
pub(super) fn sorted(keys: impl ExactSizeIterator<Item = Keyed> + Clone) -> Vec<Keyed> {
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
        if lens(&place_ends).any(|len| len > MAX_CROWD_LEN_KEYS) {
            part.sort_unstable_by_key(|key| (key.hash, key.value));
        } else {
            sort_neighbours(part);
        }
    }
    sorted
}

/// Sorts keys of which none is far from its place.
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

/// Puts the last key in its place among the others, which are sorted.
fn sink(mut keys: &mut [Keyed]) {
    while let [.., before, last] = keys
        && before.is_behind(*last)
    {
        core::mem::swap(before, last);
        keys = keys.split_last_mut().map_or(&mut [], |(_, rest)| rest);
    }
}

/// Copies `keys` to `to`, dealt by the `count` bits of their hashes behind the first
/// `skipped`, and says where each of the 2^`count` places ends.
fn deal(
    keys: impl Iterator<Item = Keyed> + Clone,
    skipped: u32,
    count: u32,
    to: &mut [Keyed],
    ends: &mut Vec<usize>,
) {
    // Two shifts, so that no bits at all are place 0.
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

/// How many keys each of the places has that end there.
fn lens(ends: &[usize]) -> impl Iterator<Item = usize> {
    let mut start = 0;
    ends.iter().map(move |&end| end - core::mem::replace(&mut start, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(hashes: impl Iterator<Item = u64>) {
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
            holds(hashes.into_iter());
        }

        /// Few bits, at either end: crowds, and equal hashes.
        #[test]
        fn hashes_that_are_not_spread_are_sorted(
            hashes in prop::collection::vec(0_u64..100, 0..5000),
            shift in 0_u32..=57,
        ) {
            holds(hashes.into_iter().map(|hash| hash << shift));
        }
    }
}
