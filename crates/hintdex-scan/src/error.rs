//! What can go wrong before a search begins. A search itself cannot fail.

use std::error::Error;
use std::fmt;
use std::io;

use hintdex_wire::HintScheme;

use crate::Backend;

/// A back end was asked for that this processor does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendError {
    /// What was asked for.
    pub backend: Backend,
    /// For which hints.
    pub scheme: HintScheme,
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, scheme } = self;
        let best = Backend::best(*scheme);
        write!(f, "this processor has no {backend} for {scheme} hints; the best it has is {best}")
    }
}

impl Error for BackendError {}

/// The system did not keep the keys in memory.
#[derive(Debug)]
pub struct LockError {
    /// How much it was asked to keep, in bytes.
    pub len_bytes: usize,
    /// What it said.
    pub source: io::Error,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len_bytes, source } = self;
        write!(
            f,
            "cannot lock {len_bytes} bytes of keys in memory: {source}; \
             raise the limit on locked memory (RLIMIT_MEMLOCK)"
        )
    }
}

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
