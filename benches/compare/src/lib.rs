//! What the benches share: a fleet with keys and hints, and measuring in turns.

pub mod fleet;
pub mod turns;
