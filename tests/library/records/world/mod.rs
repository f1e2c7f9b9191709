//! A fleet's folder that public calls are made on, and the plain model of what may be
//! said of it afterwards.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use hintdex::ManualClock;
use hintdex::wire::{DeviceId, HintKey, KeyId, KeySource, MasterKey, Nonce, NonceKind, Slot};
use hintdex::{DeviceRange, Durability, Params, RebuildOptions, Received, Station, StationOptions};
use hintdex_core::{Arrival, LiveIndex, Options, SnapshotCoverage};
use hintdex_tests::{Devices, files};
use tempfile::TempDir;

use super::said::{Said, Sent, admitted, told};
use super::{Heard, HeldAs, Moment, Number, Runs, Step};
use crate::fleet::{Judge, Model, SECRET};

/// When every sequence begins: 2026-11-23.
pub const START: u64 = 1_795_392_000;

/// The devices of the beginning, at both ends of all ids.
const FIRST: [(u32, u32); 2] = [(0, 6), (u32::MAX - 4, 5)];
/// Those of them that never do anything odd.
const QUIET: [u32; 3] = [0, 3, u32::MAX];

/// How the folder is open.
enum Open {
    Closed,
    Station(Box<Station>),
    Index(Box<LiveIndex>),
}

/// The folder, the devices and the model.
pub struct World {
    folder: TempDir,
    params: Params,
    clock: Arc<ManualClock>,
    /// The time it is, whatever the station's clock says.
    now_s: u64,
    open: Open,
    keys: Arc<MasterKey>,
    senders: Devices,
    /// What a station of counters must say.
    model: Model,
    odd: Vec<u32>,
    retired: BTreeSet<u32>,
    accepted: BTreeMap<u32, Vec<Nonce>>,
    /// How many packets each quiet device has sent.
    quiet_sent: u64,
}

