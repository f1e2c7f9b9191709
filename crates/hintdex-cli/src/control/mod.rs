//! Commands against a running station: sent by one process, run in the other.

mod client;
mod holder;
mod host;
mod options;

pub use client::ask_station;
pub use holder::in_use;
pub use host::{Fleet, listen};
