//! The workload: a fleet of devices with ids from 0 on, and what they send.

use std::path::Path;

use hintdex::{DeviceRange, Durability, Params, Station, StationOptions};
use hintdex_wire::{
    DeviceId, Hint, HintCipher, HintScheme, KeyId, KeySource, MasterKey, Nonce, PacketFormat,
    PacketKey, Sealer,
};
use rayon::prelude::*;

use crate::Failure;
use hintdex_host::SplitMix64;

/// The length of every payload: the longest the setting knows.
pub const PAYLOAD_LEN_BYTES: usize = 20;

/// Packets a station is given at a time, as the program `hintdex` does.
pub const PACKETS_PER_BATCH: usize = 8192;

/// How large a fleet is and how many of its hints are live.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// How many devices there are; their ids start at 0.
    pub devices: u32,
    /// Hints of each that are live.
    pub lookahead: u32,
    /// Where keys and packets come from.
    pub seed: u64,
}

impl Fleet {
    /// How many hints are live.
    pub const fn hint_count(&self) -> u64 {
        self.devices as u64 * self.lookahead as u64
    }

    /// The secret its keys are derived from, the same for the same seed.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        SplitMix64::new(self.seed).fill(&mut secret);
        secret
    }

    /// What an index of it is made for.
    pub const fn params(&self) -> Params {
        Params::counters(HintScheme::Aes128, self.lookahead)
    }

    /// All its devices.
    pub const fn range(&self) -> DeviceRange {
        DeviceRange::new(DeviceId(0), self.devices)
    }

    /// Every live hint, device by device.
    pub fn hints(&self) -> Vec<Hint> {
        let keys = MasterKey::new(&self.secret());
        let of_device = |device| hints_of(&keys, device, 0..u64::from(self.lookahead));
        (0..self.devices).into_par_iter().flat_map_iter(of_device).collect()
    }

    /// A station of the fleet with a full index, made in `folder`, which does not exist yet.
    ///
    /// # Errors
    /// Those of the station and of the file system.
    pub fn provision(&self, folder: &Path, memory_bytes: usize) -> Result<Station, Failure> {
        self.provision_as(folder, &full_options(memory_bytes))
    }

    /// [`provision`](Self::provision) of an index in any form.
    ///
    /// # Errors
    /// Those of the station and of the file system.
    pub fn provision_as(
        &self,
        folder: &Path,
        options: &StationOptions,
    ) -> Result<Station, Failure> {
        self.provision_with(folder, self.params(), options)
    }

    /// [`provision_as`](Self::provision_as) of an index with other parameters.
    ///
    /// # Errors
    /// Those of the station and of the file system.
    pub fn provision_with(
        &self,
        folder: &Path,
        params: Params,
        options: &StationOptions,
    ) -> Result<Station, Failure> {
        let key_file = folder.with_extension("key");
        let digits: String = self.secret().iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&key_file, digits)?;
        let station = Station::create(folder, Some(&key_file), params, options)?;
        station.provision(&[self.range()], None)?;
        Ok(station)
    }

    /// What the fleet sends, from its first packet on.
    pub fn traffic(&self) -> Traffic {
        Traffic::new(self.devices, self.seed)
    }
}

/// The hints of a device for `nonces`.
fn hints_of(keys: &impl KeySource, device: u32, nonces: std::ops::Range<Nonce>) -> Vec<Hint> {
    let Some(key) = keys.hint_key(KeyId::first(DeviceId(device))) else { return Vec::new() };
    let cipher = HintCipher::new(HintScheme::Aes128, &key);
    nonces.filter_map(|nonce| cipher.hint(nonce)).collect()
}

/// How the benches run a station with a full index: safe through a crash of the process, and
/// rolling by itself, as a user would.
pub fn full_options(memory_bytes: usize) -> StationOptions {
    StationOptions { lean: false, ..station_options(memory_bytes) }
}

/// How the benches run a station in the usual form.
pub fn station_options(memory_bytes: usize) -> StationOptions {
    StationOptions {
        memory_bytes,
        durability: Durability::ProcessCrash,
        ..StationOptions::default()
    }
}

