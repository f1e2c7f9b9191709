//! Errors before a search begins. A search itself cannot fail.

use std::error::Error;
use std::fmt;

use hintdex_wire::HintScheme;

use crate::Backend;

/// This processor does not have the requested back end. The message names the best
/// back end that it has.
///
/// See the example of [`Backend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendError {
    /// The requested back end.
    pub backend: Backend,
    /// The scheme of the hints to be searched.
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
