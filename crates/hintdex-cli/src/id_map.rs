//! The id map of a fleet: which device id stands for which 64-bit EUI.
//!
//! The file `ids.map` is in the fleet's folder (docs/format/id-map.md). It is written as a
//! whole before the devices are added, so no device of a list with EUIs lacks its EUI. If the
//! devices are then refused, the map has ids without a device, and the next list uses them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The name of the file.
const FILE: &str = "ids.map";
/// The first line of the file: what it is, and its version.
const FIRST_LINE: &str = "# hintdex id map 1";
/// The hex digits of an EUI.
const EUI_DIGITS: usize = 16;

/// The ids of a fleet's EUIs.
#[derive(Debug)]
pub struct IdMap {
    path: PathBuf,
    ids: HashMap<u64, u32>,
    /// The search for free ids, once an EUI was new.
    free: Option<FreeIds>,
    /// Whether the file lacks an EUI.
    is_changed: bool,
}

/// Free ids, from the greatest taken one upwards, then from 0.
#[derive(Debug)]
struct FreeIds {
    /// In ascending order.
    taken: Vec<u32>,
    next: u32,
}

impl IdMap {
    /// The map of the fleet in `folder`; empty if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is no id map.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, ids: HashMap::new(), free: None, is_changed: false });
            }
            read => read.map_err(|error| Failure::io("reading the id map", &path, &error))?,
        };
        match parse(&text) {
            Ok(ids) => Ok(Self { path, ids, free: None, is_changed: false }),
            Err((line, why)) => Err(Failure::data(&path, &format!("line {line}: {why}"))),
        }
    }

    /// The id of an EUI. A new EUI gets a free id: `taken` returns the ids that the fleet has.
    /// `None` if no id is free.
    pub fn id_of(&mut self, eui: u64, taken: impl FnOnce() -> Vec<u32>) -> Option<u32> {
        if let Some(id) = self.ids.get(&eui) {
            return Some(*id);
        }
        let ids = &self.ids;
        let free = self.free.get_or_insert_with(|| FreeIds::new(taken(), ids.values()));
        let id = free.take()?;
        self.ids.insert(eui, id);
        self.is_changed = true;
        Some(id)
    }

    /// Takes EUIs with their ids from another map: all of them, or none. Returns the first EUI
    /// that has another id here, or whose id has another EUI.
    pub fn take_all(&mut self, euis: &[(u64, u32)]) -> Result<(), u64> {
        let known = self.euis();
        let is_other = |(eui, id): &&(u64, u32)| {
            self.ids.get(eui).is_some_and(|here| here != id)
                || known.get(id).is_some_and(|here| here != eui)
        };
        if let Some((eui, _)) = euis.iter().find(is_other) {
            return Err(*eui);
        }
        for (eui, id) in euis {
            self.is_changed |= self.ids.insert(*eui, *id).is_none();
        }
        Ok(())
    }

    /// The EUI of each id.
    pub fn euis(&self) -> HashMap<u32, u64> {
        self.ids.iter().map(|(eui, id)| (*id, *eui)).collect()
    }

    /// Writes the map, if an EUI is new: mode 0600, whole or not at all, durable.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        self.free = None;
        let text = self.text();
        let published = hintdex_host::publish(&self.path, &[text.as_bytes()]);
        published.map_err(|error| Failure::data(&self.path, &error))
    }

    fn text(&self) -> String {
        let mut rows: Vec<(u32, u64)> = self.ids.iter().map(|(eui, id)| (*id, *eui)).collect();
        rows.sort_unstable();
        let rows = rows.iter().map(|(id, eui)| format!("{eui:016x} {id}\n"));
        format!("{FIRST_LINE}\n{}", rows.collect::<String>())
    }
}

