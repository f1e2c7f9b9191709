//! The hint keys of a fleet in one table, and the search for the key behind a hint.
//!
//! Every lookup ends here: an index or a snapshot only narrows the range of slots.
//! [`KeyTable`] stores 16 bytes a slot. A [`Search`] tries slots: the pairs of slot
//! and hint that an index names, the ranges that a snapshot names, or all slots.
//!
//! ```
//! use hintdex_scan::{KeyTable, Match};
//! use hintdex_wire::{HintCipher, HintKey, HintScheme, Slot, TruncatedLen};
//!
//! let keys: Vec<_> = (0..100).map(|i| HintKey::from_bytes([i; 16])).collect();
//! let hint = HintCipher::new(HintScheme::Aes128, &keys[42]).hint(7).unwrap();
//!
//! let mut table = KeyTable::new(HintScheme::Aes128);
//! table.extend(keys.clone());
//! let found = table.confirm(Slot(0)..Slot(100), &hint);
//! assert_eq!(found, [Match { slot: Slot(42), nonce: 7 }]);
//!
//! // Truncated hints cannot be reversed: the search needs the expected nonces.
//! let short = HintScheme::Aes128Truncated(TruncatedLen::new(6).unwrap());
//! let hint = HintCipher::new(short, &keys[42]).hint(7).unwrap();
//! let mut table = KeyTable::new(short);
//! table.extend(keys);
//! let search = table.within(|_slot| 0..16);
//! assert_eq!(search.confirm(Slot(0)..Slot(100), &hint), found);
//! ```
//!
//! Keys are zeroized when a table grows and when it is dropped. What the compiler
//! spills of them to the stack during a search or while it computes hints is not wiped.
#![deny(unsafe_code)]

mod address;
mod backend;
mod error;
mod packets;
mod pairs;
mod search;
mod store;
mod table;

pub use address::{IdentityTable, ResolvableAddress};
pub use backend::Backend;
pub use error::BackendError;
pub use packets::{OpeningKey, PacketOpener, SealedPacket};
pub use pairs::PairCipher;
pub use search::{Match, Search};
pub use store::KeyStore;
pub use table::KeyTable;
