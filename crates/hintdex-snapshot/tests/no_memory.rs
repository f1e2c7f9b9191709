//! When the system refuses memory, a build returns an error and the process goes on.
#![expect(clippy::expect_used, clippy::panic, unsafe_code, reason = "an allocator is unsafe")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use hintdex_snapshot::{BuildError, Builder, Dial, Encoding, HintSource};
use hintdex_wire::Slot;
use support::{key, params};

/// An allocator that refuses long requests, except for the first few.
struct Refusing;

/// The longest request that is granted.
static MOST_LEN_BYTES: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The number of long requests that are still granted.
static SPARED: AtomicUsize = AtomicUsize::new(0);
/// The length of the first refused request.
static REFUSED_LEN_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the memory is null or comes from `System`.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let is_long = layout.size() > MOST_LEN_BYTES.load(Ordering::SeqCst);
        if is_long && SPARED.load(Ordering::SeqCst) > 0 {
            SPARED.fetch_sub(1, Ordering::SeqCst);
        } else if is_long {
            let (from, to) = (0, layout.size());
            let _ =
                REFUSED_LEN_BYTES.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// A fleet of one slot, whose hints are all in the first shard.
struct Crowded {
    announced: u64,
    returned: u64,
}

impl HintSource for Crowded {
    fn hint_count(&self) -> u64 {
        self.announced
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        (0..self.returned).for_each(|head| each(head, Slot(slots.start)));
    }
}

/// One test, because all tests of a program share the allocator.
#[test]
fn memory_that_is_refused_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let build = |most_len_bytes, spared, memory_bytes, announced, returned| {
        let params = params(Encoding::Ribbon, Dial::Tries(1), 0..1);
        let key = key();
        let builder = Builder::new(params, &key).threads(1).memory_bytes(memory_bytes);
        REFUSED_LEN_BYTES.store(0, Ordering::SeqCst);
        SPARED.store(spared, Ordering::SeqCst);
        MOST_LEN_BYTES.store(most_len_bytes, Ordering::SeqCst);
        let source = Crowded { announced, returned };
        let built = builder.build(&source, dir.path().join("fleet.hdx"));
        MOST_LEN_BYTES.store(usize::MAX, Ordering::SeqCst);
        match built {
            Err(BuildError::OutOfMemory { asked_bytes, memory_bytes: given }) => {
                assert_eq!(given, memory_bytes);
                asked_bytes
            }
            other => panic!("{other:?}"),
        }
    };
    let refused = || REFUSED_LEN_BYTES.load(Ordering::SeqCst) as u64;
    // The room of one shard: refused as the sum of all shards, and as the shard's own.
    for spared in [0, 1] {
        let asked_bytes = build(1 << 20, spared, 5, 1 << 20, 0);
        assert!((12 << 20..13 << 20).contains(&asked_bytes), "{asked_bytes}");
        assert_eq!(refused(), asked_bytes);
    }
    // The sum of all shards, each of which alone would be granted.
    let asked_bytes = build(1 << 30, 0, u64::MAX, 1 << 40, 0);
    assert!((12 << 40..13 << 40).contains(&asked_bytes), "{asked_bytes}");
    assert_eq!(refused(), asked_bytes);
    // The room of more hints than announced, when a shard grows.
    let asked_bytes = build(1 << 20, 0, 5, 1_000, 1 << 20);
    assert!((1 << 19..13 << 20).contains(&asked_bytes), "{asked_bytes}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
}
