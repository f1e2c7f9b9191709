//! Keeping the memory of a process that holds keys out of files.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and forbids other processes of the same user to attach to
/// it or to read its memory (`PR_SET_DUMPABLE`, prctl(2); `RLIMIT_CORE`, getrlimit(2)). The
/// superuser still can.
///
/// Commands that this process starts inherit the limit, and are otherwise as usual.
///
/// ```
/// hintdex_host::forbid_core_dumps()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
