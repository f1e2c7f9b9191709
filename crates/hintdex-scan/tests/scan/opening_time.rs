//! The time that an opener takes tells nothing of a tag: Welch's t-test of two classes of packets, as in O. Reparaz
//! and others, *Dude, is my code constant time?*, 2017, [eprint 2016/1123](https://eprint.iacr.org/2016/1123).

use std::time::Instant;

use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, OpeningKey, PacketOpener, SealedPacket};
use hintdex_wire::{
    DeviceId, HintScheme, KeyId, KeySource as _, MasterKey, Packet, PacketKey, Sealer,
    TAG_LEN_BYTES,
};

const SAMPLES: usize = 1_000_000;
/// Beyond this |t|, the classes differ.
const MAX_T: f64 = 4.5;

/// Mean and variance of samples that come one by one (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, sample: f64) {
        self.count += 1.0;
        let off = sample - self.mean;
        self.mean += off / self.count;
        self.squares += off * (sample - self.mean);
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t of the samples of two classes below `most_ns`: interrupts are left out.
fn t_of(samples: &[(bool, u32)], most_ns: u32) -> f64 {
    let mut classes = [Moments::default(); 2];
    for (class, took_ns) in samples.iter().filter(|(_, took_ns)| *took_ns <= most_ns) {
        classes[usize::from(*class)].add(f64::from(*took_ns));
    }
    let [first, second] = classes;
    (first.mean - second.mean) / (first.variance_of_mean() + second.variance_of_mean()).sqrt()
}

/// The largest |t| over all samples and over the fastest half, 90 % and 99 % of them.
fn largest_t(samples: &[(bool, u32)]) -> f64 {
    let mut sorted: Vec<u32> = samples.iter().map(|(_, took_ns)| *took_ns).collect();
    sorted.sort_unstable();
    let bounds = [50, 90, 99, 100].map(|percent| sorted[(sorted.len() - 1) * percent / 100]);
    bounds.iter().map(|most_ns| t_of(samples, *most_ns).abs()).fold(0.0, f64::max)
}

/// Packets of sixteen devices whose tags are wrong from byte `right` on.
fn radios(master: &MasterKey, right: usize) -> Vec<Vec<u8>> {
    let key = |device| KeyId::first(DeviceId(device));
    let sealed = |device| {
        let hint_key = master.hint_key(key(device)).expect("a key");
        let packet_key = master.packet_key(key(device)).expect("a key");
        let mut radio = vec![0; 64];
        let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 5);
        let len = sealer.seal(b"21.5 C", &mut radio).expect("there is room");
        radio.truncate(len);
        let tag = radio.len() - TAG_LEN_BYTES;
        radio[tag + right..].iter_mut().for_each(|byte| *byte ^= 0x55);
        radio
    };
    (0..16).map(sealed).collect()
}

fn keys(master: &MasterKey) -> Vec<PacketKey> {
    (0..16)
        .map(|device| master.packet_key(KeyId::first(DeviceId(device))).expect("a key"))
        .collect()
}

/// One sample: opens sixteen packets.
fn sample(opener: &PacketOpener, radios: &[Vec<u8>], keys: &[PacketKey]) -> u32 {
    let sealed = |(radio, key): (&'_ Vec<u8>, &PacketKey)| (radio.clone(), key.clone());
    // Both classes are copied to fresh memory, so that no cache knows one better than the other.
    let copies: Vec<(Vec<u8>, PacketKey)> = radios.iter().zip(keys).map(sealed).collect();
    let packets: Vec<SealedPacket<'_>> = copies
        .iter()
        .map(|(radio, key)| SealedPacket {
            packet: Packet::parse(HintScheme::Aes128, radio).expect("a packet"),
            nonce: 5,
            key: OpeningKey::Given(key.clone()),
        })
        .collect();
    let began = Instant::now();
    let opened = opener.open(&packets);
    let took = began.elapsed();
    assert!(opened.iter().all(Option::is_none));
    u32::try_from(took.as_nanos()).unwrap_or(u32::MAX)
}

#[test]
#[ignore = "a minute, and a measurement"]
fn a_tag_that_is_wrong_at_once_takes_as_long_as_one_that_is_wrong_at_the_end() {
    let master = MasterKey::new(&[9; 32]);
    let (keys, classes) = (keys(&master), [radios(&master, 0), radios(&master, 7)]);
    for backend in [Backend::Portable, Backend::Avx512] {
        let Ok(opener) = PacketOpener::with_backend(backend) else { continue };
        let mut random = SplitMix64::new(7);
        let samples: Vec<(bool, u32)> = (0..SAMPLES)
            .map(|_| {
                let class = random.below(2) == 1;
                (class, sample(&opener, &classes[usize::from(class)], &keys))
            })
            .collect();
        let t = largest_t(&samples);
        println!("{backend}: |t| = {t:.2} of {SAMPLES} samples");
        assert!(t < MAX_T, "{backend}: |t| = {t:.2}");
    }
}

/// The test of the test: a comparison that ends at the first wrong byte is seen.
#[test]
#[ignore = "a measurement"]
fn a_difference_of_a_few_nanoseconds_is_seen() {
    let mut random = SplitMix64::new(7);
    let samples: Vec<(bool, u32)> = (0..SAMPLES / 10)
        .map(|_| {
            let class = random.below(2) == 1;
            let noise_ns = 4_000 + random.below_u32(400);
            (class, noise_ns + if class { 8 } else { 0 })
        })
        .collect();
    assert!(largest_t(&samples) > MAX_T);
}