fn options(lean: bool) -> StationOptions {
    StationOptions {
        memory_bytes: 4 << 20,
        durability: Durability::ProcessCrash,
        roll_in_background: false,
        lean,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

impl World {
    /// A fleet with its first devices, opened.
    pub fn new(params: Params) -> Self {
        let folder = files::folder_in_memory();
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let clock = Arc::new(ManualClock::new(START));
        let dir = folder.path().join("fleet");
        let options = options(false);
        let station = Station::create_with(&dir, Some(&key), params, &options, clock.clone());
        let mut world = Self {
            folder,
            params,
            clock,
            now_s: START,
            open: Open::Station(Box::new(station.expect("it can be made"))),
            keys: Arc::new(MasterKey::new(&SECRET)),
            senders: Devices::new(&SECRET).hinting(params.scheme),
            model: Model::new(params.lookahead),
            odd: Vec::new(),
            retired: BTreeSet::new(),
            accepted: BTreeMap::new(),
            quiet_sent: 0,
        };
        for (first, count) in FIRST {
            let added = world.provision(DeviceRange::new(DeviceId(first), count));
            added.expect("ids are free");
        }
        world.odd.retain(|id| !QUIET.contains(id));
        world
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    /// Makes the calls one after another; what is wrong, if anything is.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|why| format!("call {number}, {step:?}: {why}"))?;
        }
        self.check().map_err(|why| format!("after all calls: {why}"))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Hear(heard) => self.hear(heard),
            Step::Retire(who) => self.retire(*who),
            Step::Provision(range) => self.provision(*range),
            Step::Clock(moment) => {
                self.clock.set(self.moment(*moment, 0));
                Ok(())
            }
            Step::Reopen { lean } => self.check_as(*lean),
            Step::Rebuild { span, horizon_nonces } => self.rebuild(*span, *horizon_nonces),
            Step::Roll => {
                let rolled = match &self.open {
                    Open::Station(station) => station.roll(None).map_err(|error| error.to_string()),
                    Open::Index(index) => index.roll(None).map_err(|error| error.to_string()),
                    Open::Closed => Ok(()),
                };
                rolled.map_err(|why| format!("it does not roll: {why}"))
            }
            Step::KeepSpans | Step::DropPassed | Step::OpenSpan(..) | Step::CloseSpan(..) => {
                self.turn_spans(step)
            }
            Step::RollBeside(held) => self.roll_lean(*held),
        }
    }

    /// Calls on the windows of time, sane and insane: whether they are refused is theirs.
    fn turn_spans(&mut self, step: &Step) -> Result<(), String> {
        let span = match step {
            Step::OpenSpan(from, len_s) | Step::CloseSpan(from, len_s) => self.span(*from, *len_s),
            _ => 0..0,
        };
        let index = self.as_index()?;
        let _ = match step {
            Step::KeepSpans => index.keep_spans(None),
            Step::DropPassed => index.drop_passed(),
            Step::OpenSpan(..) => index.open_span(span, None),
            _ => index.close_span(&span),
        };
        Ok(())
    }

    fn roll_lean(&mut self, held: HeldAs) -> Result<(), String> {
        let (lookahead, max_nonce) = (self.params.lookahead, self.params.max_nonce());
        let collide = !self.params.scheme.is_reversible();
        let index = self.as_index()?;
        let horizon_nonces = match held.horizon {
            Number::Zero => 0,
            Number::One => 1,
            Number::Less => lookahead - 1,
            Number::Same => lookahead,
            Number::More => lookahead * 4,
            // Of truncated hints each nonce that is held would have to be tried.
            Number::Most if collide => lookahead * 4,
            Number::Most => u32::MAX,
        };
        let slots = index.slot_count();
        let mut first_nonces: Vec<Option<Nonce>> = vec![None; slots as usize];
        for (slot, nonces) in index.fleet_view().coming_nonces(horizon_nonces.into(), None) {
            first_nonces[slot.index()] = Some(nonces.start);
        }
        match held.runs {
            Runs::Right => {}
            Runs::TooMany(more) => {
                first_nonces.extend(std::iter::repeat_n(Some(0), usize::from(more) + 1));
            }
            Runs::TooFew(fewer) => {
                first_nonces.truncate((slots as usize).saturating_sub(usize::from(fewer)));
            }
            Runs::None => first_nonces.fill(None),
            Runs::Last if collide => {}
            Runs::Last => first_nonces.fill(Some(max_nonce)),
            Runs::PastTheLast if collide => {}
            Runs::PastTheLast => first_nonces.fill(Some(u64::MAX)),
        }
        let held = SnapshotCoverage { snapshot: [7; 16], first_nonces, horizon_nonces };
        let _ = index.roll_lean(held, None);
        Ok(())
    }

    fn rebuild(&mut self, span: (Moment, i64), horizon_nonces: u16) -> Result<(), String> {
        let span = self.span(span.0, span.1);
        let path = self.folder.path().join("other.hdx");
        let station = self.as_station()?;
        let span = Some((span.start, span.end)).filter(|_| station.params().nonces.is_clocked());
        let horizon_nonces = horizon_nonces.into();
        let options = RebuildOptions { span, horizon_nonces, ..RebuildOptions::default() };
        if station.rebuild(&path, &options, None).is_ok() {
            let _ = station.attach(&path);
        }
        Ok(())
    }

    fn retire(&mut self, who: u8) -> Result<(), String> {
        let id = self.odd[usize::from(who) % self.odd.len()];
        match &self.open {
            Open::Station(station) => {
                station.retire(DeviceId(id)).map_err(|error| error.to_string())
            }
            Open::Index(index) => {
                index.retire(DeviceId(id)).map(|_| ()).map_err(|error| error.to_string())
            }
            Open::Closed => Ok(()),
        }?;
        self.model.retire(id);
        self.retired.insert(id);
        Ok(())
    }

    fn provision(&mut self, range: DeviceRange) -> Result<(), String> {
        let ranges = [range];
        let provisioned = match &self.open {
            Open::Station(station) => {
                station.provision(&ranges, None).map_err(|error| error.to_string())
            }
            Open::Index(index) => index.provision(&ranges, None).map_err(|error| error.to_string()),
            Open::Closed => return Ok(()),
        };
        // Nobody has keys of another generation. An index that takes such devices all the
        // same has to open with them.
        let has_keys = range.generation == 0 && range.count > 0;
        let is_free = has_keys && self.model.add(&ranges);
        match provisioned {
            Ok(_) if is_free => {
                let ids = (0..range.count).map(|offset| range.first.0 + offset);
                self.odd.extend(ids);
                Ok(())
            }
            Ok(_) if has_keys => Err(format!("{range:?} is there already and was added")),
            Err(why) if is_free => Err(format!("{range:?} is free and was refused: {why}")),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The packets of a step, each alone or with another one a unit of time later.
    fn packets(&self, heard: &[Heard]) -> Vec<Sent> {
        let nonces = self.params.nonces;
        let unit_s = u64::from(nonces.unit_s().max(1));
        let mut packets = Vec::new();
        for heard in heard {
            let device = self.odd[usize::from(heard.who) % self.odd.len()];
            let nonce = self.nonce(device, heard.nonce, unit_s);
            let at_unix_s = self.moment(heard.when, nonce);
            packets.push(Sent { device, nonce, at_unix_s });
            if heard.pair && nonce < self.params.max_nonce() {
                let later_s = if matches!(nonces, NonceKind::Step(_)) { unit_s } else { 1 };
                let at_unix_s = at_unix_s.saturating_add(later_s);
                packets.push(Sent { device, nonce: nonce + 1, at_unix_s });
            }
        }
        packets
    }

    fn hear(&mut self, heard: &[Heard]) -> Result<(), String> {
        let sent = self.packets(heard);
        let said = self.said(&sent)?;
        self.model.begin_batch();
        for (sent, said) in sent.into_iter().zip(said) {
            self.enter(sent, said).map_err(|why| format!("{sent:?} is {said:?}: {why}"))?;
        }
        Ok(())
    }

    /// What is said of packets by whoever has the folder open.
    fn said(&self, sent: &[Sent]) -> Result<Vec<Said>, String> {
        match &self.open {
            Open::Station(station) => {
                let packet = |sent: &Sent| self.senders.packet(sent.device, sent.nonce, b"odd");
                let packets: Vec<Vec<u8>> = sent.iter().map(packet).collect();
                let received = packets.iter().zip(sent).map(|(packet, sent)| Received {
                    packet,
                    at_unix_s: sent.at_unix_s,
                    at_ms: 0,
                    associated_data: None,
                    context: &[],
                });
                let received: Vec<Received<'_>> = received.collect();
                let at_once = if self.tries_nonces() { 1 } else { received.len().max(1) };
                let batches = received.chunks(at_once).map(|batch| station.decode_received(batch));
                let verdicts = batches.collect::<Result<Vec<_>, _>>();
                let verdicts = verdicts.map_err(|error| error.to_string())?.concat();
                verdicts.iter().zip(sent).map(|(verdict, sent)| told(verdict, sent)).collect()
            }
            Open::Index(index) => {
                let key = |sent: &Sent| -> Option<(Slot, HintKey)> {
                    let id = KeyId::first(DeviceId(sent.device));
                    Some((*index.slots(id.device).first()?, self.keys.hint_key(id)?))
                };
                let keys: Vec<_> = sent.iter().map(|sent| key(sent).expect("known")).collect();
                let arrivals = sent.iter().zip(&keys).map(|(sent, (slot, hint_key))| Arrival {
                    slot: *slot,
                    key: KeyId::first(DeviceId(sent.device)),
                    nonce: sent.nonce,
                    hint_key: Some(hint_key),
                    received_unix_s: sent.at_unix_s,
                });
                let admissions = index.admit_batch(&arrivals.collect::<Vec<_>>());
                let admissions = admissions.map_err(|error| error.to_string())?;
                Ok(admissions.into_iter().map(admitted).collect())
            }
            Open::Closed => Err("it is closed".into()),
        }
    }

    /// Enters what was said of a packet; what is wrong about it.
    fn enter(&mut self, sent: Sent, said: Said) -> Result<(), String> {
        let Sent { device, nonce, .. } = sent;
        let accepted = self.accepted.entry(device).or_default();
        let was_accepted = accepted.contains(&nonce);
        if said == Said::Accepted {
            if was_accepted {
                return Err("it was accepted before".into());
            }
            accepted.push(nonce);
        }
        let may_be_missed = !self.params.scheme.is_reversible() && said == Said::Nobody;
        if self.retired.contains(&device) {
            let is_told = said == Said::Nobody;
            return if is_told { Ok(()) } else { Err("it is retired".into()) };
        }
        if may_be_missed {
            return Ok(());
        }
        if was_accepted && !matches!(said, Said::Replay | Said::Stale) {
            return Err("it was accepted before, and is neither replay nor stale".into());
        }
        if self.params.nonces == NonceKind::Counter {
            let right = match self.model.judge_and_take(device, nonce) {
                Judge::Fresh => Said::Accepted,
                Judge::Replay => Said::Replay,
                Judge::Stale => Said::Stale,
            };
            if said != right {
                return Err(format!("it is {right:?}"));
            }
        }
        Ok(())
    }

    fn as_index(&mut self) -> Result<&LiveIndex, String> {
        if !matches!(self.open, Open::Index(_)) {
            self.open = Open::Closed;
            let options = Options {
                memory_bytes: 4 << 20,
                durability: Durability::ProcessCrash,
                ..Options::default()
            };
            let dir = self.dir().join("index");
            let index = LiveIndex::open_with(&dir, self.keys.clone(), &options, self.clock.clone());
            let index = index.map_err(|error| format!("the index does not open: {error}"))?;
            self.open = Open::Index(Box::new(index));
        }
        match &self.open {
            Open::Index(index) => Ok(index),
            _ => Err("it is closed".into()),
        }
    }

    fn as_station(&mut self) -> Result<&Station, String> {
        if !matches!(self.open, Open::Station(_)) {
            self.reopen(false)?;
        }
        match &self.open {
            Open::Station(station) => Ok(station),
            _ => Err("it is closed".into()),
        }
    }

    fn reopen(&mut self, lean: bool) -> Result<(), String> {
        self.open = Open::Closed;
        let station = Station::open_with(&self.dir(), &options(lean), self.clock.clone());
        let station = station.map_err(|error| format!("the station does not open: {error}"))?;
        self.open = Open::Station(Box::new(station));
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        self.check_as(false)
    }

    /// Opens the station again at the time it is: all is sound, what was accepted is not
    /// accepted again, and who did nothing odd is heard.
    fn check_as(&mut self, lean: bool) -> Result<(), String> {
        self.now_s += 2 * u64::from(self.params.nonces.unit_s().max(1));
        self.clock.set(self.now_s);
        self.reopen(lean)?;
        let verified = self.as_station()?.verify(None);
        verified.map_err(|error| format!("it does not verify: {error}"))?;
        self.check_quiet()?;
        let spent = self.accepted.iter().flat_map(|(device, nonces)| {
            nonces.iter().map(|nonce| Sent {
                device: *device,
                nonce: *nonce,
                at_unix_s: self.now_s,
            })
        });
        let spent: Vec<Sent> = spent.collect();
        let said = self.said(&spent)?;
        self.model.begin_batch();
        for (sent, said) in spent.into_iter().zip(said) {
            self.enter(sent, said).map_err(|why| format!("{sent:?} is {said:?}: {why}"))?;
        }
        Ok(())
    }

    /// Every quiet device sends its next packet.
    fn check_quiet(&mut self) -> Result<(), String> {
        let kind = self.params.nonces;
        let unit = self.now_s / u64::from(kind.unit_s().max(1));
        let nonce = match kind {
            NonceKind::Step(_) => unit,
            // It begins anew each day.
            NonceKind::DayCounter => unit << 32,
            _ => self.quiet_sent,
        };
        self.quiet_sent += 1;
        let sent = QUIET.map(|device| Sent { device, nonce, at_unix_s: self.now_s });
        let said = self.said(&sent)?;
        self.model.begin_batch();
        for (sent, said) in sent.into_iter().zip(said) {
            if said != Said::Accepted {
                return Err(format!("{sent:?} of a quiet device is {said:?}"));
            }
            self.enter(sent, said)?;
        }
        Ok(())
    }
}
