//! What the benches share: workloads from a fixed seed, measuring in turns, and
//! tables that put the goal beside each figure.
//!
//! Every bench measures ours and a peer in one run, in turns,
//! so that a noisy machine is noisy for both (see [`turns`]); what counts is the ratio of a
//! round, and its median over the rounds. Answers go into a hash that is printed,
//! so nothing is optimised away and two runs can be compared.
//!
//! ```
//! use hintdex_benches::turns::{Clock, Turns, measure};
//!
//! let sum = |upto: u64| move |round: u64| (0..upto + round).fold(0, u64::wrapping_add);
//! let mut arms: [(&str, Box<dyn FnMut(u64) -> u64>); 2] =
//!     [("short", Box::new(sum(100))), ("long", Box::new(sum(10_000)))];
//! let times = measure(&Turns { rounds: 5, work: 1 }, &mut arms);
//! assert!(times.ratio(Clock::Wall, "long", "short").unwrap().median > 0.0);
//! ```
#![forbid(unsafe_code)]

pub mod fleet;
pub mod hash;
pub mod machine;
pub mod table;
pub mod turns;

/// What a bench's `main` returns: whatever went wrong, in its own words.
pub type Outcome = Result<(), Failure>;

/// Any error, on its way to the user.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The seed of every workload, unless `--seed` says another.
pub const DEFAULT_SEED: u64 = 0x0068_696e_7464_6578;
