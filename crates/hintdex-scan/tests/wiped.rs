//! Memory that held keys is zero before it goes back to the allocator. The memory of a table itself
//! never does: it is mapped, so that it can be locked, and the system zeroes pages that it takes
//! back. A table whose memory came from the allocator again would be counted below.
#![expect(unsafe_code, reason = "an allocator is unsafe")]
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hintdex_scan::{Backend, IdentityTable, KeyTable, OpeningKey, PacketOpener, SealedPacket};
use hintdex_wire::{
    DeviceId, HintKey, HintScheme, KeyId, KeySource as _, MasterKey, Packet, Sealer, TruncatedLen,
};

/// Looks at every allocation of a watched length when it is freed.
struct Watching;

/// Lengths from this one to twice as much are watched: those of the tables below,
/// and of nothing else.
const WATCHED_FROM_BYTES: usize = KEYS * 16;
/// The alignment of the lanes of a group of packets, and of nothing else.
const LANES_ALIGN_BYTES: usize = 64;

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
        let is_watched = (WATCHED_FROM_BYTES..=2 * WATCHED_FROM_BYTES).contains(&layout.size())
            || layout.align() == LANES_ALIGN_BYTES;
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

/// Opens packets whose keystream is of a watched length, each with a key that is derived.
fn open_long_packets(backend: Backend) {
    let Ok(opener) = PacketOpener::with_backend(backend) else { return };
    let (master, scheme) = (MasterKey::new(&[0xa5; 32]), HintScheme::Aes128);
    let keys = (0..16).map(|device| KeyId::first(DeviceId(device)));
    let radio: Vec<Vec<u8>> = keys
        .clone()
        .map(|key| {
            let hint_key = master.hint_key(key).expect("a key");
            let packet_key = master.packet_key(key).expect("a key");
            let mut radio = vec![0; 5_000];
            let mut sealer = Sealer::new(scheme, &hint_key, packet_key, 3);
            let len = sealer.seal(&[1; 4_400], &mut radio).expect("there is room");
            radio.truncate(len);
            radio
        })
        .collect();
    let sealed = |(key, radio)| SealedPacket {
        packet: Packet::parse(scheme, radio).expect("a packet"),
        nonce: 3,
        key: OpeningKey::Derived(master.packet_key_derivation(key).expect("a key")),
    };
    let packets: Vec<SealedPacket<'_>> =
        keys.zip(radio.iter().map(Vec::as_slice)).map(sealed).collect();
    assert!(opener.open(&packets).iter().all(Option::is_some), "{backend}");
}

/// One test, because there is one allocator.
#[test]
fn tables_and_lanes_wipe_their_keys_when_they_grow_and_when_they_are_dropped() {
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
    for backend in Backend::ALL.iter().filter(|of| PacketOpener::with_backend(**of).is_ok()) {
        // The lanes, the keystream, and the keys beside its blocks.
        assert_eq!(freed(|| open_long_packets(*backend)), (0, 3), "{backend}: packets");
    }
}
