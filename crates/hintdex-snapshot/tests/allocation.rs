//! No file makes its reader allocate more than twice the length of the file.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "a test stops at the first surprise, and an allocator is unsafe"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use hintdex_snapshot::{Dial, Snapshot};
use support::repair::repair;
use support::{Fleet, build_bytes, hint, key, params};

/// An allocator that counts the allocated bytes and their maximum.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: `System` does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        MOST.fetch_max(now, Ordering::SeqCst);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` had allocated at one time.
fn most_allocated(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    work();
    MOST.load(Ordering::SeqCst) - before
}

/// One test, because all tests of a program share the counters.
#[test]
fn opening_takes_at_most_twice_the_file() {
    for encoding in support::STORED {
        let fleet = Fleet::new(9_000, 4);
        let whole = build_bytes(&fleet, params(encoding, Dial::Tries(16), fleet.slots.clone()));
        let key = key();
        let mut opened = 0;
        let mut check = |bytes: &[u8]| {
            let most = most_allocated(|| {
                if let Ok(snapshot) = Snapshot::from_bytes(bytes, &key) {
                    opened += 1;
                    let candidates = snapshot.candidates(&hint(1 << 63)).expect("repaired");
                    candidates.for_each(drop);
                }
            });
            // The copy of the file is a mapping, which no allocator sees.
            assert!(most <= bytes.len(), "{most} bytes for a file of {}", bytes.len());
        };
        check(&whole);
        // Changes every byte of the header and repairs all checks.
        for at in 8..176 {
            for value in [0, 1, 0x7f, 0xff, whole[at] ^ 1, whole[at] ^ 0x80] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                repair(&mut bytes);
                check(&bytes);
            }
        }
        assert!(opened > 1, "no changed file passed the checks");
    }
    assert!(NOW.load(Ordering::SeqCst) > 0, "the allocator counts");
}
