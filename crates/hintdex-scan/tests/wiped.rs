//! Memory that held keys is zero before it goes back to the allocator. The memory of a table itself
//! never does: it is mapped, so that it can be locked, and the system zeroes pages that it takes
//! back. A table whose memory came from the allocator again would be counted below.
#![expect(unsafe_code, reason = "an allocator is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hintdex_scan::{Backend, IdentityTable, KeyTable};
use hintdex_wire::{HintKey, HintScheme, TruncatedLen};

/// Looks at every allocation of a watched length when it is freed.
struct Watching;

/// Lengths from this one to twice as much are watched: those of the tables below,
/// and of nothing else.
const WATCHED_FROM_BYTES: usize = KEYS * 16;

static IS_ON: AtomicBool = AtomicBool::new(false);
static WIPED: AtomicUsize = AtomicUsize::new(0);
static NOT_WIPED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to `System`. All memory is zero when it is handed out,
// so that each byte may be read when it comes back.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let is_watched = (WATCHED_FROM_BYTES..=2 * WATCHED_FROM_BYTES).contains(&layout.size());
        if is_watched && IS_ON.load(Ordering::SeqCst) {
            // SAFETY: the caller frees `layout.size()` bytes at `at`, so they are
            // readable until then, and `alloc` has initialized all of them.
            let memory = unsafe { std::slice::from_raw_parts(at, layout.size()) };
            let count = if memory.iter().all(|byte| *byte == 0) { &WIPED } else { &NOT_WIPED };
            count.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller's promises are `System`'s.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Keys of a table: a length that no other allocation here has.
const KEYS: usize = 4_099;

fn keys(count: usize) -> Vec<HintKey> {
    (0..count).map(|_| HintKey::from_bytes([0xa5; 16])).collect()
}

/// Runs `work` and returns how many watched allocations were freed with and without
/// a byte that is not zero.
fn freed(work: impl FnOnce()) -> (usize, usize) {
    IS_ON.store(true, Ordering::SeqCst);
    work();
    IS_ON.store(false, Ordering::SeqCst);
    (NOT_WIPED.swap(0, Ordering::SeqCst), WIPED.swap(0, Ordering::SeqCst))
}

/// One test, because there is one allocator.
#[test]
fn tables_wipe_their_keys_when_they_grow_and_when_they_are_dropped() {
    let unwiped = vec![7_u8; WATCHED_FROM_BYTES];
    assert_eq!(freed(|| drop(unwiped)), (1, 0), "the allocator sees what is not wiped");

    let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
    for scheme in [HintScheme::Aes128, HintScheme::Speck64, truncated] {
        for backend in Backend::ALL {
            let Ok(mut table) = KeyTable::with_backend(scheme, *backend) else { continue };
            let given = keys(KEYS);
            assert_eq!(freed(|| table.extend(given)), (0, 1), "{scheme} {backend}: the keys given");
            let copy = table.clone();
            assert_eq!(freed(|| table.extend(keys(1))), (0, 0), "{scheme} {backend}: growth");
            assert_eq!(freed(|| drop(table)), (0, 0), "{scheme} {backend}: drop");
            assert_eq!(freed(|| drop(copy)), (0, 0), "{scheme} {backend}: drop of a clone");
        }
    }
    for backend in Backend::ALL {
        let Ok(mut table) = IdentityTable::with_backend(*backend) else { continue };
        table.extend(keys(KEYS));
        assert_eq!(freed(|| table.extend(keys(1))), (0, 0), "{backend}: growth");
        assert_eq!(freed(|| drop(table)), (0, 0), "{backend}: drop");
    }
}
