//! The bytes on the air: hints, keys, packets and replay windows.
//!
//! A field device sends short one-way packets that carry no device id:
//!
//! ```text
//! packet = hint(16, 8 or 4 to 12) ‖ ciphertext(len = payload) ‖ tag(8 or 16)
//! ```
//!
//! The hint is the device's nonce, encrypted under a key that only the device and
//! its station can derive; [`HintScheme`] names the cipher. The [`Suite`] of the fleet
//! encrypts and authenticates the rest. Both sides use this crate:
//!
//! - Firmware embeds [`Sealer`], which encrypts a payload and never uses a nonce
//!   twice. Its page says what the device must store, and when.
//! - A station splits bytes with [`Packet`], opens them with [`PacketKey`], and rejects
//!   repeated nonces with [`ReplayWindow`].
//!
//! *Finding* the device behind a hint is the task of the crates above this one.
//! [`beacon`] holds the byte rules of identifiers that carry no payload.
//!
//! The crate needs no `std`, no allocator, no clock and no `unsafe`. Keys are
//! zeroized on drop and print as `[redacted]`. What the compiler spills of them to
//! the stack, and what dependencies copy there, is not wiped. Tags are compared in
//! constant time, and their length is part of their type, so no packet can request
//! a shorter comparison.
//!
//! ```
//! use hintdex_wire::{
//!     AssociatedData, DeviceId, HintCipher, HintScheme, KeyId, KeySource, MasterKey, Packet, Sealer,
//! };
//!
//! let master = MasterKey::new(&[7; 32]);
//! let key = KeyId::first(DeviceId(42));
//!
//! // On the device: seal one packet into a buffer.
//! let mut radio = [0; 64];
//! let mut sealer = Sealer::new(
//!     HintScheme::Aes128,
//!     &master.hint_key(key).unwrap(),
//!     master.packet_key(key).unwrap(),
//!     1000, // the next nonce, from non-volatile memory
//! );
//! let len = sealer.seal(b"21.5 C", &mut radio).unwrap();
//!
//! // At the station: under the right key, the hint alone yields the nonce.
//! let packet = Packet::parse(HintScheme::Aes128, &radio[..len]).unwrap();
//! let cipher = HintCipher::new(HintScheme::Aes128, &master.hint_key(key).unwrap());
//! let nonce = cipher.nonce(packet.hint()).unwrap();
//! let packet_key = master.packet_key(key).unwrap();
//! let mut payload = [0; 40];
//! let opened = packet_key.open(&packet, nonce, AssociatedData::EMPTY, &mut payload);
//! assert_eq!((nonce, opened), (1000, Some(&b"21.5 C"[..])));
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod associated_data;
pub mod beacon;
mod body;
mod carry;
mod derivation;
mod ff1;
mod hint;
mod hmac_state;
mod id;
mod keys;
mod lead;
mod mac;
mod nonce;
mod packet;
mod ratchet;
mod replay;
mod schedule;
mod scheme;
mod sealer;
mod speck;
mod suite;
mod tag;
mod x25519;

pub use associated_data::{AssociatedData, AssociatedDataBuf};
pub use derivation::Derivation;
pub use hint::{Hint, HintCipher, MAX_HINT_LEN_BYTES};
pub use hmac_state::{HmacState, KeyDerivation, SHA256_INITIAL};
pub use id::{DeviceId, KeyId, Slot};
pub use keys::{CheckValue, HintKey, KeySource, MacKey, MasterKey, PacketKey};
pub use lead::{Lead, WrongLead};
pub use nonce::{Nonce, NonceKind, StepLen};
pub use packet::{Packet, PacketError};
pub use ratchet::{Chain, RatchetBits};
pub use replay::{Freshness, REPLAY_WINDOW_NONCES, ReplayWindow};
pub use schedule::Schedule;
pub use scheme::{HintScheme, TruncatedLen};
pub use sealer::{SealError, Sealer};
pub use suite::{PacketFormat, Suite};
pub use tag::TAG_LEN_BYTES;
pub use x25519::{
    Agreed, EphemeralPacket, EphemeralSealer, EphemeralSuite, StationPoint, StationSecret,
};
