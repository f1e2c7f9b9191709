//! Maintenance: rolling the index and building the station's own snapshot.
//!
//! A *lean* station, which is the usual form, builds the snapshot first and then rolls to a
//! window without the hints that the snapshot holds. The index of a *full* station holds all
//! live hints; its snapshot is a faster way to them.

mod failure;
mod pass;
mod thread;
mod window_timer;

pub(crate) use pass::{Added, Addition, MaintenancePass, is_due};
pub(crate) use thread::MaintenanceThread;
pub(crate) use window_timer::WindowTimer;
