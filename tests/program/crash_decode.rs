//! `decode` killed with SIGKILL at random moments, rolls and openings included:
//! nothing acknowledged is accepted again, whatever is new is accepted, and the
//! index opens each time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex_tests::killing::{Kill, Senders, Sent, decode_and_kill, judge, lines};
use hintdex_tests::program::{Said, inspect, verify};
use hintdex_tests::{Breach, Devices, Ledger, Random, decode, files, provision};
use tempfile::TempDir;

const DEVICES: usize = 300;
const PACKETS_A_RUN: usize = 1800;

/// A fleet whose index, with a lookahead of 2, rolls every 600 packets or so.
fn fleet(lookahead: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", lookahead]).done();
    (folder, fleet)
}

/// A moment to die: while the index is opened, soon after, or after a roll or two.
fn moment(random: &mut Random) -> Kill {
    let (longest_us, opening) = match random.below(8) {
        0 | 1 => (40_000, true),
        2 => (800_000, false),
        _ => (120_000, false),
    };
    let after = Duration::from_micros(random.below(longest_us));
    if opening { Kill::AfterStart(after) } else { Kill::AfterFirstVerdict(after) }
}

/// The number of the declared window.
fn epoch(fleet: &Path) -> u64 {
    inspect(fleet).get("epoch").and_then(serde_json::Value::as_u64).expect("an index has a window")
}

/// Sends every packet that was ever acknowledged once more.
fn replay_everything(
    fleet: &Path,
    devices: &Devices,
    known: &mut Known,
    ledger: &mut Ledger,
) -> Result<(), Breach> {
    let all = ledger.all().into_iter();
    let all: Vec<_> = all.map(|(device, nonce)| Sent { device, nonce, is_new: false }).collect();
    let said = decode(fleet, &[], lines(devices, &all)).done().verdicts();
    assert_eq!(said.len(), all.len());
    let (judged, their) = known.without_past(&all, &said);
    judge(ledger, &judged, &their)
}

/// What the station knows of its devices.
struct Known {
    bits: Option<u8>,
    /// By device, one more than the highest nonce that it is known to have accepted.
    next: Vec<u64>,
    /// By device, one more than the highest nonce that was sent to it.
    sent: Vec<u64>,
}

impl Known {
    fn new(bits: Option<u8>) -> Self {
        Self { bits, next: vec![0; DEVICES], sent: vec![0; DEVICES] }
    }
}

impl Known {
    /// Packets and verdicts, but for packets of key epochs behind the replay window: their keys
    /// are not tried, so they are unknown.
    fn without_past(&mut self, packets: &[Sent], said: &[Said]) -> (Vec<Sent>, Vec<Said>) {
        let mut kept = (Vec::new(), Vec::new());
        for (packet, said) in packets.iter().zip(said) {
            let device = packet.device as usize;
            let (next, sent) = (&mut self.next[device], &mut self.sent[device]);
            *sent = (*sent).max(packet.nonce + 1);
            let is_behind = |next: u64| {
                let epoch = |nonce: u64| self.bits.map(|bits| nonce >> bits);
                epoch(packet.nonce) < epoch(next.saturating_sub(64))
            };
            // What was accepted before a kill is not known from verdicts alone.
            let may_be = said.verdict == "unknown" && !packet.is_new && is_behind(*sent);
            if may_be || is_behind(*next) {
                assert_eq!(said.verdict, "unknown", "{packet:?}");
                continue;
            }
            if matches!(said.verdict.as_str(), "accepted" | "replay") {
                *next = (*next).max(packet.nonce + 1);
            }
            kept.0.push(*packet);
            kept.1.push(said.clone());
        }
        kept
    }
}

fn killed_while_decoding(kills: u64, seed: u64) {
    killed_while(fleet("2"), &Devices::of_capture(), None, kills, seed);
}

/// Keys move on after every second nonce, so each opening moves the chains of most devices.
fn killed_while_chains_move(kills: u64, seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let count = DEVICES.to_string();
    let args = ["--devices", count.as_str(), "--lookahead", "2", "--ratchet-bits", "1"];
    provision(&fleet, &args).done();
    killed_while((folder, fleet), &Devices::of_capture().ratcheted(1), Some(1), kills, seed);
}

