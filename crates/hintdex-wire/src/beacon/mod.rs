//! Beacons: identifiers that are the whole message.
//!
//! A beacon sends no payload. What it sends *is* the hint: a pseudo-random value
//! of its key and its clock, changed every few seconds or minutes. Here are the
//! byte rules of two published schemes, both computed forwards from a clock:
//! [`eddystone`] for Eddystone-EID and [`gaen`] for exposure notification. A third,
//! the resolvable private address of Bluetooth, is made from a random number and
//! not from a clock, so it cannot be computed ahead; `hintdex-scan` finds it by
//! trying keys.

pub mod eddystone;
pub mod gaen;