/// Packets of random devices, each with its device's next nonce.
#[derive(Clone, Debug)]
pub struct Traffic {
    next_nonces: Vec<u32>,
    random: SplitMix64,
}

impl Traffic {
    /// What `devices` devices send that sent nothing yet.
    pub fn new(devices: u32, seed: u64) -> Self {
        Self {
            next_nonces: vec![0; devices as usize],
            random: SplitMix64::new(seed ^ 0x0072_6164_696f),
        }
    }

    /// The memory of the list of next nonces, in bytes.
    pub const fn memory_bytes(&self) -> usize {
        self.next_nonces.len() * size_of::<u32>()
    }

    /// The next `count` packets, sealed on all threads.
    pub fn packets(&mut self, count: usize, keys: &dyn KeySource) -> Vec<Vec<u8>> {
        let format = HintScheme::Aes128.into();
        let senders: Vec<_> = (0..count).filter_map(|_| self.next_sender()).collect();
        senders.into_par_iter().filter_map(|sender| sender.seal(format, keys)).collect()
    }

    /// The next `count` packets of another format, with what opens them.
    pub fn packets_of(
        &mut self,
        format: PacketFormat,
        count: usize,
        keys: &MasterKey,
    ) -> Vec<Opened> {
        let opened = |sender: Sender| {
            let dev_key = *keys.dev_key(KeyId::first(sender.device));
            let key = PacketKey::copy_of(&dev_key);
            let packet = sender.seal(format, keys)?;
            Some(Opened { packet, device: sender.device, nonce: sender.nonce, key, dev_key })
        };
        let senders: Vec<_> = (0..count).filter_map(|_| self.next_sender()).collect();
        senders.into_par_iter().filter_map(opened).collect()
    }

    fn next_sender(&mut self) -> Option<Sender> {
        let device =
            self.random.below_u32(u32::try_from(self.next_nonces.len()).unwrap_or(u32::MAX));
        let next = self.next_nonces.get_mut(device as usize)?;
        let nonce = *next;
        *next += 1;
        Some(Sender {
            device: DeviceId(device),
            nonce: nonce.into(),
            noise: self.random.next_u64(),
        })
    }
}

/// A packet, and what opens it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The packet.
    pub packet: Vec<u8>,
    /// Its sender.
    pub device: DeviceId,
    /// Its nonce.
    pub nonce: Nonce,
    /// The packet key of its device.
    pub key: PacketKey,
    /// The same key, for the bare cipher.
    pub dev_key: [u8; 32],
}

struct Sender {
    device: DeviceId,
    nonce: Nonce,
    noise: u64,
}

impl Sender {
    fn seal(&self, format: PacketFormat, keys: &dyn KeySource) -> Option<Vec<u8>> {
        let id = KeyId::first(self.device);
        let (hint_key, packet_key) = (keys.hint_key(id)?, keys.packet_key(id)?);
        let mut sealer = Sealer::new(format, &hint_key, packet_key, self.nonce);
        let mut payload = [0; PAYLOAD_LEN_BYTES];
        SplitMix64::new(self.noise).fill(&mut payload);
        let mut packet = vec![0; sealer.packet_len_bytes(PAYLOAD_LEN_BYTES)];
        sealer.seal(&payload, &mut packet).ok()?;
        Some(packet)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::Fleet;

    #[test]
    fn traffic_is_accepted_and_repeats_with_its_seed() {
        let fleet = Fleet { devices: 50, lookahead: 4, seed: 3 };
        let folder = tempfile::tempdir().expect("a folder");
        let station = fleet.provision(&folder.path().join("fleet"), 1 << 20).expect("a fleet");
        let keys = station.key_source().clone();
        let packets = fleet.traffic().packets(300, keys.as_ref());
        assert_eq!(packets, fleet.traffic().packets(300, keys.as_ref()));
        let verdicts = station.decode_batch(&packets).expect("verdicts");
        assert_eq!(verdicts.len(), 300);
        assert!(verdicts.iter().all(|verdict| verdict.name() == "accepted"));
        assert_eq!(fleet.hints().len() as u64, fleet.hint_count());
    }
}
