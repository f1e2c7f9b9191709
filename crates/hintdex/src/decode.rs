//! Decoding: from packets to verdicts.

use hintdex_core::{Admission, Arrival};
use hintdex_scan::KeyTable;
use hintdex_wire::{Hint, HintKey, Packet, PacketError};
use rayon::prelude::*;

use crate::follow::Follower;
use crate::{Error, Malformed, Resolved, Station, Verdict};

impl Station {
    /// What is to be said of one packet. If that is [`Verdict::Accepted`], its
    /// nonce is taken, durably, before this returns.
    ///
    /// Takes about 10 µs; [`decode_batch`](Self::decode_batch) takes less a packet.
    ///
    /// # Errors
    /// What the index says. The packet is not accepted then, and after a failed
    /// write the station has to be opened again.
    pub fn decode(&self, packet: &[u8]) -> Result<Verdict, Error> {
        let verdicts = self.decode_batch(&[packet])?;
        // One packet, one verdict.
        Ok(verdicts.into_iter().next().unwrap_or(Verdict::Unknown))
    }

    /// What is to be said of each packet, as if they came one by one in this
    /// order. The fast path: lookups, tags and writes are shared between threads,
    /// and one sync covers the batch.
    ///
    /// # Errors
    /// What the index says. Some packets of the batch may have been accepted
    /// then, and the station has to be opened again.
    pub fn decode_batch<P: AsRef<[u8]> + Sync>(
        &self,
        packets: &[P],
    ) -> Result<Vec<Verdict>, Error> {
        let scheme = self.params().scheme;
        let parsed: Vec<_> =
            packets.iter().map(|packet| Packet::parse(scheme, packet.as_ref())).collect();
        let whole: Vec<&Packet<'_>> =
            parsed.iter().filter_map(|packet| packet.as_ref().ok()).collect();
        let hints: Vec<Hint> = whole.iter().map(|packet| *packet.hint()).collect();
        let table = self.table()?;
        let mut resolved = self.look_up(&table, &hints)?;
        let mut follower = Follower::new(self, &table, &hints, &resolved);
        let known: Vec<_> = resolved.iter().flatten().copied().collect();
        follower.follow(&known, &mut resolved);
        self.scan_for_the_rest(&table, &hints, &mut resolved, |found, resolved| {
            follower.follow(found, resolved)
        });
        let opened: Vec<_> = whole
            .par_iter()
            .zip(&resolved)
            .map(|(packet, found)| self.open_packet(&table, packet, found))
            .collect();
        let mut judged = self.admit(opened)?.into_iter();
        let verdict = |packet: Result<Packet<'_>, PacketError>| match packet {
            Ok(_) => judged.next().unwrap_or(Verdict::Unknown),
            Err(PacketError { len_bytes, least_bytes }) => {
                Verdict::Malformed(Malformed::TooShort { len_bytes, least_bytes })
            }
        };
        let verdicts = parsed.into_iter().map(verdict).collect();
        self.roll_if_due();
        Ok(verdicts)
    }

    /// Verifies a packet's tag under the key of each device its hint may be of.
    fn open_packet(&self, table: &KeyTable, packet: &Packet<'_>, found: &[Resolved]) -> Opened {
        for resolved in found {
            let Some(key) = self.key_source().packet_key(resolved.key) else { continue };
            let Some(authentic) = key.verify(packet) else { continue };
            let Some(hint_key) = table.key(resolved.slot).cloned() else { continue };
            let mut payload = vec![0; packet.payload_len_bytes()];
            // The buffer has the payload's length, so it is always filled.
            let _ = authentic.decrypt(resolved.nonce, &mut payload);
            return Opened::Authentic { resolved: *resolved, hint_key, payload };
        }
        if found.is_empty() { Opened::Unknown } else { Opened::Forged }
    }

    /// Judges the nonces of the authentic packets, in order.
    fn admit(&self, opened: Vec<Opened>) -> Result<Vec<Verdict>, Error> {
        let arrivals: Vec<_> = opened.iter().filter_map(Opened::arrival).collect();
        let mut admissions = self.index.admit_batch(&arrivals)?.into_iter();
        let verdict = |opened: Opened| match opened {
            Opened::Unknown => Verdict::Unknown,
            Opened::Forged => Verdict::Forged,
            Opened::Authentic { resolved, payload, .. } => {
                let Resolved { nonce, source, .. } = resolved;
                let device = resolved.device();
                match admissions.next() {
                    Some(Admission::Accepted) => {
                        Verdict::Accepted { device, nonce, payload, source }
                    }
                    Some(Admission::Replay) => Verdict::Replay { device, nonce, source },
                    Some(Admission::Stale) => Verdict::Stale { device, nonce, source },
                    Some(Admission::Retired) | None => Verdict::Unknown,
                }
            }
        };
        Ok(opened.into_iter().map(verdict).collect())
    }
}

/// A packet after its tag was looked at.
enum Opened {
    Unknown,
    Forged,
    Authentic { resolved: Resolved, hint_key: HintKey, payload: Vec<u8> },
}

impl Opened {
    /// What is to be admitted, if anything is.
    const fn arrival(&self) -> Option<Arrival<'_>> {
        match self {
            Self::Authentic { resolved, hint_key, .. } => {
                Some(Arrival { slot: resolved.slot, nonce: resolved.nonce, hint_key })
            }
            _ => None,
        }
    }
}
