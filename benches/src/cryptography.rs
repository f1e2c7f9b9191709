//! The cryptography of a packet alone: its key, its tag and its payload, without an index.

use hintdex_benches::Outcome;
use hintdex_benches::fleet::{Fleet, Opened};
use hintdex_benches::hash::fold;
use hintdex_benches::turns::{Stopwatch, Times};
use hintdex_scan::{OpeningKey, PacketOpener, SealedPacket};
use hintdex_wire::{
    AssociatedData, HintScheme, KeyId, KeySource as _, MasterKey, Packet, PacketFormat,
};

const EACH: &str = "cryptography alone, by the crates";
const TOGETHER: &str = "cryptography alone, `PacketOpener`";

/// Packets that are opened by keys that are derived anew each time.
pub struct Cryptography {
    keys: MasterKey,
    packets: Vec<Opened>,
}

impl Cryptography {
    /// The first packets of a fleet.
    pub fn of(fleet: &Fleet, count: usize) -> Self {
        let keys = MasterKey::new(&fleet.secret());
        let packets = fleet.traffic().packets_of(Self::format(), count, &keys);
        Self { keys, packets }
    }

    fn format() -> PacketFormat {
        HintScheme::Aes128.into()
    }

    /// Opens all packets in each of two ways, on this thread.
    ///
    /// # Errors
    /// When one of them does not open.
    pub fn record(&self, times: &mut Times, counts: bool) -> Outcome {
        for name in [EACH, TOGETHER] {
            let started = Stopwatch::start();
            let hash = if name == EACH { self.open_each() } else { self.open_together() };
            let hash = hash.ok_or("a good packet was not opened")?;
            let each = started.took().each(u32::try_from(self.packets.len())?);
            times.record(name, counts.then_some(each), hash);
        }
        Ok(())
    }

    fn open_each(&self) -> Option<u64> {
        self.packets.iter().try_fold(0, |hash, sealed| {
            let packet = Packet::parse(Self::format(), &sealed.packet).ok()?;
            let mut payload = vec![0; packet.payload_len_bytes()];
            let key = self.keys.packet_key(KeyId::first(sealed.device))?;
            key.open(&packet, sealed.nonce, AssociatedData::EMPTY, &mut payload)?;
            Some(fold_payload(hash, &payload))
        })
    }

    /// As many packets at a time as a station looks up together.
    fn open_together(&self) -> Option<u64> {
        let opener = PacketOpener::new();
        let mut hash = 0;
        for packets in self.packets.chunks(256) {
            let sealed: Vec<SealedPacket<'_>> =
                packets.iter().map(|sealed| self.sealed(sealed)).collect::<Option<_>>()?;
            for payload in opener.open(&sealed) {
                hash = fold_payload(hash, &payload?);
            }
        }
        Some(hash)
    }

    fn sealed<'a>(&'a self, sealed: &'a Opened) -> Option<SealedPacket<'a>> {
        let key = self.keys.packet_key_derivation(KeyId::first(sealed.device))?;
        Some(SealedPacket {
            packet: Packet::parse(Self::format(), &sealed.packet).ok()?,
            nonce: sealed.nonce,
            key: OpeningKey::Derived(key),
        })
    }
}

fn fold_payload(hash: u64, payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(hash, |first| fold(hash, u64::from_le_bytes(*first)))
}
