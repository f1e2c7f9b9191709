//! What is said of a packet, by a station or by its live index.

use hintdex::Verdict;
use hintdex::wire::{DeviceId, Nonce};
use hintdex_core::Admission;

/// What is said of a packet, whoever says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Accepted,
    Replay,
    Stale,
    Early,
    Nobody,
    Forged,
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub device: u32,
    pub nonce: Nonce,
    pub at_unix_s: u64,
}

/// What a station said of a packet, if it said it of the right device.
pub fn told(verdict: &Verdict, sent: &Sent) -> Result<Said, String> {
    let (said, of) = match verdict {
        Verdict::Accepted { device, nonce, .. } => (Said::Accepted, Some((*device, *nonce))),
        Verdict::Replay { device, nonce, .. } => (Said::Replay, Some((*device, *nonce))),
        Verdict::Stale { device, nonce, .. } => (Said::Stale, Some((*device, *nonce))),
        Verdict::Early { device, nonce, .. } => (Said::Early, Some((*device, *nonce))),
        Verdict::Forged => (Said::Forged, None),
        Verdict::Unknown(_) => (Said::Nobody, None),
        other => return Err(format!("{sent:?} is {other:?}")),
    };
    let is_right = of.is_none_or(|of| of == (DeviceId(sent.device), sent.nonce));
    if is_right { Ok(said) } else { Err(format!("{sent:?} is {verdict:?}")) }
}

pub const fn admitted(admission: Admission) -> Said {
    match admission {
        Admission::Accepted => Said::Accepted,
        Admission::Replay => Said::Replay,
        Admission::Stale => Said::Stale,
        Admission::Early | Admission::AwaitsSecond | Admission::PastMaxGap => Said::Early,
        _ => Said::Nobody,
    }
}
