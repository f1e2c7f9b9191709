//! Seals one packet on a microcontroller, for `tools/firmware-size.sh`. The feature names the suite.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use hintdex_wire::{HintKey, HintScheme, PacketFormat, PacketKey, Sealer, Suite};

/// The suite whose code is linked; `None` for the program around it.
const SUITE: Option<Suite> = if cfg!(feature = "aes-ctr-hmac") {
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

/// Where the linker enters the program.
// SAFETY: no other item of the program has this name.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut radio = [0; 64];
    if let Some(suite) = SUITE {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        let hint_key = HintKey::from_bytes(black_box([1; 16]));
        let key = PacketKey::from_bytes(black_box([2; 32]));
        let mut sealer = Sealer::new(format, &hint_key, key, black_box(7));
        let _ = black_box(sealer.seal(black_box(b"21.5 C"), &mut radio));
    }
    loop {
        black_box(&radio);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
