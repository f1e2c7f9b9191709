//! The counts of verdicts.

use hintdex::{ScheduleStats, Source, Verdict};

/// Verdicts by kind and by source.
#[derive(Default)]
pub struct Counts {
    accepted: u64,
    replay: u64,
    stale: u64,
    early: u64,
    pub forged: u64,
    pub unknown: u64,
    pub malformed: u64,
    by_snapshot: u64,
    by_index: u64,
    by_scan: u64,
    by_packet: u64,
    by_schedule: u64,
}

impl Counts {
    /// Counts a verdict, and the source that resolved its hint.
    pub const fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Accepted { .. } => &mut self.accepted,
            Verdict::Replay { .. } => &mut self.replay,
            Verdict::Stale { .. } => &mut self.stale,
            Verdict::Early { .. } => &mut self.early,
            Verdict::Forged => &mut self.forged,
            Verdict::Malformed(_) => &mut self.malformed,
            _ => &mut self.unknown,
        } += 1;
        if let Verdict::Accepted { source, .. }
        | Verdict::Replay { source, .. }
        | Verdict::Stale { source, .. }
        | Verdict::Early { source, .. } = verdict
        {
            *match source {
                Source::Snapshot => &mut self.by_snapshot,
                Source::Index => &mut self.by_index,
                Source::Packet => &mut self.by_packet,
                Source::Schedule => &mut self.by_schedule,
                _ => &mut self.by_scan,
            } += 1;
        }
    }

    /// The packets that were found by their time, and the tags that were tried.
    pub fn schedule_text(&self, schedule: &ScheduleStats) -> String {
        let a_packet = |tags: u64, packets: u64| tags as f64 / packets.max(1) as f64;
        format!(
            ", by schedule {}; tags tried a packet {:.2}, for those that were due {:.2}; {} searches \
             of {:.0} tags",
            self.by_schedule,
            a_packet(schedule.tags, schedule.packets),
            a_packet(schedule.tags_found_due, schedule.found_due),
            schedule.searches,
            a_packet(schedule.tags_searched, schedule.searches),
        )
    }

    /// The number of verdicts.
    pub const fn total(&self) -> u64 {
        let Self { accepted, replay, stale, early, forged, unknown, malformed, .. } = self;
        *accepted + *replay + *stale + *early + *forged + *unknown + *malformed
    }

    /// The verdicts that name a device. The early ones are counted where devices have clocks, or
    /// if there are any.
    pub fn of_devices(&self, have_clocks: bool) -> String {
        let Self { accepted, replay, stale, early, .. } = self;
        let early =
            if have_clocks || *early > 0 { format!(", {early} early") } else { String::new() };
        format!("{accepted} accepted, {replay} replay, {stale} stale{early}")
    }

    /// The sources that resolved hints.
    pub fn sources(&self) -> String {
        let Self { by_snapshot, by_index, by_scan, by_packet, .. } = self;
        let by_packet = match by_packet {
            0 => String::new(),
            count => format!(", by the packet itself {count}"),
        };
        format!(
            "found by snapshot {by_snapshot}, by index {by_index}, by scan {by_scan}{by_packet}"
        )
    }
}
