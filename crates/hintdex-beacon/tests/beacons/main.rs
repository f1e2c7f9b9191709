//! The resolver as its users see it: a folder, a clock, sightings.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod clocks;
mod folder;
mod format;
mod import;
mod model;
mod month;
mod schemes;
mod support;
