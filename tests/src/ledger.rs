//! The ledger of a crash test: what was acknowledged, and what may never be said
//! again after that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::program::Said;

/// What was acknowledged over all runs of the program.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accepted: BTreeMap<u32, BTreeSet<u64>>,
    count: u64,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A packet was accepted, acknowledged, and accepted once more.
    AcceptedAgain {
        /// Who sent it.
        device: u32,
        /// Under which nonce.
        nonce: u64,
    },
    /// A packet of a known device was not recognised, or said to be something else.
    Misjudged {
        /// Who sent it.
        device: u32,
        /// Under which nonce.
        nonce: u64,
        /// What was said of it.
        verdict: String,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcceptedAgain { device, nonce } => {
                write!(f, "nonce {nonce} of device {device} was accepted, and accepted again")
            }
            Self::Misjudged { device, nonce, verdict } => {
                write!(f, "nonce {nonce} of device {device} was said to be {verdict}")
            }
        }
    }
}

impl Ledger {
    /// Whether an acceptance of this packet was acknowledged.
    pub fn knows(&self, device: u32, nonce: u64) -> bool {
        self.accepted.get(&device).is_some_and(|nonces| nonces.contains(&nonce))
    }

    /// Enters what was said of the packet that `device` sent under `nonce`.
    ///
    /// # Errors
    /// The promise this breaks.
    pub fn enter(&mut self, device: u32, nonce: u64, said: &Said) -> Result<(), Breach> {
        let misjudged = Breach::Misjudged { device, nonce, verdict: said.verdict.clone() };
        if said.sender != Some((device, nonce)) {
            return Err(misjudged);
        }
        match said.verdict.as_str() {
            "accepted" if self.knows(device, nonce) => Err(Breach::AcceptedAgain { device, nonce }),
            "accepted" => {
                self.accepted.entry(device).or_default().insert(nonce);
                self.count += 1;
                Ok(())
            }
            // Accepted in a run that was killed before it could say so, or before.
            "replay" | "stale" => Ok(()),
            _ => Err(misjudged),
        }
    }

    /// How many acceptances were acknowledged.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Every packet whose acceptance was acknowledged.
    pub fn all(&self) -> Vec<(u32, u64)> {
        let nonces = self.accepted.iter();
        nonces.flat_map(|(device, nonces)| nonces.iter().map(|nonce| (*device, *nonce))).collect()
    }
}
