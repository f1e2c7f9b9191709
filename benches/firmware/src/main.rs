//! Seals one packet on a microcontroller, for `tools/firmware-size.sh`. The feature names the suite.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use hintdex_wire::{
    DeviceId, EphemeralSealer, EphemeralSuite, HintKey, HintScheme, MacKey, PacketFormat,
    PacketKey, Sealer, StationPoint, Suite,
};

/// The suite whose code is linked; `None` for the program around it.
const SUITE: Option<Suite> = if cfg!(any(feature = "aes-ctr-hmac", feature = "carry24")) {
    Some(Suite::AesCtrHmac)
} else if cfg!(feature = "chacha20poly1305") {
    Some(Suite::ChaCha20Poly1305)
} else if cfg!(feature = "xchacha20poly1305") {
    Some(Suite::XChaCha20Poly1305)
} else if cfg!(feature = "aes-siv") {
    Some(Suite::AesSiv)
} else if cfg!(feature = "aes-ccm-8") {
    Some(Suite::AesCcm8)
} else {
    None
};

/// The suite without a hint whose code is linked.
const EPHEMERAL: Option<EphemeralSuite> = if cfg!(feature = "x25519") {
    Some(EphemeralSuite::X25519)
} else if cfg!(feature = "x25519-seq") {
    Some(EphemeralSuite::X25519Seq)
} else {
    None
};

/// Where the linker enters the program.
// SAFETY: no other item of the program has this name.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut radio = [0; 64];
    if let Some(suite) = SUITE {
        let scheme = match cfg!(feature = "carry24") {
            true => HintScheme::Carry24,
            false => HintScheme::Aes128,
        };
        let format = PacketFormat { scheme, suite };
        let hint_key = HintKey::from_bytes(black_box([1; 16]));
        let key = PacketKey::from_bytes(black_box([2; 32]));
        let mut sealer = Sealer::new(format, &hint_key, key, black_box(7));
        let _ = black_box(sealer.seal(black_box(b"21.5 C"), &mut radio));
    }
    if let Some(suite) = EPHEMERAL {
        let (station, key) = (StationPoint(black_box([9; 32])), MacKey::copy_of(&[2; 32]));
        let mut sealer = EphemeralSealer::new(suite, DeviceId(42), station, key, black_box(7));
        let random = black_box([3; 32]);
        let _ = black_box(sealer.seal(&random, black_box(b"21.5 C"), &mut radio));
    }
    loop {
        black_box(&radio);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
