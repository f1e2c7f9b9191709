//! Building large snapshots in little memory.
//!
//! ```text
//! cargo run --release --bin scale -- [--devices 10000000] [--horizon 100] [--memory-mib 2048]
//!                                    [--bits 20] [--threads 2]
//! ```
//!
//! Keys come from a master key and hints from the keys, again at every pass, as
//! a station makes them. Prints bytes a hint, rates, the passes and the most
//! memory the process ever had; then opens the file, checks all of it, and looks
//! up every hint of some devices.

use std::ops::Range;
use std::time::Instant;

use hintdex_compare::fleet::{SEED, manifest_key, params, scramble};
use hintdex_compare::memory::peak_resident_bytes;
use hintdex_compare::turns::{argument, now};
use hintdex_snapshot::{Builder, Dial, Encoding, HintSource, Snapshot};
use hintdex_wire::{DeviceId, Hint, HintCipher, HintScheme, KeyId, KeySource, MasterKey, Slot};

/// Devices whose keys come from a master key; nothing of them is kept.
struct Derived {
    master: MasterKey,
    devices: u32,
    horizon: u32,
}

impl Derived {
    fn cipher(&self, slot: u32) -> HintCipher {
        let key = self.master.hint_key(KeyId::first(DeviceId(slot))).unwrap();
        HintCipher::new(HintScheme::Aes128, &key)
    }

    fn hint(&self, slot: u32, nonce: u64) -> Hint {
        self.cipher(slot).hint(nonce).unwrap()
    }
}

impl HintSource for Derived {
    fn hint_count(&self) -> u64 {
        u64::from(self.devices) * u64::from(self.horizon)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            let nonces = 0..self.horizon.into();
            self.cipher(slot).each_hint(nonces, |hint| each(hint.head(), Slot(slot)));
        }
    }
}

fn main() {
    let fleet = Derived {
        master: MasterKey::new(&[u8::try_from(SEED).unwrap(); 32]),
        devices: argument("--devices", 10_000_000),
        horizon: argument("--horizon", 100),
    };
    let memory_mib = argument("--memory-mib", 2048);
    let dial = Dial::Bits(argument("--bits", 20).try_into().unwrap());
    let params = params(fleet.devices, fleet.horizon, Encoding::Ribbon, dial);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scale.hdx");
    let key = manifest_key();
    let (wall, processor) = (Instant::now(), now());
    let report = Builder::new(params, &key)
        .memory_bytes(u64::from(memory_mib) << 20)
        .threads(argument("--threads", 2) as usize)
        .build(&fleet, &path)
        .unwrap();
    let (wall, processor) = (wall.elapsed(), now() - processor);
    let hints = report.hints as f64;
    println!(
        "{} hints of {} devices: {} bytes, {:.4} a hint; {} passes; \
         {:.1} s by the wall ({:.2} M hints/s), {:.1} s of processor ({:.1} ns a hint); \
         at most {} MiB resident of {memory_mib}",
        report.hints,
        fleet.devices,
        report.bytes,
        report.bytes as f64 / hints,
        report.passes,
        wall.as_secs_f64(),
        hints / wall.as_secs_f64() / 1e6,
        processor.as_secs_f64(),
        processor.as_secs_f64() * 1e9 / hints,
        peak_resident_bytes() >> 20,
    );
    let snapshot = Snapshot::open(&path, &key).unwrap();
    snapshot.verify().unwrap();
    let mut found = 0;
    for at in 0..1000 {
        let slot = (scramble(at) % u64::from(fleet.devices)) as u32;
        for nonce in 0..fleet.horizon.into() {
            let mut candidates = snapshot.candidates(&fleet.hint(slot, nonce)).unwrap();
            assert!(candidates.any(|slots| slots.contains(&slot)), "slot {slot}, nonce {nonce}");
            found += 1;
        }
    }
    println!("verified; {found} hints found");
}
