//! Beacons: devices whose packets are an identifier and nothing else.
//!
//! A beacon sends no payload. Its packet *is* the hint: a pseudo-random function of
//! its key and its clock, which changes every few seconds or minutes. This module
//! holds the byte rules of two published schemes: [`eddystone`] for Eddystone-EID
//! and [`gaen`] for exposure notification. Both compute identifiers forwards from a
//! clock.
//!
//! The resolvable private address of Bluetooth is a third scheme. It is computed
//! from a random number instead of a clock, so it cannot be computed ahead.
//! `hintdex-scan` finds its key by trying all keys.

pub mod eddystone;
pub mod gaen;
