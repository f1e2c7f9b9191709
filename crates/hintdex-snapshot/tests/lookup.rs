//! Every hint of every slot is found.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use hintdex_snapshot::{Builder, CandidateBatch, Dial, Encoding, Snapshot};
use support::{Fleet, hint, key, params};

#[test]
fn million() {
    let fleet = Fleet::new(1_000_000, 10);
    let dir = tempfile::tempdir().expect("a folder");
    for (encoding, dial) in [
        (Encoding::Ribbon, Dial::Bits(20)),
        (Encoding::Ribbon, Dial::Bits(15)),
        (Encoding::Ribbon, Dial::Bits(10)),
        (Encoding::Dense, Dial::Tries(32)),
        (Encoding::Sorted, Dial::Tries(1)),
    ] {
        let path = dir.path().join("a.hdx");
        let key = key();
        let t = std::time::Instant::now();
        let report = Builder::new(params(encoding, dial, fleet.slots.clone()), &key)
            .threads(2)
            .build(&fleet, &path)
            .expect("built");
        println!(
            "{encoding} {dial:?} {:?} {report:?} {:.4} B/hint",
            t.elapsed(),
            report.bytes as f64 / 1e7
        );
        let snapshot = Snapshot::open(&path, &key).expect("opened");
        println!("{:?}", snapshot.stats());
        let t = std::time::Instant::now();
        let mut tried = 0;
        for (head, slot) in fleet.all() {
            let mut found = false;
            for range in snapshot.candidates(&hint(head)).expect("whole") {
                found |= range.contains(&slot);
                tried += range.len();
            }
            assert!(found, "{head:x} {slot}");
        }
        println!("lookup {:?} each, tried {}", t.elapsed() / 10_000_000, tried as f64 / 1e7);
    }
}
