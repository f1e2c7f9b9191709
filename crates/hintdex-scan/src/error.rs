//! What can go wrong before a search begins. A search itself cannot fail.

use std::error::Error;
use std::fmt;

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
