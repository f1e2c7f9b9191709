//! Verdicts: each as a line of JSON, and all of them counted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use hintdex::wire::{DeviceId, KeyId, Nonce, NonceKind};
use hintdex::{HopKey, ScheduleStats, Source, Verdict};

use crate::input::BadLine;
use crate::unix_time::time_text;

/// Writes verdicts, and counts them by kind and source.
#[derive(Default)]
pub struct Summary {
    /// The kind of the fleet's nonces: clocked nonces yield a time.
    nonces: NonceKind,
    /// The EUIs of devices, if the fleet has an id map.
    euis: HashMap<u32, u64>,
    /// The hop for which accepted payloads are sealed.
    hop: Option<Hop>,
    /// Lines of input that were read.
    pub lines: u64,
    accepted: u64,
    replay: u64,
    stale: u64,
    early: u64,
    forged: u64,
    unknown: u64,
    malformed: u64,
    by_snapshot: u64,
    by_index: u64,
    by_scan: u64,
    by_packet: u64,
    by_schedule: u64,
    /// Whether the reader closed the output.
    pub closed_early: bool,
    /// Why the first malformed line is no packet.
    first_reason: Option<String>,
}

/// The hop behind the station, and the fleet whose payloads pass.
pub struct Hop {
    pub key: HopKey,
    pub fleet_id: [u8; 16],
}

impl Summary {
    /// The summary before the first line.
    pub fn new(nonces: NonceKind, euis: HashMap<u32, u64>, hop: Option<Hop>) -> Self {
        Self { nonces, euis, hop, ..Self::default() }
    }

