//! Which threads may wait for a lock that is held while others work.

use rayon::ThreadPool;

use crate::Error;

/// Runs `work` on this thread, or on one of its own if this is one of rayon's, and waits
/// without taking up other work.
///
/// A thread of rayon's that waits for its helpers takes up other tasks of its pool
/// meanwhile. If it holds a lock, and such a task wants the same one, both wait for ever. So
/// whoever holds a lock across a fork takes it in here. Costs some 20 µs for the thread.
///
/// # Panics
/// When `work` does.
pub fn on_plain_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_none() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A pool with as many threads as the one that this is called in.
pub(crate) fn workers() -> Result<ThreadPool, Error> {
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|number| format!("hintdex-index-{number}"));
    threads.build().map_err(|error| Error::Threads { why: error.to_string() })
}
