//! Every suite: a packet at the station, beside the bare primitive.
//!
//! The bare primitive is the crate of the cipher, called with the key of the device, the nonce and
//! the associated data at hand. The station has to find the device, derive its key and store its
//! state, too: that is the usual lookup, and the usual suite shows what it takes.

use std::path::Path;
use std::sync::Arc;

use aes::Aes128;
use aes_siv::siv::Aes128Siv;
use ccm::aead::{AeadInOut, Key, Nonce, Tag};
use ccm::consts::{U8, U13};
use ccm::{Ccm, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use clap::Args as ClapArgs;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hintdex::{
    DeviceRange, KeyAccess, Params, Protection, SecretSource, Station, StationKey, StationOptions,
    SystemClock,
};
use hintdex_benches::fleet::{Fleet, Opened, PACKETS_PER_BATCH, full_options};
use hintdex_benches::hash::fold;
use hintdex_benches::table::{self, Figures, Goal, Ratios};
use hintdex_benches::turns::{Arm, Clock, Times, Turns, measure};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};
use hintdex_wire::{
    AssociatedData, DeviceId, EphemeralPacket, EphemeralSealer, EphemeralSuite, HintScheme, KeyId,
    MasterKey, Packet, PacketFormat, StationSecret, Suite,
};
use hmac::{Hmac, Mac};
use rayon::ThreadPoolBuilder;
use sha2::Sha256;

type AesCcm8 = Ccm<Aes128, U8, U13>;

/// What the station may cost beyond the usual lookup, in bare primitives.
const MOST_PRIMITIVES: f64 = 1.5;

/// What a packet without a hint may cost, in bare multiplications.
const MOST_MULTIPLICATIONS: f64 = 1.15;

/// Measures every suite.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Devices of each fleet
    #[arg(long, default_value_t = 100_000)]
    devices: u32,
    #[arg(long, default_value_t = 15)]
    rounds: u64,
}

pub fn run(args: &Args) -> Outcome {
    let (devices, rounds) = if args.quick { (2000, 3) } else { (args.devices, args.rounds) };
    let fleet = Fleet { devices, lookahead: 16, seed: args.seed };
    let workload = format!(
        "{devices} devices of each fleet, payloads of 20 bytes, one thread, {PACKETS_PER_BATCH} packets a batch"
    );
    table::heading("Suites: a packet at the station", &workload, args.seed);
    let folder = tempfile::tempdir()?;
    let mut benches = Vec::new();
    for suite in Suite::ALL {
        benches.push(Bench::new(&fleet, *suite, folder.path(), rounds)?);
    }
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    let ephemeral = EphemeralSuite::ALL.into_iter();
    let ephemeral = ephemeral.map(|suite| Ephemeral::new(&fleet, suite, folder.path(), rounds));
    let ephemeral: Vec<Ephemeral> = ephemeral.collect::<Result<_, _>>()?;
    let mut arms: Vec<Arm<'_>> = Vec::new();
    for bench in &benches {
        let [bare, open, station] = &bench.names;
        arms.push((bare, Box::new(|round| bench.bare(round))));
        arms.push((open, Box::new(|round| bench.open(round))));
        arms.push((station, Box::new(|round| pool.install(|| bench.station(round)))));
    }
    for bench in &ephemeral {
        let [bare, open, station] = &bench.names;
        arms.push((bare, Box::new(|round| bench.bare(round))));
        arms.push((open, Box::new(|round| bench.open(round))));
        arms.push((station, Box::new(|round| pool.install(|| bench.station(round)))));
    }
    let times = measure(&Turns { rounds, work: PACKETS_PER_BATCH as u64 }, &mut arms);
    drop(arms);
    table::times(&times, "packet");
    let figures = figures(&benches, &times).ok_or("an arm without times")?;
    figures.print();
    let mut ratios = Ratios::default();
    for Ephemeral { names: [bare, open, station], .. } in &ephemeral {
        ratios.cost(Clock::Cpu, &times, open, bare, Goal::AtMost(MOST_MULTIPLICATIONS));
        ratios.cost(Clock::Cpu, &times, station, bare, Goal::AtMost(MOST_MULTIPLICATIONS));
    }
    ratios.print();
    Ok(())
}

/// The usual lookup, and what each suite costs beyond it, in bare primitives.
fn figures(benches: &[Bench], times: &Times) -> Option<Figures> {
    let median = |name: &str| Some(times.nanoseconds(Clock::Cpu, name)?.median);
    let mut figures = Figures::default();
    let mut lookup = 0.0;
    for Bench { suite, names: [bare, open, station], .. } in benches {
        let (bare, open, station) = (median(bare)?, median(open)?, median(station)?);
        if *suite == Suite::default() {
            lookup = station - bare;
            figures.add(
                "the usual lookup: station without its primitive",
                lookup,
                "ns",
                Goal::None,
            );
            continue;
        }
        let most = Goal::AtMost(MOST_PRIMITIVES);
        figures.add(format!("{suite}: open / bare"), open / bare, "", Goal::None);
        let beyond = (station - lookup) / bare;
        figures.add(format!("{suite}: (station − usual lookup) / bare"), beyond, "", most);
    }
    Some(figures)
}

