//! Captures: what is on the air, in order, late, again and again, forged, and of others.

use std::collections::HashMap;

use hintdex::wire::{
    HintCipher, HintScheme, KeyId, KeySource, MasterKey, NonceKind, REPLAY_WINDOW_NONCES,
};
use hintdex_tests::devices::{damaged, payload};
use hintdex_tests::{Devices, Random};

use super::runs::{Packet, START, Setting, What};
use crate::fleet::SECRET;

/// How long a packet of a captured minute or day may be held up, in seconds.
const MOST_HELD_UP_S: u64 = 40;

/// The devices of a capture, and what they sent.
struct Air<'a> {
    setting: Setting,
    devices: Devices,
    random: &'a mut Random,
    senders: Vec<Sender>,
    now_s: u64,
    packets: Vec<Packet>,
    /// A few hints of nobody, which come again and again.
    foreign: Vec<Vec<u8>>,
}

/// What a device will send next.
#[derive(Clone, Debug, Default)]
struct Sender {
    next: u64,
    /// Nonces it used whose packets are still to come.
    held_up: Vec<u64>,
    /// How far its clock is from the station's.
    offset_s: i64,
    /// The day or step of its last nonce.
    unit: u64,
}

/// A random capture of about `count` packets.
pub fn random(setting: Setting, count: usize, random: &mut Random) -> Vec<Packet> {
    let devices = Devices::new(&SECRET).hinting(setting.scheme).sealing(setting.suite);
    let strange = |number| devices.packet(setting.devices + 7 + number, 1000, b"strange");
    let foreign = (0..3).map(strange).collect();
    let senders = vec![Sender::default(); setting.devices as usize];
    let now_s = START - 900;
    let mut air = Air { setting, devices, random, senders, now_s, packets: Vec::new(), foreign };
    while air.packets.len() < count {
        air.step();
    }
    air.packets
}

impl Air<'_> {
    fn step(&mut self) {
        self.now_s += self.random.below(12);
        let kind = self.random.below(100);
        match kind {
            0..8 if !self.packets.is_empty() => self.again(30),
            8..14 if !self.packets.is_empty() => self.again(usize::MAX),
            14..17 => {
                let bytes = self.random.bytes(40);
                self.put(bytes, What::Foreign("noise"));
            }
            17..22 => {
                // The hint of nobody, with what was sent or something else behind it.
                let mut bytes = self.foreign[self.random.place(3)].clone();
                if self.random.chance(50) {
                    bytes.push(7);
                }
                self.put(bytes, What::Foreign("a hint of nobody"));
            }
            22 => {
                let short = self.random.place(self.devices.least_packet_len_bytes());
                let bytes = self.random.bytes(short);
                self.put(bytes, What::Foreign("a short one"));
            }
            _ => {
                let device = self.random.place(self.senders.len());
                match self.setting.nonces {
                    NonceKind::Counter => self.count(device, kind),
                    _ => self.tick(device, kind),
                }
            }
        }
    }

    /// A device of counters goes on.
    fn count(&mut self, device: usize, kind: u64) {
        let lookahead = u64::from(self.setting.lookahead);
        let sender = &mut self.senders[device];
        match kind {
            // Some are lost, and some of those come later.
            23..30 => {
                let gap = 1 + self.random.below(lookahead);
                let late = sender.next + self.random.below(gap);
                sender.held_up.push(late);
                sender.next += gap;
            }
            30..38 if !sender.held_up.is_empty() => {
                let late = sender.held_up.swap_remove(self.random.place(sender.held_up.len()));
                return self.send(device, late);
            }
            38..43 => sender.next += lookahead + self.random.below(15 * lookahead),
            43..45 => sender.next += 17 * lookahead + self.random.below(20 * lookahead),
            45..49 => {
                // More at once than the index looks ahead.
                for _ in 0..self.random.below(3 * lookahead) {
                    self.go_on(device);
                }
            }
            49..55 => return self.forge(device, self.senders[device].next),
            55..58 => {
                // What was forged comes before what it was forged from.
                self.forge(device, self.senders[device].next);
            }
            _ => {}
        }
        self.go_on(device);
    }

    fn go_on(&mut self, device: usize) {
        let nonce = self.senders[device].next;
        self.senders[device].next += 1;
        self.send(device, nonce);
    }

    /// A device with a clock goes on.
    fn tick(&mut self, device: usize, kind: u64) {
        match kind {
            // A new battery, or a clock that was set.
            23..26 => {
                let jumps = [-i64::try_from(START).expect("small"), -86_400, -600, 600, 90_000];
                self.senders[device].offset_s = jumps[self.random.place(5)];
            }
            26..36 => {
                let nonce = self.made(device);
                self.senders[device].held_up.push(nonce);
                return;
            }
            36..48 if !self.senders[device].held_up.is_empty() => {
                let late = self.senders[device].held_up.remove(0);
                return self.send(device, late);
            }
            48..54 => {
                let nonce = self.made(device);
                return self.forge(device, nonce);
            }
            _ => {}
        }
        let nonce = self.made(device);
        self.send(device, nonce);
    }

    /// The nonce of a packet that a device with a clock makes now.
    fn made(&mut self, device: usize) -> u64 {
        let kind = self.setting.nonces;
        let sender = &mut self.senders[device];
        let shown_s = self.now_s.saturating_add_signed(sender.offset_s);
        let unit = shown_s / u64::from(kind.unit_s());
        if sender.unit == unit {
            sender.next += 1;
        } else {
            (sender.unit, sender.next) = (unit, 0);
        }
        // Steps have one nonce each: whoever sends more of them sends the same.
        let counter = if kind == NonceKind::DayCounter { sender.next } else { 0 };
        kind.first_of(unit) + counter
    }

    fn send(&mut self, device: usize, nonce: u64) {
        let device = u32::try_from(device).expect("few");
        let bytes = self.devices.packet(device, nonce, &payload(device, nonce));
        self.put(bytes, What::Authentic { device, nonce });
    }

    fn forge(&mut self, device: usize, nonce: u64) {
        let device = u32::try_from(device).expect("few");
        let bytes = self.devices.packet(device, nonce, b"to be forged");
        let bit = self.random.place(bytes.len() * 8);
        self.put(damaged(bytes, bit), What::Damaged { device, nonce, bit });
    }

    /// One of the last `among` packets once more.
    fn again(&mut self, among: usize) {
        let len = self.packets.len();
        let place = len - 1 - self.random.place(len.min(among));
        let Packet { bytes, what, .. } = self.packets[place].clone();
        self.put(bytes, what);
    }

    fn put(&mut self, bytes: Vec<u8>, what: What) {
        let at_unix_s = self.now_s - self.random.below(MOST_HELD_UP_S) / 2;
        self.packets.push(Packet { bytes, at_unix_s, what });
    }
}

