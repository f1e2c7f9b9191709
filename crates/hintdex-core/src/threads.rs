//! The threads on which a lock may be held across a fork.

use rayon::ThreadPool;

use crate::Error;

/// Runs `work` on this thread, or on a new thread if this thread belongs to rayon, and waits
/// for it without running other tasks.
///
/// A rayon thread that waits for its helpers runs other tasks of its pool meanwhile. If the
/// thread holds a lock and such a task wants the same lock, both wait for ever. So work that
/// holds a lock across a fork takes the lock inside this call. A new thread costs about 20 µs.
///
/// ```
/// use hintdex_core::on_plain_thread;
///
/// let is_of_a_pool = || rayon::current_thread_index().is_some();
/// rayon::scope(|_| {
///     assert!(is_of_a_pool());
///     assert!(!on_plain_thread(is_of_a_pool));
/// });
/// ```
///
/// # Panics
/// If `work` panics.
pub fn on_plain_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_none() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A pool with as many threads as the current pool.
pub(crate) fn workers() -> Result<ThreadPool, Error> {
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|number| format!("hintdex-index-{number}"));
    threads.build().map_err(|error| Error::Threads { why: error.to_string() })
}
