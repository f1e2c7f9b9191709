//! Verdicts: each as a line of JSON, and all of them counted.

use std::fmt::Write as _;
use std::time::Duration;

use hintdex::wire::{DeviceId, KeyId, Nonce, NonceKind};
use hintdex::{GroupVerdict, HopKey, OutboxPayload, ScheduleStats, Verdict};

use super::counts::Counts;
use super::euis::Euis;
use crate::input::BadLine;
use crate::unix_time::time_text;

/// What the verdicts of a fleet are labelled with.
pub struct Labels {
    /// The folder of the fleet as given, if the call has several fleets.
    pub folder: Option<String>,
    /// The kind of the fleet's nonces: clocked nonces yield a time.
    pub nonces: NonceKind,
    /// The EUIs of devices, if the fleet has an id map.
    pub euis: Euis,
    /// The hop for which accepted payloads are sealed.
    pub hop: Option<Hop>,
}

/// The hop behind the station, and the fleet whose payloads pass.
pub struct Hop {
    pub key: HopKey,
    pub fleet_id: [u8; 16],
}

/// Writes verdicts, and counts them.
pub struct Summary {
    /// The labels and the counts of each fleet. A verdict that names no device is of none.
    fleets: Vec<(Labels, Counts)>,
    /// The counts of all verdicts.
    all: Counts,
    /// Lines of input that were read.
    pub lines: u64,
    /// Whether the reader closed the output.
    pub closed_early: bool,
    /// Why the first malformed line is no packet.
    first_reason: Option<String>,
}

impl Labels {
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