/// `bits`: the length of key epochs, where keys move on.
fn killed_while(
    (_folder, fleet): (TempDir, PathBuf),
    devices: &Devices,
    bits: Option<u8>,
    kills: u64,
    seed: u64,
) {
    let (mut random, mut known) = (Random::new(seed), Known::new(bits));
    let (mut senders, mut ledger) = (Senders::new(DEVICES), Ledger::default());
    let mut before: Vec<Sent> = Vec::new();
    let (mut decoding, mut rolling, mut kill) = (0, 0, 0);
    // A busy machine may need more kills until enough of them have fallen into a roll.
    while kill < kills || rolling <= kills / 20 && kill < 5 * kills {
        // First whatever was in flight when it died, then what is new.
        let new = senders.packets(PACKETS_A_RUN, &mut random);
        let again = before.iter().map(|sent| Sent { is_new: false, ..*sent });
        let packets: Vec<_> = again.chain(new.iter().copied()).collect();
        let sync = if kill % 3 == 2 { "none" } else { "batch" };
        let moment = moment(&mut random);
        let said = decode_and_kill(&fleet, &["--sync", sync], lines(devices, &packets), moment);
        let (judged, their) = known.without_past(&packets, &said);
        if let Err(breach) = judge(&mut ledger, &judged, &their) {
            panic!("kill {kill} of seed {seed}: {breach}");
        }
        decoding += u64::from(!said.is_empty() && said.len() < packets.len());
        before = new;
        if kill % 2 == 0 {
            let made = files::newest_window(&fleet);
            rolling += u64::from(made > epoch(&fleet));
        }
        if kill % 20 == 19 {
            verify(&fleet);
        }
        kill += 1;
    }
    if let Err(breach) = replay_everything(&fleet, devices, &mut known, &mut ledger) {
        panic!("after {kills} kills of seed {seed}: {breach}");
    }
    verify(&fleet);
    let epoch = epoch(&fleet);
    eprintln!(
        "{kill} kills, {decoding} of them between two verdicts, {rolling} of half of them with a \
         window half-made; {} acknowledged, none lost; {epoch} windows",
        ledger.count()
    );
    assert!(decoding > kills / 4, "{decoding} of {kills} kills fell between two verdicts");
    assert!(epoch > 1 + kills / 40 && rolling > kills / 20, "it hardly rolled: {epoch} windows");
}

#[test]
fn forty_kills_while_decoding_lose_nothing_and_accept_nothing_twice() {
    killed_while_decoding(40, 1);
}

#[test]
fn thirty_kills_while_chains_move_lose_no_device_and_accept_nothing_twice() {
    killed_while_chains_move(30, 4);
}

#[test]
#[ignore = "two minutes"]
fn two_hundred_kills_while_chains_move_lose_no_device_and_accept_nothing_twice() {
    killed_while_chains_move(200, 5);
}

#[test]
#[ignore = "two minutes"]
fn two_hundred_kills_while_decoding_lose_nothing_and_accept_nothing_twice() {
    killed_while_decoding(200, 2);
}

/// Decodes, dies, has something done to its folder, and is asked again: what the
/// ledger says then.
fn after_a_planted_loss(plant: impl Fn(&Path, &Path)) -> Result<(), Breach> {
    let (folder, fleet) = fleet("64");
    let backup = folder.path().join("backup");
    let (devices, mut random) = (Devices::of_capture(), Random::new(3));
    let (mut senders, mut ledger) = (Senders::new(DEVICES), Ledger::default());
    for run in 0..3 {
        let packets = senders.packets(400, &mut random);
        let said = decode_and_kill(&fleet, &[], lines(&devices, &packets), Kill::AtTheEnd);
        assert_eq!(said.len(), packets.len());
        judge(&mut ledger, &packets, &said).expect("nothing was planted yet");
        if run == 1 {
            files::copy_folder(&fleet, &backup);
        }
    }
    plant(&fleet, &backup);
    let mut known = Known::new(None);
    replay_everything(&fleet, &devices, &mut known, &mut ledger)
}

#[test]
fn the_ledger_is_content_when_nothing_was_planted() {
    assert_eq!(after_a_planted_loss(|_, _| ()), Ok(()));
}

#[test]
fn a_folder_put_back_to_an_older_state_is_noticed_by_the_ledger() {
    let restored = after_a_planted_loss(|fleet, backup| files::replace_folder(backup, fleet));
    assert!(matches!(restored, Err(Breach::AcceptedAgain { .. })), "{restored:?}");
}

#[test]
fn a_log_that_is_gone_is_noticed_by_the_ledger() {
    let lost = after_a_planted_loss(|fleet, _| {
        std::fs::remove_file(files::newest_log(fleet)).expect("it is there");
    });
    assert!(matches!(lost, Err(Breach::AcceptedAgain { .. })), "{lost:?}");
}

#[test]
fn a_log_cut_in_half_is_noticed_by_the_ledger() {
    let lost = after_a_planted_loss(|fleet, _| {
        let log = std::fs::File::options().write(true).open(files::newest_log(fleet));
        let log = log.expect("it is there");
        let len_bytes = log.metadata().expect("it has a length").len();
        log.set_len(len_bytes / 2).expect("it can be cut");
    });
    assert!(matches!(lost, Err(Breach::AcceptedAgain { .. })), "{lost:?}");
}
