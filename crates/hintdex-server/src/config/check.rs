//! The values of a configuration file are checked, each with its place and the remedy.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex::{Durability, KeyAccess, StationGroup};

use super::checker::{Checker, check_name, within};
use super::endpoints::{Input, InputKind, Output, OutputKind};
use super::file::{FileConfig, StationTable};
use super::types::{Config, Defaults, FixedConfig, LogConfig, StationConfig};
use super::url::listen_address;

/// The least memory of a fleet, in bytes, as for `--memory`.
const MIN_MEMORY_BYTES: usize = 1 << 20;
const MAX_STATIONS: usize = 64;
const MAX_ENDPOINTS: usize = 64;

/// Checks a configuration. Paths in it are taken from the folder `base`.
///
/// # Errors
/// What is wrong, where, and the remedy.
pub fn config(file: &FileConfig, base: &Path, defaults: &Defaults) -> Result<Config, String> {
    if file.station.is_empty() {
        return Err("no station; add a table [[station]] with index = [\"FOLDER\"]".into());
    }
    if file.station.len() > MAX_STATIONS {
        return Err(format!("{} stations; {MAX_STATIONS} at most", file.station.len()));
    }
    let web = file.web.as_deref().map(|text| listen_address(text, 0)).transpose();
    let is_json = match file.log.format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("log: format: {other:?}; text or json")),
    };
    let (mut names, mut stations) = (HashSet::new(), Vec::new());
    for (number, table) in file.station.iter().enumerate() {
        let name = table.name.clone().unwrap_or_else(|| match number {
            0 => "station".to_owned(),
            number => format!("station-{}", number + 1),
        });
        let place = format!("station {name:?}");
        check_name(&name).map_err(|why| format!("{place}: name: {why}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("{place}: the name occurs twice; give each station its own"));
        }
        let checker = Checker { base, defaults, place };
        stations.push(checker.station(name, table)?);
    }
    check_folders(&stations)?;
    Ok(Config {
        web: web.map_err(|why| format!("web: {why}"))?,
        drain: Duration::from_secs(within("drain_s", file.drain_s, 10, 0, 3_600)?),
        silent: Duration::from_secs(3_600 * within("silent_h", file.silent_h, 24, 1, 8_784)?),
        log: LogConfig { is_json, level: file.log.level.clone() },
        stations,
    })
}

/// Refuses a folder that two stations name: its lock has one owner.
fn check_folders(stations: &[StationConfig]) -> Result<(), String> {
    let mut seen = HashSet::new();
    let place = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
    for station in stations {
        for folder in &station.fixed.folders {
            if !seen.insert(place(folder)) {
                let (name, folder) = (&station.name, folder.display());
                return Err(format!(
                    "station {name:?}: index: {folder} is named twice; name each fleet once"
                ));
            }
        }
    }
    Ok(())
}