    /// The folder as a further member `fleet`, if the call has several fleets.
    fn fleet_text(&self) -> String {
        let folder = self.folder.as_ref().map(|folder| serde_json::Value::from(folder.as_str()));
        folder.map_or_else(String::new, |folder| format!(r#","fleet":{folder}"#))
    }

    /// A device as the members `device` and, if it has one, `eui`.
    fn device_text(&self, device: DeviceId) -> String {
        let eui = self.euis.of_device(device.0);
        let eui = eui.map_or_else(String::new, |eui| format!(r#","eui":"{eui:016x}""#));
        format!(r#""device":{device}{eui}"#)
    }

    /// The time of a clocked nonce as a further member.
    fn time_text(&self, nonce: Nonce) -> String {
        let made = self.nonces.device_time_s(nonce);
        made.map_or_else(String::new, |made| format!(r#","time":"{}""#, time_text(made.start)))
    }

    /// The members of a verdict behind its line and its name.
    fn members(&self, verdict: &Verdict) -> String {
        let fleet = self.fleet_text();
        match verdict {
            Verdict::Accepted { device, generation, nonce, payload, source } => {
                let sender = KeyId { device: *device, generation: *generation };
                let payload = self.payload_text(sender, *nonce, payload);
                let (time, device) = (self.time_text(*nonce), self.device_text(*device));
                let source = source.name();
                format!(r#"{fleet},{device},"nonce":{nonce}{time},{payload},"source":"{source}""#)
            }
            Verdict::Replay { device, nonce, source }
            | Verdict::Stale { device, nonce, source }
            | Verdict::Early { device, nonce, source, .. } => {
                let (time, device) = (self.time_text(*nonce), self.device_text(*device));
                let (source, reason) = (source.name(), verdict.reason());
                format!(
                    r#"{fleet},{device},"nonce":{nonce}{time},"source":"{source}","reason":"{reason}""#
                )
            }
            _ => format!(r#"{fleet},"reason":"{}""#, verdict.reason()),
        }
    }
}

impl Summary {
    /// The summary before the first line.
    pub fn new(labels: Vec<Labels>) -> Self {
        let fleets = labels.into_iter().map(|labels| (labels, Counts::default())).collect();
        let (lines, closed_early, first_reason) = (0, false, None);
        Self { fleets, all: Counts::default(), lines, closed_early, first_reason }
    }

    /// Takes over what commands have changed since the last lines.
    pub fn refresh(&mut self) {
        self.fleets.iter_mut().for_each(|(labels, _)| labels.euis.refresh());
    }

    /// Counts the verdict on the present line and appends its line of JSON.
    pub fn verdict(&mut self, verdict: &GroupVerdict, out: &mut String) {
        self.write(self.lines, verdict, "", out);
    }

    /// Replaces the verdict `unknown` of a line whose packet waited for a scan.
    pub fn late(&mut self, line: u64, verdict: &GroupVerdict, out: &mut String) {
        self.all.unknown -= 1;
        self.write(line, verdict, r#","late":true"#, out);
    }

    /// Appends the line of a payload that an earlier call has accepted and not handed on. Counts
    /// nothing: the packet is of no line of this call.
    pub fn again(&self, station: usize, payload: &OutboxPayload, out: &mut String) {
        let Some((labels, _)) = self.fleets.get(station) else { return };
        let OutboxPayload { device, generation, nonce, ref payload, source, .. } = *payload;
        let payload = payload.clone();
        let verdict = Verdict::Accepted { device, generation, nonce, payload, source };
        let (name, members) = (verdict.name(), labels.members(&verdict));
        // Writing to a string never fails.
        let _ = writeln!(out, r#"{{"line":null,"verdict":"{name}"{members},"again":true}}"#);
    }

    fn write(
        &mut self,
        line: u64,
        GroupVerdict { station, verdict }: &GroupVerdict,
        more: &str,
        out: &mut String,
    ) {
        self.all.count(verdict);
        if matches!(verdict, Verdict::Malformed(_)) {
            self.first_reason.get_or_insert_with(|| verdict.reason());
        }
        let members = match station.and_then(|station| self.fleets.get_mut(station)) {
            Some((labels, counts)) => {
                counts.count(verdict);
                labels.members(verdict)
            }
            None => format!(r#","reason":"{}""#, verdict.reason()),
        };
        let name = verdict.name();
        // Writing to a string never fails.
        let _ = writeln!(out, r#"{{"line":{line},"verdict":"{name}"{members}{more}}}"#);
    }

    /// Counts the present line, which is no packet, and appends its line of JSON.
    pub fn bad_line(&mut self, why: BadLine, out: &mut String) {
        self.all.malformed += 1;
        self.first_reason.get_or_insert_with(|| why.to_string());
        // Writing to a string never fails.
        let _ =
            writeln!(out, r#"{{"line":{},"verdict":"malformed","reason":"{why}"}}"#, self.lines);
    }

    /// Why the first line is no packet, if no line was a packet: the input is then not packets
    /// at all.
    pub fn nothing_was_a_packet(&self) -> Option<&str> {
        let is_none = self.lines > 0 && self.all.malformed == self.lines && !self.closed_early;
        self.first_reason.as_deref().filter(|_| is_none)
    }

    /// Prints the counts: with several fleets those of each, then those of all lines.
    /// `schedules` are the costs of the schedule of each fleet that has one.
    pub fn print(&self, elapsed: Duration, schedules: &[Option<ScheduleStats>]) {
        let mut of_only = String::new();
        for ((Labels { folder, nonces, .. }, counts), schedule) in self.fleets.iter().zip(schedules)
        {
            let by_schedule = schedule.as_ref().map(|schedule| counts.schedule_text(schedule));
            let by_schedule = by_schedule.unwrap_or_default();
            let Some(folder) = folder else {
                of_only = by_schedule;
                continue;
            };
            let (packets, verdicts) = (counts.total(), counts.of_devices(nonces.is_clocked()));
            let sources = counts.sources();
            eprintln!("{folder}: {packets} packets: {verdicts}; {sources}{by_schedule}");
        }
        let lines = self.lines;
        let rate = lines as f64 / elapsed.as_secs_f64().max(1e-9);
        let has_clocks = self.fleets.iter().any(|(labels, _)| labels.nonces.is_clocked());
        let Counts { forged, unknown, malformed, .. } = self.all;
        eprintln!(
            "{lines} packets in {:.2} s, {rate:.0} a second: {}, \
             {forged} forged, {unknown} unknown, {malformed} malformed; {}{of_only}",
            elapsed.as_secs_f64(),
            self.all.of_devices(has_clocks),
            self.all.sources(),
        );
        if self.closed_early {
            eprintln!(
                "hintdex: the reader closed the output; packets up to line {lines} were taken, \
                 the rest of the input was not read"
            );
        }
    }
}
