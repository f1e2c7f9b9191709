//! Input: packets and identifiers as lines of hex, and lists of devices and beacons.

mod csv;
mod fields;
mod id_text;
mod json;
mod key_text;
mod lines;
mod list_source;
pub mod lists;
mod packets;
mod secret;
mod shape;
mod source;
#[cfg(test)]
mod spellings;
mod table;
mod utf8;

pub use fields::{read_pairs, split_fields};
pub use id_text::GivenId;
pub use key_text::BadKey;
pub use lines::{Batch, Lines};
pub use packets::{BadLine, Line, TrailingField};
pub use secret::{SecretReader, open_secret, shown};
pub use source::open;
pub use table::{BadRecord, Column, Fields, Table};
