//! The judgement of a counter's nonce by the settings of its device.

use hintdex_wire::{Freshness, REPLAY_WINDOW_NONCES, ReplayWindow};

use super::judge::{Judgement, LateChange, advance_counter};
use super::request::{Admission, Arrival};
use crate::late_window::LateWindow;
use crate::params::Params;
use crate::records::Unsound;
use crate::settings::{Policy, Zone};
use crate::states::Shard;
use crate::time::{MAX_PENDING, Pending};

/// An arrival of a device with settings, and what its judgement depends on.
pub(super) struct BySettings<'a> {
    pub(super) params: &'a Params,
    pub(super) policy: Policy,
    /// When the packet was received, by the station's clock.
    pub(super) received_s: u64,
    /// When the key was added: a key that was never heard has been silent since.
    pub(super) added_s: u64,
}

impl BySettings<'_> {
    /// Judges the nonce of a counter, and advances the slot at `place`.
    ///
    /// A nonce in the middle zone is stored as a pending packet, in the same write as a state,
    /// so a station that stops between two packets accepts the second one as well.
    ///
    /// # Errors
    /// Why the new state is not sound; the slot is not changed then.
    pub(super) fn judge(
        &self,
        shard: &mut Shard,
        place: usize,
        arrival: &Arrival<'_>,
    ) -> Result<Judgement, Unsound> {
        let (nonce, params) = (arrival.nonce, self.params);
        let mut row = shard.row(place).ok_or("there is no such slot")?;
        let mut state = row.known.state;
        let before = state.window();
        match self.freshness(shard.late_window(place), &before, arrival) {
            Freshness::Replay => return Ok(Judgement::refused(Admission::Replay)),
            Freshness::Stale => return Ok(Judgement::refused(Admission::Stale)),
            Freshness::Fresh => {}
        }
        if let Some(gap) = nonce.checked_sub(before.next()) {
            let heard_s = state.heard_unix_s().unwrap_or(self.added_s);
            match self.policy.zone(gap, || self.received_s.saturating_sub(heard_s)) {
                Zone::Accepted => {}
                Zone::Rejected => return Ok(Judgement::refused(Admission::PastMaxGap)),
                Zone::Confirmed if row.pending.iter().any(|first| self.agree(first, nonce)) => {}
                Zone::Confirmed => {
                    let changed = add_pending(&mut row.pending, nonce, self.received_s);
                    row.check(params)?;
                    shard.set_row(place, row);
                    let refused = Judgement::refused(Admission::AwaitsSecond);
                    return Ok(Judgement { changed, ..refused });
                }
            }
        }
        let mut window = before;
        // A nonce of the late window leaves the replay window as it is.
        let _ = window.admit(nonce);
        let live_end = state.live_end(params, window.next().saturating_sub(1));
        let new_nonces = advance_counter(params, &mut state, &window, live_end);
        state.set_heard(self.received_s);
        row.known.state = state;
        row.pending.retain(|pending| pending.nonce >= window.next());
        row.check(params)?;
        shard.set_row(place, row);
        let late = self.advance_late(shard, place, &before, arrival);
        let accepted = Judgement::refused(Admission::Accepted);
        Ok(Judgement { changed: true, new_nonces, late, ..accepted })
    }

    /// Judges a nonce without admitting it: by the late window, if it is behind the replay
    /// window.
    fn freshness(
        &self,
        late: Option<&LateWindow>,
        window: &ReplayWindow,
        arrival: &Arrival<'_>,
    ) -> Freshness {
        let (nonce, next) = (arrival.nonce, window.next());
        let is_behind = nonce < next.saturating_sub(REPLAY_WINDOW_NONCES);
        match late {
            Some(late) if is_behind => late.judge(nonce, next, self.policy.late_nonces),
            _ => window.judge(nonce),
        }
    }

    /// Whether a packet in the middle zone agrees with one that waits: a device that goes on
    /// from the first one sends the second.
    fn agree(&self, first: &Pending, nonce: u64) -> bool {
        let ahead = nonce.checked_sub(first.nonce);
        ahead.is_some_and(|ahead| (1..=u64::from(self.params.lookahead)).contains(&ahead))
    }

    /// Advances the late window of the slot, which gets the length of the present setting.
    fn advance_late(
        &self,
        shard: &mut Shard,
        place: usize,
        before: &ReplayWindow,
        arrival: &Arrival<'_>,
    ) -> LateChange {
        let (nonce, next, late_nonces) = (arrival.nonce, before.next(), self.policy.late_nonces);
        if u64::from(late_nonces) <= REPLAY_WINDOW_NONCES {
            let had_one = shard.set_late_window(place, None);
            return if had_one { LateChange::Replaced } else { LateChange::Nothing };
        }
        if let Some(late) = shard.late_window_mut(place)
            && late.late_nonces() == late_nonces
        {
            return LateChange::Blocks(late.admit(nonce, next));
        }
        let mut late = match shard.late_window(place) {
            None => LateWindow::begin(late_nonces, before),
            Some(known) => known.resized(late_nonces, before),
        };
        late.admit(nonce, next);
        let had_one = shard.set_late_window(place, Some(late));
        if had_one { LateChange::Replaced } else { LateChange::Begun }
    }
}

/// Adds a packet to those that wait; returns whether they have changed. The oldest one goes if
/// there are too many.
fn add_pending(pending: &mut Vec<Pending>, nonce: u64, received_s: u64) -> bool {
    if pending.iter().any(|known| known.nonce == nonce) {
        return false;
    }
    if pending.len() >= MAX_PENDING {
        pending.remove(0);
    }
    pending.push(Pending { nonce, received_s });
    true
}
