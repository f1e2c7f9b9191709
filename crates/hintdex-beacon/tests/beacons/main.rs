//! The resolver as its users see it: a folder, a clock, sightings.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod away;
mod changes;
mod clocks;
mod folder;
mod format;
mod life;
mod limits;
mod lives;
mod messages;
mod model;
mod month;
mod replays;
mod schemes;
mod sound;
mod support;