    /// An accepted payload as a member: in the clear, or sealed for the hop.
    fn payload_text(&self, sender: KeyId, nonce: Nonce, payload: &[u8]) -> String {
        let Some(Hop { key, fleet_id }) = &self.hop else {
            return format!(r#""payload":"{}""#, hex::encode(payload));
        };
        match key.seal(fleet_id, sender, nonce, payload) {
            Some(message) => format!(r#""cose":"{}""#, hex::encode(message)),
            // The payload is too long, or the clock is past the year 40,000.
            None => r#""cose":null"#.to_owned(),
        }
    }

    /// A device as the members `device` and, if it has one, `eui`.
    fn device_text(&self, device: DeviceId) -> String {
        let eui = self.euis.get(&device.0);
        let eui = eui.map_or_else(String::new, |eui| format!(r#","eui":"{eui:016x}""#));
        format!(r#""device":{device}{eui}"#)
    }

    /// Counts the verdict on the present line and appends its line of JSON.
    pub fn verdict(&mut self, verdict: &Verdict, out: &mut String) {
        self.write(self.lines, verdict, "", out);
    }

    /// Replaces the verdict `unknown` of a line whose packet waited for a scan.
    pub fn late(&mut self, line: u64, verdict: &Verdict, out: &mut String) {
        self.unknown -= 1;
        self.write(line, verdict, r#","late":true"#, out);
    }

    fn write(&mut self, line: u64, verdict: &Verdict, more: &str, out: &mut String) {
        let name = verdict.name();
        *self.count(verdict) += 1;
        if matches!(verdict, Verdict::Malformed(_)) {
            self.first_reason.get_or_insert_with(|| verdict.reason());
        }
        let time = |nonce: Nonce| {
            let made = self.nonces.device_time_s(nonce);
            made.map_or_else(String::new, |made| format!(r#","time":"{}""#, time_text(made.start)))
        };
        let written = match verdict {
            Verdict::Accepted { device, generation, nonce, payload, source } => {
                let sender = KeyId { device: *device, generation: *generation };
                let payload = self.payload_text(sender, *nonce, payload);
                let (time, device) = (time(*nonce), self.device_text(*device));
                self.count_source(*source);
                let source = source.name();
                writeln!(
                    out,
                    r#"{{"line":{line},"verdict":"{name}",{device},"nonce":{nonce}{time},{payload},"source":"{source}"{more}}}"#
                )
            }
            Verdict::Replay { device, nonce, source }
            | Verdict::Stale { device, nonce, source }
            | Verdict::Early { device, nonce, source, .. } => {
                let (time, device) = (time(*nonce), self.device_text(*device));
                self.count_source(*source);
                let (source, reason) = (source.name(), verdict.reason());
                writeln!(
                    out,
                    r#"{{"line":{line},"verdict":"{name}",{device},"nonce":{nonce}{time},"source":"{source}","reason":"{reason}"{more}}}"#
                )
            }
            _ => writeln!(
                out,
                r#"{{"line":{line},"verdict":"{name}","reason":"{}"{more}}}"#,
                verdict.reason()
            ),
        };
        // Writing to a string never fails.
        let _ = written;
    }

    /// Counts the present line, which is no packet, and appends its line of JSON.
    pub fn bad_line(&mut self, why: BadLine, out: &mut String) {
        self.malformed += 1;
        self.first_reason.get_or_insert_with(|| why.to_string());
        // Writing to a string never fails.
        let _ =
            writeln!(out, r#"{{"line":{},"verdict":"malformed","reason":"{why}"}}"#, self.lines);
    }

    /// Why the first line is no packet, if no line was a packet: the input is then not packets
    /// at all.
    pub fn nothing_was_a_packet(&self) -> Option<&str> {
        let is_none = self.lines > 0 && self.malformed == self.lines && !self.closed_early;
        self.first_reason.as_deref().filter(|_| is_none)
    }

    /// The packets that were found by their time, and the tags that were tried.
    fn schedule_text(&self, schedule: &ScheduleStats) -> String {
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

    const fn count(&mut self, verdict: &Verdict) -> &mut u64 {
        match verdict {
            Verdict::Accepted { .. } => &mut self.accepted,
            Verdict::Replay { .. } => &mut self.replay,
            Verdict::Stale { .. } => &mut self.stale,
            Verdict::Early { .. } => &mut self.early,
            Verdict::Forged => &mut self.forged,
            Verdict::Malformed(_) => &mut self.malformed,
            _ => &mut self.unknown,
        }
    }

    const fn count_source(&mut self, source: Source) {
        match source {
            Source::Snapshot => self.by_snapshot += 1,
            Source::Index => self.by_index += 1,
            Source::Packet => self.by_packet += 1,
            Source::Schedule => self.by_schedule += 1,
            _ => self.by_scan += 1,
        }
    }

    /// Writes the counts, and what the tries of scheduled packets have cost.
    pub fn print(&self, elapsed: Duration, schedule: Option<ScheduleStats>) {
        let rate = self.lines as f64 / elapsed.as_secs_f64().max(1e-9);
        let Self {
            lines,
            accepted,
            replay,
            stale,
            early,
            forged,
            unknown,
            malformed,
            by_snapshot,
            by_index,
            by_scan,
            by_packet,
            ..
        } = self;
        eprintln!(
            "{lines} packets in {:.2} s, {rate:.0} a second: {accepted} accepted, {replay} replay, {stale} stale, {}\
             {forged} forged, {unknown} unknown, {malformed} malformed; found by snapshot {by_snapshot}, by index {by_index}, by scan {by_scan}{}{}",
            elapsed.as_secs_f64(),
            if self.nonces.is_clocked() || *early > 0 {
                format!("{early} early, ")
            } else {
                String::new()
            },
            match by_packet {
                0 => String::new(),
                by_packet => format!(", by the packet itself {by_packet}"),
            },
            schedule.map_or_else(String::new, |schedule| self.schedule_text(&schedule)),
        );
        if self.closed_early {
            eprintln!(
                "hintdex: the reader closed the output; packets up to line {lines} were taken, \
                 the rest of the input was not read"
            );
        }
    }
}