/// A fleet of one suite, and the packets of each round.
struct Bench {
    suite: Suite,
    names: [String; 3],
    station: Station,
    rounds: Vec<Vec<Opened>>,
}

impl Bench {
    fn new(fleet: &Fleet, suite: Suite, folder: &Path, rounds: u64) -> Result<Self, Failure> {
        let params = Params { suite, ..fleet.params() };
        let folder = folder.join(suite.name());
        let station = fleet.provision_with(&folder, params, &full_options(64 << 20))?;
        station.warm_up()?;
        let (mut traffic, keys) = (fleet.traffic(), MasterKey::new(&fleet.secret()));
        let packets = |_| traffic.packets_of(params.format(), PACKETS_PER_BATCH, &keys);
        let rounds = (0..=rounds).map(packets).collect();
        let names = ["bare", "open", "station"].map(|arm| format!("{suite}: {arm}"));
        Ok(Self { suite, names, station, rounds })
    }

    fn packets(&self, round: u64) -> &[Opened] {
        let round = usize::try_from(round).unwrap_or(usize::MAX);
        self.rounds.get(round).map_or(&[], Vec::as_slice)
    }

    /// The cipher alone, with all that it needs at hand.
    fn bare(&self, round: u64) -> u64 {
        let mut room = [0; 64];
        self.packets(round).iter().fold(0, |hash, packet| {
            let payload = bare(self.suite, packet, &mut room);
            fold(hash, payload.map_or(0, first_word))
        })
    }

    /// The packet under the key of its device.
    fn open(&self, round: u64) -> u64 {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite: self.suite };
        let mut room = [0; 64];
        self.packets(round).iter().fold(0, |hash, Opened { packet, nonce, key, .. }| {
            let packet = Packet::parse(format, packet).ok();
            let opened = packet
                .and_then(|packet| key.open(&packet, *nonce, AssociatedData::EMPTY, &mut room));
            fold(hash, opened.map_or(0, first_word))
        })
    }

    /// The station, from bytes to a verdict.
    fn station(&self, round: u64) -> u64 {
        let packets: Vec<&[u8]> =
            self.packets(round).iter().map(|opened| opened.packet.as_slice()).collect();
        let verdicts = self.station.decode_batch(&packets).unwrap_or_default();
        verdicts.iter().fold(0, |hash, verdict| match verdict {
            hintdex::Verdict::Accepted { payload, .. } => fold(hash, first_word(payload)),
            _ => fold(hash, 0),
        })
    }
}

fn first_word(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |word| u64::from_be_bytes(*word))
}

/// Decrypts the payload of a packet with a hint of 16 bytes by the crate of the cipher.
fn bare<'o>(suite: Suite, opened: &Opened, out: &'o mut [u8; 64]) -> Option<&'o [u8]> {
    let Opened { packet, nonce, dev_key, .. } = opened;
    let (hint, body) = packet.split_at_checked(16)?;
    let (first, second) = dev_key.split_at(16);
    match suite {
        Suite::AesCtrHmac => {
            let (text, tag) = body.split_last_chunk::<8>()?;
            let payload = out.get_mut(..text.len())?;
            payload.copy_from_slice(text);
            let mut mac = Hmac::<Sha256>::new_from_slice(second).ok()?;
            mac.update(packet.split_last_chunk::<8>()?.0);
            mac.verify_truncated_left(tag).ok()?;
            let counter = (u128::from(*nonce) << 64).to_be_bytes();
            let mut cipher = ctr::Ctr64BE::<Aes128>::new(first.try_into().ok()?, &counter.into());
            cipher.apply_keystream(payload);
            Some(payload)
        }
        Suite::AesSiv => {
            let (tag, text) = body.split_first_chunk::<16>()?;
            let payload = out.get_mut(..text.len())?;
            payload.copy_from_slice(text);
            Aes128Siv::new(dev_key.into())
                .decrypt_inout_detached(
                    [hint, &nonce.to_be_bytes()],
                    (&mut *payload).into(),
                    tag.into(),
                )
                .ok()?;
            Some(payload)
        }
        Suite::ChaCha20Poly1305 => aead::<ChaCha20Poly1305>(dev_key, *nonce, hint, body, out),
        Suite::XChaCha20Poly1305 => aead::<XChaCha20Poly1305>(dev_key, *nonce, hint, body, out),
        Suite::AesCcm8 => aead::<AesCcm8>(first, *nonce, hint, body, out),
        _ => None,
    }
}

