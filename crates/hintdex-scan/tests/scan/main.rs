//! The table of keys and its searches.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod addresses;
mod backends;
mod opening_time;
mod packets;
mod pairs;
mod support;
mod table;
