//! The result of a station for one packet of a batch.

use hintdex_wire::Hint;

use crate::Verdict;

/// The result of a station for one packet.
pub(crate) enum Finding {
    Verdict(Verdict),
    /// No verdict yet, because the budget is spent. The packet still needs a scan for its hint, an
    /// agreement on its key, or a search of silent devices. The hint, or the bytes that stand for it,
    /// is the place of the packet in the queue of packets that wait.
    NeedsScan(Hint),
}

impl Finding {
    /// Whether a tag has verified.
    pub(crate) const fn is_authentic(&self) -> bool {
        matches!(
            self,
            Self::Verdict(
                Verdict::Accepted { .. }
                    | Verdict::Replay { .. }
                    | Verdict::Stale { .. }
                    | Verdict::Early { .. }
            )
        )
    }
}
