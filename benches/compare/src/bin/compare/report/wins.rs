//! Who wins, said by the figures themselves.

use std::fmt::Write;

use super::lines::{Line, Pace};
use super::ratio;
use crate::peers::Kind;

/// The live index.
pub const LIVE: &str = "live-index";
/// The snapshot that names one device.
pub const SNAPSHOT: &str = "snapshot-ribbon-1";
/// The snapshot that a station builds for itself.
const SMALL: &str = "snapshot-ribbon-32";
/// The snapshot that computes hints and stores none.
const CHAIN: &str = "snapshot-chain-16";

/// What is held against a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Bytes,
    Time(Pace),
}

impl Measure {
    const ALL: [Self; 3] = [Self::Bytes, Self::Time(Pace::One), Self::Time(Pace::Best)];

    const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes a hint",
            Self::Time(Pace::One) => "time, one by one",
            Self::Time(_) => "time, each at its best",
        }
    }

    /// What `peer` takes to what `ours` does: below 1 the peer wins.
    fn ratio(self, peer: &Line<'_>, ours: &Line<'_>) -> Option<f64> {
        match self {
            Self::Bytes => Some(peer.stored_bytes / ours.stored_bytes),
            Self::Time(pace) => peer.ratio(ours, pace).map(|spread| spread.median),
        }
    }
}

/// The verdicts on the goals, every row that a peer wins, and why.
pub fn section(lines: &[Line<'_>]) -> String {
    let mut text = String::from("## Who wins\n\n");
    let confirmed: Vec<_> = lines.iter().filter(|line| line.confirmed).collect();
    goals(&mut text, &confirmed);
    text.push_str(
        "\nEvery peer that is ahead of one of ours, with its figure to ours; confirmed rows.\n\n\
         | ours | in | ahead |\n| --- | --- | --- |\n",
    );
    for name in [LIVE, SNAPSHOT, SMALL, CHAIN] {
        let Some(ours) = confirmed.iter().find(|line| line.entry.name == name) else { continue };
        for measure in Measure::ALL {
            let ahead = ahead(&confirmed, ours, measure, |_| true);
            let _ =
                writeln!(text, "| {} | {} | {} |", ours.entry.title, measure.name(), list(&ahead));
        }
    }
    text.push('\n');
    whys(&mut text, &confirmed);
    text
}

/// Peers ahead of `ours`, with their figure to ours.
fn ahead<'a>(
    lines: &[&'a Line<'a>],
    ours: &Line<'_>,
    measure: Measure,
    of: impl Fn(Kind) -> bool,
) -> Vec<(&'a Line<'a>, f64)> {
    let peers = lines.iter().filter(|line| line.entry.kind != Kind::Ours && of(line.entry.kind));
    let ratios = peers.filter_map(|peer| Some((*peer, measure.ratio(peer, ours)?)));
    ratios.filter(|(_, ratio)| *ratio < 1.0).collect()
}

fn list(ahead: &[(&Line<'_>, f64)]) -> String {
    let names: Vec<_> = ahead
        .iter()
        .map(|(line, value)| format!("{} ({})", line.entry.title, ratio(*value)))
        .collect();
    if names.is_empty() { "no peer".into() } else { names.join(", ") }
}

/// The two goals of this comparison.
fn goals(text: &mut String, lines: &[&Line<'_>]) {
    let persistent = |kind| matches!(kind, Kind::Persistent | Kind::Server);
    for (name, title) in [
        (SNAPSHOT, "snapshot, 1 try"),
        (SMALL, "snapshot, 32 tries"),
        (CHAIN, "chain, 16 evaluations"),
        (LIVE, "live index"),
    ] {
        let Some(ours) = lines.iter().find(|line| line.entry.name == name) else { continue };
        let all = ahead(lines, ours, Measure::Bytes, |_| true);
        let kept = ahead(lines, ours, Measure::Bytes, persistent);
        verdict(text, &format!("The {title} is smaller than every peer"), &all);
        if !all.is_empty() {
            verdict(text, &format!("The {title} is smaller than every persistent store"), &kept);
        }
        for (pace, how) in [(Pace::One, "one by one"), (Pace::Best, "each at its best")] {
            let faster = ahead(lines, ours, Measure::Time(pace), persistent);
            let claim = format!("The {title} is faster than every persistent store, {how}");
            verdict(text, &claim, &faster);
        }
    }
}

fn verdict(text: &mut String, claim: &str, against: &[(&Line<'_>, f64)]) {
    let says = if against.is_empty() {
        "**yes**.".to_owned()
    } else {
        format!("**no**: ahead are {}.", list(against))
    };
    let _ = writeln!(text, "- {claim}: {says}");
}

/// Why those who are ahead anywhere are.
fn whys(text: &mut String, lines: &[&Line<'_>]) {
    let ours = |name| lines.iter().find(|line| line.entry.name == name);
    let is_ahead = |peer: &Line<'_>| {
        [LIVE, SNAPSHOT, SMALL, CHAIN].into_iter().filter_map(ours).any(|ours| {
            let ratios = Measure::ALL.into_iter().filter_map(|measure| measure.ratio(peer, ours));
            ratios.into_iter().any(|ratio| ratio < 1.0)
        })
    };
    let peers = lines.iter().filter(|line| line.entry.kind != Kind::Ours && is_ahead(line));
    for line in peers.filter(|line| !line.entry.why.is_empty()) {
        let _ = writeln!(text, "- **{}**: {}.", line.entry.title, line.entry.why);
    }
    text.push('\n');
}