impl FreeIds {
    fn new<'i>(mut taken: Vec<u32>, mapped: impl Iterator<Item = &'i u32>) -> Self {
        taken.extend(mapped);
        taken.sort_unstable();
        let next = taken.last().map_or(0, |last| last.wrapping_add(1));
        Self { taken, next }
    }

    fn take(&mut self) -> Option<u32> {
        // An id that was drawn is above the taken ones, or was skipped to from 0: it is not
        // drawn again before all ids are.
        for _ in 0..=self.taken.len() {
            let id = self.next;
            self.next = id.wrapping_add(1);
            if self.taken.binary_search(&id).is_err() {
                return Some(id);
            }
        }
        None
    }
}

/// The ids of the EUIs in the text of a map, or the number of a bad line and its fault.
fn parse(text: &str) -> Result<HashMap<u64, u32>, (usize, &'static str)> {
    let mut lines = (1..).zip(text.lines());
    match lines.next() {
        Some((_, FIRST_LINE)) => {}
        _ => return Err((1, "no id map of version 1; restore the file from a backup")),
    }
    let (mut ids, mut euis) = (HashMap::new(), HashMap::new());
    for (number, line) in lines {
        let Some((eui, id)) = row(line) else {
            return Err((number, "not an EUI of 16 hex digits, a space and an id"));
        };
        if ids.insert(eui, id).is_some() || euis.insert(id, eui).is_some() {
            return Err((number, "the EUI or the id occurs twice; remove one line"));
        }
    }
    Ok(ids)
}

fn row(line: &str) -> Option<(u64, u32)> {
    let (eui, id) = line.split_once(' ')?;
    let is_eui = eui.len() == EUI_DIGITS && eui.bytes().all(|byte| byte.is_ascii_hexdigit());
    let eui = u64::from_str_radix(eui, 16).ok().filter(|_| is_eui)?;
    Some((eui, id.parse().ok()?))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_new_eui_gets_the_next_free_id_and_keeps_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut map = IdMap::open(folder.path()).expect("no map yet");
        assert_eq!(map.id_of(0x70b3_d57e_d000_1234, || vec![3, 7]), Some(8));
        assert_eq!(map.id_of(0x70b3_d57e_d000_1235, || unreachable!()), Some(9));
        assert_eq!(map.id_of(0x70b3_d57e_d000_1234, || unreachable!()), Some(8));
        map.publish().expect("the folder can be written");
        let mut map = IdMap::open(folder.path()).expect("a map");
        assert_eq!(map.id_of(0x70b3_d57e_d000_1235, || unreachable!()), Some(9));
        assert_eq!(map.id_of(1, || vec![u32::MAX, 0, 2]), Some(1));
        assert_eq!(map.id_of(2, || unreachable!()), Some(3));
        assert_eq!(map.euis().get(&8), Some(&0x70b3_d57e_d000_1234));
    }

    /// The format is what docs/format/id-map.md shows.
    #[test]
    fn the_page_of_the_format_shows_a_map() {
        let page = include_str!("../../../docs/format/id-map.md");
        let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
        let shown = shown.expect("the page has a map");
        let ids = parse(shown).expect("the map of the page is one");
        assert_eq!(ids.len(), 2);
        let map = IdMap { path: PathBuf::new(), ids, free: None, is_changed: false };
        assert_eq!(map.text(), shown);
    }

    #[test]
    fn a_damaged_map_is_refused_by_its_line() {
        for (text, line) in [
            ("", 1),
            ("# hintdex id map 2\n", 1),
            ("# hintdex id map 1\n70b3d57ed0001234,5\n", 2),
            ("# hintdex id map 1\n70b3d57ed000123 5\n", 2),
            ("# hintdex id map 1\n+0b3d57ed0001234 5\n", 2),
            ("# hintdex id map 1\n70b3d57ed0001234 4294967296\n", 2),
            ("# hintdex id map 1\n70b3d57ed0001234 5\n70b3d57ed0001234 6\n", 3),
            ("# hintdex id map 1\n70b3d57ed0001234 5\n70b3d57ed0001235 5\n", 3),
        ] {
            assert_eq!(parse(text).map_err(|(at, _)| at), Err(line), "{text}");
        }
    }
}
