//! `hintdex device sync`: a fleet is brought to a list

use std::collections::HashSet;
use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{DeviceRange, KeyImport, KeyOrigin, KeyStatus, SlotInfo, Station};
use serde_json::json;

use super::fleet::{each_device, open_changed};
use super::later_keys::add_to;
use crate::args::DeviceSyncArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::given_ids::GivenIds;
use crate::input::lists::{self, Rejected};
use crate::input::{BadRecord, Fields};
use crate::output::write_out;
use crate::progress;
use crate::provision::device_list::{Device, TABLE, device};
use crate::retire_missing;

/// What happens to the device of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Added,
    Changed,
    Unchanged,
}

pub fn run(args: &DeviceSyncArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let mut sync = Sync {
        station: &station,
        given: GivenIds::open(&station, &call.console.path(&args.changed.fleet.index)?)?,
        import: None,
        derived: Vec::new(),
        listed: HashSet::new(),
        counts: [0; 3],
        is_dry: args.dry_run,
        prints: args.json,
        report: String::new(),
    };
    let bar = progress::bytes(&call.console, "reading the list");
    let input = lists::open(&args.file, &call.console)?;
    let options = args.list.options(None);
    let take = |line: u64, fields: &Fields<'_>| sync.take(line, &device(fields)?);
    let bad = lists::read(&args.file, input, &TABLE, &options, take)?;
    bar.finish_and_clear();
    let refused = bad.finish(&args.file, &call.console)?;
    let missing = if args.retire_missing { sync.missing(refused)? } else { Vec::new() };
    let [added, changed, unchanged] = sync.counts;
    let mut text = std::mem::take(&mut sync.report);
    for device in missing.iter().filter(|_| args.json) {
        text.push_str(&format!("{}\n", json!({ "device": device.0, "change": "retired" })));
    }
    if !args.dry_run {
        sync.apply(args, &missing, call)?;
    }
    write_out(&mut call.console.out(), &text)?;
    if let Some(failed) = station.take_maintenance_failure() {
        call.console
            .report(&format!("the fleet is as listed, and its snapshot is not in use: {failed}"));
    }
    let what = if args.dry_run { "would be " } else { "" };
    call.console.report(&format!(
        "{}: {what}{added} added, {changed} changed, {unchanged} unchanged, \
         {} retired, {refused} refused",
        args.changed.fleet.index.display(),
        missing.len(),
    ));
    Ok(())
}

/// A list that is compared with the fleet.
struct Sync<'a> {
    station: &'a Station,
    given: GivenIds<'a>,
    /// Keys that devices bring. Begun with the first.
    import: Option<KeyImport<'a>>,
    /// New devices with derived keys.
    derived: Vec<DeviceId>,
    listed: HashSet<DeviceId>,
    /// The lines of each change.
    counts: [u64; 3],
    is_dry: bool,
    prints: bool,
    /// What is printed once the changes are made.
    report: String,
}

impl Sync<'_> {
    fn take(&mut self, line: u64, device: &Device) -> Result<(), Rejected> {
        let id = self.given.id_of(device.id)?;
        if !self.listed.insert(id) {
            return Err(BadRecord::Other("its device is in the list twice").into());
        }
        let keys = self.station.keys_of(id);
        let change = self.change_of(&keys, device)?;
        if change != Change::Unchanged {
            self.add(id, device)?;
        }
        let [added, changed, unchanged] = &mut self.counts;
        let (count, name) = match change {
            Change::Added => (added, "added"),
            Change::Changed => (changed, "changed"),
            Change::Unchanged => (unchanged, ""),
        };
        *count += 1;
        if self.prints && change != Change::Unchanged {
            let object = json!({ "line": line, "device": id.0, "change": name });
            self.report.push_str(&format!("{object}\n"));
        }
        Ok(())
    }

    /// What a line changes of a device that has these keys.
    fn change_of(&self, keys: &[SlotInfo], device: &Device) -> Result<Change, BadRecord> {
        let Some(newest) = keys.last() else { return Ok(Change::Added) };
        if newest.status.is_retired() {
            let why =
                "its device is retired; give the id to a new unit with hintdex device replace";
            return Err(BadRecord::Other(why));
        }
        if newest.status == KeyStatus::OutOfService {
            let why = "its device is out of service (hintdex verify tells why); give the id to a \
                       new unit with hintdex device replace";
            return Err(BadRecord::Other(why));
        }
        match &device.keys {
            None if newest.origin == KeyOrigin::Derived => Ok(Change::Unchanged),
            None => Err(BadRecord::Other(
                "it has no keys, and its device has keys of its own; give hint_key and dev_key",
            )),
            Some(keys) => {
                let same = keys.are_those_of(self.station, newest.key.device);
                Ok(if same { Change::Unchanged } else { Change::Changed })
            }
        }
    }

    fn add(&mut self, id: DeviceId, device: &Device) -> Result<(), Rejected> {
        let Some(keys) = &device.keys else {
            self.derived.push(id);
            return Ok(());
        };
        if self.is_dry {
            return Ok(());
        }
        let import = match &mut self.import {
            Some(import) => import,
            none => none.insert(self.station.import_any_keys().map_err(Failure::from)?),
        };
        add_to(import, id, keys)
    }

    /// The devices of the fleet that the list lacks, but for those that are retired.
    ///
    /// # Errors
    /// A line was refused: its device may be one of them. Or they are more than half of the
    /// fleet: the list is rather cut off.
    fn missing(&self, refused: u64) -> Result<Vec<DeviceId>, Failure> {
        retire_missing::check_refused(refused, "devices")?;
        let (mut missing, mut present) = (Vec::new(), 0);
        each_device(self.station, |_, key| {
            let device = key.key.device;
            let is_missing = key.status.is_in_service() && !self.listed.contains(&device);
            missing.extend(is_missing.then_some(device));
            present += usize::from(key.status.is_in_service());
            Ok(())
        })?;
        retire_missing::check_count(missing.len(), present, "device")?;
        missing.sort_unstable();
        Ok(missing)
    }

    fn apply(
        mut self,
        args: &DeviceSyncArgs,
        missing: &[DeviceId],
        call: &Call<'_>,
    ) -> Result<(), Failure> {
        self.check_not_empty(&args.file)?;
        self.given.publish()?;
        let bar = progress::bar(&call.console, "syncing", "devices");
        let report = progress::reporter(&bar);
        if !self.derived.is_empty() {
            self.derived.sort_unstable();
            let ranges = DeviceRange::covering(self.derived, KeyOrigin::Derived);
            self.station.provision(&ranges, Some(&report))?;
        }
        if let Some(import) = self.import {
            import.add_or_rekey(args.grace.grace, Some(&report))?;
        }
        if !missing.is_empty() {
            self.station.retire_all(missing)?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// An empty list with `--retire-missing` is rather a fault than the end of a fleet.
    fn check_not_empty(&self, path: &Path) -> Result<(), Failure> {
        if self.listed.is_empty() {
            return Err(Failure::data(path, &"the list has no device; nothing was changed"));
        }
        Ok(())
    }
}
