//! The hint keys of a fleet in a row, and finding the one that made a hint.
//!
//! Every lookup ends here: an index or a snapshot only makes the range small.
//! [`KeyTable`] holds 16 bytes a slot, and a [`Search`] tries slots: pairs of a
//! slot and a hint that an index named, the ranges that a snapshot named, or
//! everybody.
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
//! // Short hints do not tell their nonce: say which ones to expect of a slot.
//! let short = HintScheme::Aes128Truncated(TruncatedLen::new(6).unwrap());
//! let hint = HintCipher::new(short, &keys[42]).hint(7).unwrap();
//! let mut table = KeyTable::new(short);
//! table.extend(keys);
//! let search = table.within(|_slot| 0..16);
//! assert_eq!(search.confirm(Slot(0)..Slot(100), &hint), found);
//! ```
//!
//! Keys are zeroized when a table is dropped; what the compiler spills of them to
//! the stack during a search is not.
#![deny(unsafe_code)]

mod address;
mod backend;
mod error;
mod search;
mod store;
mod table;

pub use address::{IdentityTable, ResolvableAddress};
pub use backend::Backend;
pub use error::BackendError;
pub use search::{Match, Search};
pub use table::KeyTable;
