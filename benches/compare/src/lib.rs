//! What the benches share: a fleet with keys and hints, the hints of points, measuring in turns,
//! and resident memory.

pub mod fleet;
pub mod memory;
pub mod table_hints;
pub mod turns;
