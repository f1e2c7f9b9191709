//! The hint keys of a fleet in a row, and finding the one that made a hint.
//!
//! Every lookup ends here: an index or a snapshot only makes the range small.
//! [`KeyTable`] holds 16 bytes a slot. Trying a slot is one key schedule and one
//! block, about 50 ns with AES-NI, on the `aes` crate's constant-time back ends.
//!
//! ```
//! use hintdex_scan::{KeyTable, Match};
//! use hintdex_wire::{HintCipher, HintKey, HintScheme, Slot};
//!
//! let keys: Vec<_> = (0..100).map(|i| HintKey::from_bytes([i; 16])).collect();
//! let hint = HintCipher::new(HintScheme::Aes128, &keys[42]).hint(7).unwrap();
//!
//! let mut table = KeyTable::new(HintScheme::Aes128);
//! table.extend(keys);
//! let found = table.confirm(Slot(0)..Slot(100), &hint);
//! assert_eq!(found, [Match { slot: Slot(42), nonce: 7 }]);
//! ```
#![forbid(unsafe_code)]

mod table;

pub use table::{KeyTable, Match};