/// A hint of a device, and the nonce it was made from.
type Made = (Vec<u8>, u32, u64);

/// Captures of truncated hints of which two devices have each one: both are live, or one is
/// once its device's packet before was taken, or that is so and the other one is far ahead.
pub fn colliding(setting: Setting, count: usize, random: &mut Random) -> Vec<Packet> {
    let lookahead = u64::from(setting.lookahead);
    let devices = Devices::new(&SECRET).hinting(setting.scheme).sealing(setting.suite);
    let send = |device, nonce| Packet {
        bytes: devices.packet(device, nonce, &payload(device, nonce)),
        at_unix_s: START,
        what: What::Authentic { device, nonce },
    };
    let mut groups: Vec<Vec<Packet>> = Vec::new();
    for ((_, a, n), (_, b, m)) in collisions(setting) {
        let (first, second) = if n < m { ((a, n), (b, m)) } else { ((b, m), (a, n)) };
        // The nonce with which a device's hint of `nonce` becomes live, or before that.
        let mut before = |nonce: u64| nonce - 1 - random.below(lookahead.min(nonce));
        let mut group = match (first.1 < lookahead, second.1 < lookahead) {
            (true, true) => vec![send(first.0, first.1), send(second.0, second.1)],
            (true, false) => vec![send(second.0, before(second.1)), send(first.0, first.1)],
            _ => vec![send(first.0, before(first.1))],
        };
        random.shuffle(&mut group);
        if second.1 >= lookahead {
            group.push(send(second.0, second.1));
        }
        if random.chance(20) {
            let forged = send(first.0, first.1);
            let (bytes, bit) = (forged.bytes, setting.scheme.len_bytes() * 8 + random.place(64));
            let what = What::Damaged { device: first.0, nonce: first.1, bit };
            group.insert(0, Packet { bytes: damaged(bytes, bit), what, ..group[0].clone() });
        }
        groups.push(group);
    }
    random.shuffle(&mut groups);
    // Hints that are so old that nobody remembers them may be anybody's.
    let mut heard: HashMap<u32, u64> = HashMap::new();
    let is_remembered = |packet: &Packet| {
        let (What::Authentic { device, nonce } | What::Damaged { device, nonce, .. }) = packet.what
        else {
            return false;
        };
        let last = heard.entry(device).or_default();
        let is_remembered = nonce + REPLAY_WINDOW_NONCES > *last;
        *last = nonce.max(*last);
        is_remembered
    };
    groups.into_iter().take(count).flatten().filter(is_remembered).collect()
}

/// Every two hints of two devices that are the same, up to two lookaheads from the first.
fn collisions(setting: Setting) -> Vec<(Made, Made)> {
    let len_bytes = setting.scheme.len_bytes();
    let keys = MasterKey::new(&SECRET);
    let mut all: Vec<Made> = Vec::new();
    for device in 0..setting.devices {
        let id = KeyId::first(hintdex::wire::DeviceId(device));
        let key = keys.hint_key(id).expect("every device has one");
        let mut nonce = 0;
        HintCipher::new(setting.scheme, &key).each_hint(
            0..2 * u64::from(setting.lookahead),
            |hint| {
                all.push((hint.as_bytes()[..len_bytes].to_vec(), device, nonce));
                nonce += 1;
            },
        );
    }
    all.sort_unstable();
    let pairs = all.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
    pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// The scheme of hints of so many bytes.
pub fn truncated(len_bytes: usize) -> HintScheme {
    let len = hintdex::wire::TruncatedLen::new(len_bytes).expect("4 to 12");
    HintScheme::Aes128Truncated(len)
}
