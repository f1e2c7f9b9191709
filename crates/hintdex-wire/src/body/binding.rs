//! What a body is bound to, and its rejection.

use crate::{AssociatedData, Nonce};

/// What a body is bound to, beside its key: a body opens only where all of this is the same.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The hint as sent.
    pub(crate) hint: &'a [u8],
    pub(crate) nonce: Nonce,
    pub(crate) associated_data: AssociatedData<'a>,
}

/// A body could not be sealed, or was not authentic. Carries no reason.
#[derive(Debug)]
pub(crate) struct Rejected;
