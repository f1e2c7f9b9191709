//! Decoding: from packets to verdicts.

use crate::batch::{Judged, judge, judge_all_waiting, judge_waiting};
use crate::scan_queue::Ticket;
use crate::{Error, IndexError, Received, Station, Unknown, Verdict};

impl Station {
    /// The verdict on one packet. For [`Verdict::Accepted`], the nonce is recorded as used,
    /// as durably as [`StationOptions`](crate::StationOptions) ask, before this returns.
    ///
    /// Takes about 10 µs; [`decode_batch`](Self::decode_batch) takes less a packet.
    ///
    /// # Errors
    /// [`Error::Index`]. The packet is then not accepted. After a failed write the station
    /// refuses everything until the fleet is opened again.
    pub fn decode(&self, packet: &[u8]) -> Result<Verdict, Error> {
        let verdicts = self.decode_batch(&[packet])?;
        // A batch of one packet yields one verdict.
        Ok(verdicts.into_iter().next().unwrap_or(Verdict::Unknown(Unknown::NoDevice)))
    }

    /// The verdict on each packet, as if the packets were decoded one by one in this order.
    ///
    /// This is the fast path: all threads share lookups, tags and writes, and one sync
    /// covers the batch.
    ///
    /// # Errors
    /// [`Error::Index`]. Some packets of the batch may then have been accepted, and the
    /// fleet must be opened again.
    pub fn decode_batch<P: AsRef<[u8]> + Sync>(
        &self,
        packets: &[P],
    ) -> Result<Vec<Verdict>, Error> {
        if self.params().naming.is_schedule() {
            let why = "the time of a packet names its device; give the times to decode_received";
            return Err(IndexError::NotForThisIndex { call: "decode_batch", why }.into());
        }
        let at_unix_s = self.index.now_s();
        let received = packets.iter().map(|packet| Received {
            packet: packet.as_ref(),
            at_unix_s,
            at_ms: 0,
            associated_data: None,
            context: &[],
        });
        self.decode_received(&received.collect::<Vec<_>>())
    }

    /// [`decode_batch`](Self::decode_batch) of packets with their times of reception. Each
    /// time is by the station's clock and recent: packets are looked up in the windows of
    /// their time, and without such a window they are scanned for.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn decode_received(&self, packets: &[Received<'_>]) -> Result<Vec<Verdict>, Error> {
        let judged = judge(&[self], &self.waiting, packets)?;
        Ok(judged.into_iter().map(|judged| judged.verdict).collect())
    }

    /// Decodes packets that wait for a scan, the newest first, as far as the budget allows
    /// scans now. Returns each ticket with its verdict. The newest packets come first because
    /// after a flood they are the likeliest to be from devices of the fleet.
    ///
    /// Call this while no packet comes in. Takes about 10 ms of passes over all devices.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        Ok(verdicts(judge_waiting(&[self], &self.waiting)?))
    }

    /// Decodes every packet that waits for a scan, without a budget: for the end of the
    /// input, when a scan delays no further packet.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_all_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        Ok(verdicts(judge_all_waiting(&[self], &self.waiting)?))
    }

    /// Whether the packet with this ticket still waits for a scan: it has no verdict yet, and
    /// newer packets have not pushed it out.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiting.contains(ticket)
    }
}

fn verdicts(judged: Vec<(Ticket, Judged)>) -> Vec<(Ticket, Verdict)> {
    judged.into_iter().map(|(ticket, judged)| (ticket, judged.verdict)).collect()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use hintdex_core::{DeviceRange, LiveIndex, Params};
    use hintdex_wire::{
        CheckValue, DeviceId, HintKey, HintScheme, KeyId, KeySource, MasterKey, PacketKey, Sealer,
    };

    use super::*;
    use crate::StationOptions;
    use crate::attempt::MAX_CANDIDATES;
    use crate::keys::FleetKeys;

    /// Devices that all have one hint key.
    struct Twins(MasterKey);

    impl KeySource for Twins {
        fn hint_key(&self, _: KeyId) -> Option<HintKey> {
            self.0.hint_key(KeyId::first(DeviceId(0)))
        }

        fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
            self.0.packet_key(key)
        }

        fn check_value(&self, context: &[u8]) -> CheckValue {
            self.0.check_value(context)
        }
    }

    /// The packet of a device under `nonce`.
    fn packet(keys: &Twins, scheme: HintScheme, device: u32, nonce: u64) -> Vec<u8> {
        let key = KeyId::first(DeviceId(device));
        let hint_key = keys.hint_key(key).expect("every device has one");
        let packet_key = keys.packet_key(key).expect("every device has one");
        let mut sealer = Sealer::new(scheme, &hint_key, packet_key, nonce);
        let mut packet = vec![0; sealer.packet_len_bytes(1)];
        sealer.seal(b"?", &mut packet).expect("the buffer fits");
        packet
    }

    /// A station of so many devices that make the same hints, and the number of packets under one
    /// nonce that it accepts, a packet of each of the `senders`. All others are crowded.
    fn accepted_of_twins(
        scheme: HintScheme,
        devices: u32,
        senders: Range<u32>,
        nonce: u64,
    ) -> usize {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Arc::new(Twins(MasterKey::new(&[7; 32])));
        let params = Params::counters(scheme, 4);
        let options =
            StationOptions { scan_core_share: f64::INFINITY, ..StationOptions::default() };
        let path = folder.path().join("index");
        let index = LiveIndex::create(&path, keys.clone(), params, &options.of_index());
        let index = index.expect("it can be made");
        index.provision(&[DeviceRange::new(DeviceId(0), devices)], None).expect("ids are free");
        let of_fleet = FleetKeys::open(folder.path(), &[7; 32]);
        let of_fleet = of_fleet.expect("there is no file");
        let owned = crate::folder::FleetFolder::open(folder.path()).expect("no process owns it");
        let station =
            Station::assemble(folder.path(), owned, index, of_fleet, &options).expect("it opens");
        let decode =
            |device| station.decode(&packet(&keys, scheme, device, nonce)).expect("it decodes");
        let tried: Vec<Verdict> = senders.map(decode).collect();
        let is_accepted = |verdict: &&Verdict| matches!(verdict, Verdict::Accepted { .. });
        let accepted = tried.iter().filter(is_accepted).count();
        let crowded = Verdict::Unknown(Unknown::TooManyCandidates);
        let crowded = tried.iter().filter(|verdict| **verdict == crowded).count();
        assert_eq!(accepted + crowded, tried.len(), "{tried:?}");
        assert_eq!(station.scan_stats().crowded, crowded as u64);
        accepted
    }

    #[test]
    fn no_more_than_sixteen_tags_are_tried_for_a_packet() {
        assert_eq!(accepted_of_twins(HintScheme::Aes128, 20, 0..20, 3), MAX_CANDIDATES);
    }

    /// The byte behind the hint rejects all but one in 256 of the candidates, and those do not count.
    #[test]
    fn candidates_that_the_carried_byte_rejects_are_not_tried() {
        // A nonce that the index looks ahead to, and one that is found by a scan alone.
        for nonce in [3, 40] {
            assert_eq!(accepted_of_twins(HintScheme::Carry24, 400, 0..400, nonce), 400);
        }
        // Of 8,192 candidates the byte leaves some 32, so the last devices have more than 16 of
        // them before their own.
        let of = |senders| accepted_of_twins(HintScheme::Carry24, 8_192, senders, 40);
        assert_eq!((of(0..20), of(8_172..8_192)), (20, 0));
    }
}