impl Checker<'_> {
    fn station(&self, name: String, table: &StationTable) -> Result<StationConfig, String> {
        let inputs = self.endpoints("in", &table.inputs, |of, at| of.input(at))?;
        let outputs = self.endpoints("out", &table.outputs, |of, at| of.output(at))?;
        let inputs = named(inputs, InputKind::short_name);
        let outputs = named(outputs, OutputKind::short_name);
        self.unique("in", inputs.iter().map(|(name, _)| name))?;
        self.unique("out", outputs.iter().map(|(name, _)| name))?;
        let is_stdin = |(_, kind): &&(String, InputKind)| *kind == InputKind::Stdin;
        let is_stdout = |(_, kind): &&(String, OutputKind)| *kind == OutputKind::Stdout;
        if inputs.iter().filter(is_stdin).count() > 1
            || outputs.iter().filter(is_stdout).count() > 1
        {
            return Err(format!("{}: lines:- occurs twice; a process has one", self.place));
        }
        Ok(StationConfig {
            name,
            fixed: self.fixed(table)?,
            gather: self.millis("gather_ms", table.gather_ms, [200, 0, 60_000])?,
            near_ms: 1_000 * self.within("near_s", table.near_s, [10, 0, 86_400])?,
            inputs: inputs.into_iter().map(|(name, kind)| Input { name, kind }).collect(),
            outputs: outputs.into_iter().map(|(name, kind)| Output { name, kind }).collect(),
        })
    }

    fn fixed(&self, table: &StationTable) -> Result<FixedConfig, String> {
        let index = table.index.clone().unwrap_or_default();
        let most = StationGroup::MAX_STATIONS;
        if index.is_empty() || index.len() > most {
            return Err(format!(
                "{}: index: {} folders; name 1 to {most} folders of fleets like index = [\"fleet\"]",
                self.place,
                index.len()
            ));
        }
        let durability = match table.sync.as_deref() {
            None | Some("batch") => Durability::default(),
            Some("none") => Durability::ProcessCrash,
            Some(other) => return Err(self.at("sync")(format!("{other:?}; batch or none"))),
        };
        let scan_core_share = table.scan_share.unwrap_or(0.1);
        if !(0.0..=1024.0).contains(&scan_core_share) {
            return Err(self.at("scan_share")(format!(
                "{scan_core_share} is no share of a core; from 0 to 1024, like 0.1"
            )));
        }
        let memory = table.memory.as_deref().map(size).transpose();
        let memory = memory.map_err(self.at("memory"))?.unwrap_or(self.defaults.memory_bytes);
        let threads = match table.threads {
            Some(_) => Some(self.within("threads", table.threads, [1, 1, 1_024])?),
            None => None,
        };
        let threads = threads.and_then(|threads| usize::try_from(threads).ok());
        let queue_packets =
            self.within("queue_packets", table.queue_packets, [65_536, 16, 1 << 24])?;
        let outbox = [1_000_000, 1_000, 1 << 32];
        let unnamed = StationTable { inputs: vec![], outputs: vec![], ..table.clone() };
        Ok(FixedConfig {
            folders: index.iter().map(|folder| self.path(folder)).collect(),
            access: self.access(table)?,
            memory_bytes: (memory / index.len()).max(MIN_MEMORY_BYTES),
            threads: threads.or(self.defaults.threads),
            durability,
            scan_core_share,
            repeat_window_s: table.repeat_window_s,
            batch: self.millis("batch_ms", table.batch_ms, [2, 0, 1_000])?,
            queue_packets: usize::try_from(queue_packets).unwrap_or(usize::MAX),
            outbox_payloads: self.within("outbox_payloads", table.outbox_payloads, outbox)?,
            text: format!("{:?}", StationTable { gather_ms: None, near_s: None, ..unnamed }),
        })
    }

    fn access(&self, table: &StationTable) -> Result<KeyAccess, String> {
        let mut access = self.defaults.access.clone();
        if let Some(text) = &table.master_key {
            access.master_key = Some(self.secret("master_key", text)?);
        }
        if let Some(text) = &table.passphrase {
            access.passphrase = Some(self.secret("passphrase", text)?);
        }
        Ok(access)
    }

    fn endpoints<T, K>(
        &self,
        key: &str,
        tables: &[T],
        check: impl Fn(&Checker<'_>, &T) -> Result<(Option<String>, K), String>,
    ) -> Result<Vec<(Option<String>, K)>, String> {
        if tables.is_empty() {
            let example = if key == "in" {
                "from = \"semtech-udp://0.0.0.0:1700\""
            } else {
                "to = \"lines:-\""
            };
            return Err(format!(
                "{}: no {key}put; give --{key} URL, or a table [[station.{key}]] with {example}",
                self.place
            ));
        }
        if tables.len() > MAX_ENDPOINTS {
            return Err(format!(
                "{}: {} tables {key}; {MAX_ENDPOINTS} at most",
                self.place,
                tables.len()
            ));
        }
        let mut checked = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let place = format!("{}: {key} {}", self.place, number + 1);
            let (name, kind) = check(&Checker { place: place.clone(), ..*self }, table)?;
            if let Some(name) = &name {
                check_name(name).map_err(|why| format!("{place}: name: {why}"))?;
            }
            checked.push((name, kind));
        }
        Ok(checked)
    }

    fn unique<'n>(&self, key: &str, names: impl Iterator<Item = &'n String>) -> Result<(), String> {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(format!(
                    "{}: {key}: the name {name:?} occurs twice; give each its own",
                    self.place
                ));
            }
        }
        Ok(())
    }
}

/// The kinds with their names: those that are given, else that of the kind. Where several of a kind lack a
/// name, the target is the name: payloads wait for a name, and must not wait for another target after one
/// of them is removed.
fn named<K: fmt::Display>(
    kinds: Vec<(Option<String>, K)>,
    short: impl Fn(&K) -> &'static str,
) -> Vec<(String, K)> {
    let mut counts = HashMap::<_, usize>::new();
    for (_, kind) in kinds.iter().filter(|(name, _)| name.is_none()) {
        *counts.entry(short(kind)).or_default() += 1;
    }
    let target = |kind: &K| {
        let mut target = kind.to_string();
        let end = (0..=MAX_NAME_LEN_BYTES).rev().find(|end| target.is_char_boundary(*end));
        target.truncate(end.unwrap_or(0));
        target
    };
    let name_of = |name: Option<String>, kind: &K| {
        name.unwrap_or_else(|| match counts.get(short(kind)) {
            Some(2..) => target(kind),
            _ => short(kind).to_owned(),
        })
    };
    kinds.into_iter().map(|(name, kind)| (name_of(name, &kind), kind)).collect()
}

/// The longest name of a reader of the outbox, in bytes.
const MAX_NAME_LEN_BYTES: usize = 64;

impl InputKind {
    const fn short_name(&self) -> &'static str {
        match self {
            Self::SemtechUdp(_) => "semtech-udp",
            Self::Udp(_) => "udp",
            Self::Stdin => "lines",
            Self::Unix(_) => "unix",
            Self::Mqtt { form: Some(_), .. } => "mqtt",
            Self::Mqtt { form: None, .. } => "chirpstack",
        }
    }
}

impl OutputKind {
    const fn short_name(&self) -> &'static str {
        match self {
            Self::Stdout => "lines",
            Self::File { .. } => "file",
            Self::Unix { .. } => "unix",
            Self::Mqtt { .. } => "mqtt",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// A size in bytes, like `256M`.
fn size(text: &str) -> Result<usize, String> {
    let bad =
        || format!("{text:?} is no size; a number of bytes, or one with K, M or G, 1M at least");
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K') => (text.trim_end_matches('K'), 1 << 10),
        Some(b'M') => (text.trim_end_matches('M'), 1 << 20),
        Some(b'G') => (text.trim_end_matches('G'), 1 << 30),
        _ => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|bytes| *bytes >= MIN_MEMORY_BYTES).ok_or_else(bad)
}
