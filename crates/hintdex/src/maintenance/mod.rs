//! Maintenance: rolling the index and building the station's own snapshot.
//!
//! By default the index needs nothing else: the snapshot is a faster way to hints that the
//! index holds, too. A *lean* station builds the snapshot first and then rolls to a window
//! without the hints that the snapshot holds.

mod failure;
mod pass;
mod span_files;
mod thread;
mod window_timer;

pub(crate) use pass::MaintenancePass;
pub(crate) use thread::MaintenanceThread;
pub(crate) use window_timer::WindowTimer;
