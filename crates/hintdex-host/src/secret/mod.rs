//! Secrets that come from outside of a fleet's folder: a master key or a passphrase, from a
//! file, a credential of systemd, the output of a command, or the terminal.

mod command;
mod error;
mod prompt;
mod source;

pub use error::SecretError;
pub use source::SecretSource;

use zeroize::Zeroizing;

/// A secret as it was read. Zeroized on drop; it is never moved to other memory.
///
/// See the example of [`SecretSource`].
pub type SecretText = Zeroizing<Vec<u8>>;

/// The longest secret, in bytes.
///
/// See the example of [`SecretSource`].
pub const MAX_SECRET_LEN_BYTES: usize = 1024;

/// An empty text with room for one byte more than the longest secret, and for what
/// `read_to_end` wants beside it: the text never moves, so no copy of it stays behind.
fn empty_text() -> SecretText {
    Zeroizing::new(Vec::with_capacity(2 * MAX_SECRET_LEN_BYTES))
}
