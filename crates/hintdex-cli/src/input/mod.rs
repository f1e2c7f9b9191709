//! Input: packets and identifiers as lines of hex, and keys as records.

mod fields;
mod lines;
mod packets;
mod records;
mod secret;
mod shape;
mod source;

pub use fields::split_fields;
pub use lines::{Batch, Lines};
pub use packets::{BadLine, Line, TrailingField};
pub use records::{BadLines, BadRecord, Column, Fields, Format, InputRecords, Table};
pub use secret::{SecretReader, open_secret, shown};
pub use source::open;
