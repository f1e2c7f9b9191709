//! What a device still holds of past epochs: a test of its own process, because it searches the
//! whole memory of the process.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use hintdex_wire::{Chain, HintScheme, RatchetBits, Sealer};

/// Bytes that were altered, so that the search does not find what it searches for.
struct Masked(Vec<u8>);

const MASK: u8 = 0x5a;

impl Masked {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    /// How often the bytes lie in the writable memory of this process.
    fn count(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
        let memory = File::open("/proc/self/mem").expect("Linux");
        let mut part = vec![0; 1 << 16];
        // The memory of the copy is left out: a read that copies it onto itself repeats what it
        // has read.
        let own = part.as_ptr_range();
        let own = own.start.addr() as u64..own.end.addr() as u64;
        let mut count = 0;
        for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
            let (range, _) = line.split_once(' ').expect("a range first");
            let (start, end) = range.split_once('-').expect("two ends");
            let address = |hex| u64::from_str_radix(hex, 16).expect("hex");
            let (start, end) = (address(start), address(end));
            for (mut at, end) in [(start, end.min(own.start)), (start.max(own.end), end)] {
                // The parts overlap, so that no occurrence is cut.
                while at < end {
                    let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(part.len());
                    let read = part.get_mut(..len).expect("at most its length");
                    if memory.read_exact_at(read, at).is_err() {
                        break;
                    }
                    read.iter_mut().for_each(|byte| *byte ^= MASK);
                    let found = |run: &&[u8]| *run == self.0.as_slice();
                    count += read.windows(self.0.len()).filter(found).count();
                    at += u64::try_from(len.saturating_sub(self.0.len()).max(1)).expect("64 bits");
                }
            }
        }
        part.fill(0);
        count
    }
}

/// Overwrites the part of the stack that earlier calls have used. The crate does not wipe what the
/// compiler spills there; later calls do.
#[inline(never)]
fn reuse_stack() {
    black_box(&mut [0u8; 1 << 16]);
}

/// A sealer on the heap, and the masked chain key and hint key of its first epoch.
#[inline(never)]
fn start() -> (Box<Sealer>, Masked, Masked) {
    let bits = RatchetBits::new(4).expect("1 to 24");
    let first = Chain::copy_of(0, &std::array::from_fn(|at| 0x80 ^ u8::try_from(at).unwrap_or(0)));
    let masked = (Masked::of(first.expose()), Masked::of(first.hint_key().expose()));
    let sealer = Sealer::ratcheted(HintScheme::Aes128, bits, first, 0).expect("for counters");
    (Box::new(sealer), masked.0, masked.1)
}

#[inline(never)]
fn seal(sealer: &mut Sealer) {
    sealer.seal(b"21.5 C", &mut [0; 64]).expect("it fits");
}

#[test]
fn a_sealer_keeps_no_key_of_a_past_epoch_in_memory() {
    let (mut sealer, chain, hint_key) = start();
    (0..16).for_each(|_| seal(&mut sealer));
    reuse_stack();
    assert!(chain.count() > 0 && hint_key.count() > 0, "the search finds what is there");
    seal(&mut sealer);
    reuse_stack();
    assert_eq!((chain.count(), hint_key.count()), (0, 0));
    let now = sealer.chain().map(|chain| Masked::of(chain.expose())).expect("it is ratcheted");
    assert!(now.count() > 0);
    drop(sealer);
    assert_eq!(now.count(), 0);
}
