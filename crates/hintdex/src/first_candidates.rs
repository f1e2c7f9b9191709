//! The first candidates of many packets, tried together.
//!
//! Nearly every packet has one candidate, and its tag verifies. Sixteen of them cost what a few cost one by one
//! ([`PacketOpener`]). What is left after that is tried by [`Attempt::try_candidates`].

use hintdex_scan::{OpeningKey, PacketOpener, SealedPacket};

use crate::attempt::{Attempt, Authentic, BoundPacket, Opener};
use crate::resolved::{Resolved, ResolvedSlots};
use crate::slot_keys::SlotKeys;

/// Tries the first of the candidates `found` for each of the packets `open`, if nothing was tried for the packet
/// yet.
pub(crate) fn try_first_candidates(
    opener: Opener<'_>,
    packets: &[BoundPacket<'_>],
    attempts: &mut [Attempt],
    open: &[usize],
    found: &[ResolvedSlots],
) {
    let SlotKeys::Table(table) = opener.table else { return };
    let (mut tried, mut sealed): (Vec<(usize, Resolved)>, Vec<SealedPacket<'_>>) =
        Default::default();
    for (at, found) in open.iter().zip(found) {
        let Some((packet, attempt)) = packets.get(*at).zip(attempts.get(*at)) else { continue };
        let Some(candidate) = found.first().filter(|_| attempt.is_fresh()) else { continue };
        let is_usual =
            PacketOpener::is_for(packet.packet.format()) && packet.associated_data.is_empty();
        // A key that is retired or missing is a case of its own.
        if !is_usual || !table.has_key(candidate.slot) {
            continue;
        }
        let derived = opener.keys.packet_key_derivation(candidate.key).map(OpeningKey::Derived);
        let given = || opener.keys.packet_key(candidate.key).map(OpeningKey::Given);
        let Some(key) = derived.or_else(given) else { continue };
        tried.push((*at, *candidate));
        sealed.push(SealedPacket { packet: packet.packet, nonce: candidate.nonce, key });
    }
    if sealed.len() < 2 {
        return;
    }
    for ((at, candidate), payload) in tried.into_iter().zip(opener.packets.open(&sealed)) {
        let Some(attempt) = attempts.get_mut(at) else { continue };
        match payload {
            Some(payload) => {
                let hint_key = opener.hint_key(candidate.slot);
                attempt.accept(Authentic { resolved: candidate, hint_key, point: None, payload });
            }
            None => attempt.reject(candidate),
        }
    }
}