fn aead<'o, A: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: u64,
    hint: &[u8],
    body: &[u8],
    out: &'o mut [u8; 64],
) -> Option<&'o [u8]> {
    let (text, tag) = body.split_at_checked(body.len().checked_sub(Tag::<A>::default().len())?)?;
    let payload = out.get_mut(..text.len())?;
    payload.copy_from_slice(text);
    let mut full = Nonce::<A>::default();
    *full.last_chunk_mut()? = nonce.to_be_bytes();
    let key: &Key<A> = key.try_into().ok()?;
    let tag: &Tag<A> = tag.try_into().ok()?;
    A::new(key).decrypt_inout_detached(&full, hint, (&mut *payload).into(), tag).ok()?;
    Some(payload)
}

/// A scalar for bare multiplications.
const SCALAR: [u8; 32] = [9; 32];

/// Packets without a hint, of every device in turn: the station agrees on a key for each.
struct Ephemeral {
    suite: EphemeralSuite,
    names: [String; 3],
    secret: StationSecret,
    keys: MasterKey,
    station: Station,
    /// The device and the bytes of each packet of each round.
    rounds: Vec<Vec<(DeviceId, Vec<u8>)>>,
}

impl Ephemeral {
    fn new(
        fleet: &Fleet,
        suite: EphemeralSuite,
        folder: &Path,
        rounds: u64,
    ) -> Result<Self, Failure> {
        let secret = StationSecret::new(&SCALAR);
        let point = *secret.point();
        let (keys, mut number) = (MasterKey::new(&fleet.secret()), 0_u32);
        let mut packet = |_| {
            number += 1;
            let device = DeviceId(number % fleet.devices);
            let mac_key = keys.mac_key(KeyId::first(device));
            let nonce = u64::from(number / fleet.devices);
            let mut sealer = EphemeralSealer::new(suite, device, point, mac_key, nonce);
            let mut random = [3; 32];
            random.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
            let mut packet = vec![0; suite.overhead_bytes() + 20];
            sealer.seal(&random, &[5; 20], &mut packet).ok().map(|_| (device, packet))
        };
        let rounds = (0..=rounds).map(|_| (0..PACKETS_PER_BATCH).filter_map(&mut packet).collect());
        let rounds = rounds.collect();
        let names = ["bare multiplication", "agree and open", "station"];
        let names = names.map(|arm| format!("{}: {arm}", suite.name()));
        let station = station_of(fleet, suite, folder)?;
        Ok(Self { suite, names, secret, keys, station, rounds })
    }

    fn packets(&self, round: u64) -> &[(DeviceId, Vec<u8>)] {
        let round = usize::try_from(round).unwrap_or(usize::MAX);
        self.rounds.get(round).map_or(&[], Vec::as_slice)
    }

    fn bare(&self, round: u64) -> u64 {
        self.packets(round).iter().fold(0, |hash, (_, packet)| {
            let point = packet.first_chunk().copied().unwrap_or_default();
            fold(hash, first_word(&x25519_dalek::x25519(SCALAR, point)))
        })
    }

    fn open(&self, round: u64) -> u64 {
        let mut room = [0; 64];
        self.packets(round).iter().fold(0, |hash, (device, packet)| {
            let packet = EphemeralPacket::parse(self.suite, packet).ok();
            let agreed = packet.and_then(|packet| self.secret.agree(&packet));
            let mac_key = self.keys.mac_key(KeyId::first(*device));
            let opened = agreed.and_then(|agreed| agreed.open(&mac_key, &mut room).map(first_word));
            fold(hash, opened.unwrap_or(0))
        })
    }

    /// The station, from bytes to a verdict.
    fn station(&self, round: u64) -> u64 {
        let packets = self.packets(round).iter().map(|(_, packet)| packet.as_slice());
        let packets: Vec<&[u8]> = packets.collect();
        let verdicts = self.station.decode_batch(&packets).unwrap_or_default();
        verdicts.iter().fold(0, |hash, verdict| match verdict {
            hintdex::Verdict::Accepted { payload, .. } => fold(hash, first_word(payload)),
            _ => fold(hash, 0),
        })
    }
}

/// A station of `suite` with the devices of `fleet` and the secret [`SCALAR`].
fn station_of(fleet: &Fleet, suite: EphemeralSuite, folder: &Path) -> Result<Station, Failure> {
    let file = |name: &str, secret: [u8; 32]| -> Result<SecretSource, Failure> {
        let path = folder.join(format!("{}.{name}", suite.name()));
        std::fs::write(&path, hex::encode(secret))?;
        Ok(SecretSource::File(path))
    };
    let master_key = Some(file("master", fleet.secret())?);
    let station_key = StationKey::read(&file("station", SCALAR)?)?;
    let params = Params::ephemeral(suite, station_key.point());
    let access = KeyAccess { master_key, station_key: Some(station_key), ..KeyAccess::default() };
    let options = StationOptions { scan_core_share: f64::INFINITY, ..full_options(64 << 20) };
    let (folder, clock) = (folder.join(suite.name()), Arc::new(SystemClock));
    let station = Station::create_by(&folder, &access, &Protection::File, params, &options, clock)?;
    station.provision(&[DeviceRange::new(DeviceId(0), fleet.devices)], None)?;
    Ok(station)
}
