use super::build::build_by;
use super::*;
use crate::format::{Checks, DATA_OFFSET_BYTES};
use crate::hash;
use crate::kernel::Kernel;

/// A function in memory, as a reader sees it in a file.
struct Built {
    file: Vec<u8>,
    checks: Checks,
    function: PerfectHash,
}

impl Built {
    fn new(heads: &[u64], seed: u64) -> Self {
        let mut file = vec![0; DATA_OFFSET_BYTES];
        let counts = build(heads.to_vec(), seed, &mut file);
        Self::open(file, &counts, seed).expect("the counts are right")
    }

    fn open(file: Vec<u8>, counts: &Counts, seed: u64) -> Option<Self> {
        let bytes = DATA_OFFSET_BYTES..file.len();
        let function = PerfectHash::open(counts, seed, bytes)?;
        // No block to check: all of the file is whole.
        Some(Self { file, checks: Checks::new([0; 16], 0..0, 0..0), function })
    }

    fn index(&self, head: u64) -> u32 {
        let bytes = Checked::new(&self.file, &self.checks);
        self.function.index(&bytes, head).expect("nothing is damaged")
    }

    fn bits_per_head(&self, heads: usize) -> f64 {
        (self.file.len() - DATA_OFFSET_BYTES) as f64 * 8.0 / heads as f64
    }
}

/// Distinct heads without any order.
fn heads(count: u64, first: u64) -> Vec<u64> {
    (first..first + count).map(hash::mix).collect()
}

fn is_minimal_and_perfect(heads: &[u64], seed: u64) -> Built {
    let built = Built::new(heads, seed);
    let mut seen = vec![false; heads.len()];
    for &head in heads {
        let index = built.index(head) as usize;
        assert!(!std::mem::replace(&mut seen[index], true), "{index} twice");
    }
    built
}

#[test]
fn every_number_is_returned_once() {
    for count in (0..70).chain([100, 1000, 1023, 1024, 1025, 5000, 100_000]) {
        for seed in 0..3 {
            is_minimal_and_perfect(&heads(count, seed * 1_000_000), seed);
        }
    }
}

#[test]
fn a_head_takes_at_most_two_bits() {
    let heads = heads(600_000, 0);
    let bits = is_minimal_and_perfect(&heads, 7).bits_per_head(heads.len());
    println!("{bits:.3} bits a head");
    assert!(bits < 2.0, "{bits} bits a head");
}

#[test]
fn every_kernel_builds_the_same_function() {
    for count in [1, 10, 1000, 30_000] {
        let mut built = Kernel::all().map(|kernel| {
            let mut bytes = Vec::new();
            let counts = build_by(kernel, heads(count, 0), 7, &mut bytes);
            (counts, bytes)
        });
        let portable = built.next().expect("there is a portable kernel");
        assert!(built.all(|other| other == portable), "{count} heads");
    }
}

/// Seeds that no builder writes, among them such as wrap around the end of a slice.
#[test]
fn damaged_seeds_return_a_number_in_range() {
    for count in [1, 2, 9, 40, 200, 5000] {
        let mut file = vec![0; DATA_OFFSET_BYTES];
        let counts = build(heads(count, 0), 7, &mut file);
        for (place, at) in file.iter_mut().skip(DATA_OFFSET_BYTES).zip(0..) {
            [*place, ..] = hash::mix(at).to_le_bytes();
        }
        let damaged = Built::open(file, &counts, 7).expect("the counts are right");
        for head in heads(1000, 3) {
            assert!(u64::from(damaged.index(head)) < count, "{count} heads");
        }
    }
}
