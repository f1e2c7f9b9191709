//! The parts of a device's keys.

use std::fmt;

/// A part of a device's keys, 16 bytes each but for the chain key.
///
/// See the example of [`KeyImport`](crate::KeyImport).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPart {
    /// The hint key.
    HintKey,
    /// The first half of the device key: it encrypts packets.
    FirstHalf,
    /// The second half of the device key: it authenticates packets.
    SecondHalf,
    /// The chain key, 32 bytes, from which the keys of all epochs follow.
    ChainKey,
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HintKey => "hint_key",
            Self::FirstHalf => "first half of the dev_key",
            Self::SecondHalf => "second half of the dev_key",
            Self::ChainKey => "chain_key",
        })
    }
}
