//! What a packet waits for while a whole station rolls.

use std::sync::atomic::{AtomicBool, Ordering};

use hintdex::{Station, StationOptions};
use hintdex_benches::fleet::{Fleet, Traffic, full_options, station_options};
use hintdex_benches::table::Figures;
use hintdex_benches::{Failure, Outcome};

use super::{LOOKUPS_AT_ONCE, Waits, add, busy, not_run};

/// The memory of the station: enough for the chain of a million devices.
const MEMORY_BYTES: usize = 256 << 20;

/// Packets that are sealed ahead, outside the measured part.
const SEALED_AT_ONCE: usize = 1024;

/// Prints the phases of a station with a full index, and of one in the usual form.
pub fn run(fleet: &Fleet, rolls: u64, figures: &mut Figures) -> Outcome {
    let forms = [
        ("packets, full index", full_options(MEMORY_BYTES)),
        ("packets, usual form", station_options(MEMORY_BYTES)),
    ];
    for (name, options) in forms {
        let mut scene = Scene::new(fleet, &options)?;
        let quiet = scene.watched(&format!("{name}: busy cores"), |_| busy(rolls))?;
        let rolling = scene.watched(&format!("{name}: rolls"), |station| {
            (0..rolls).try_for_each(|_| Ok(station.roll(None)?))
        })?;
        add(figures, name, &quiet, &rolling);
    }
    Ok(())
}

/// A station that rolls when it is told to, and its packets.
struct Scene {
    _folder: tempfile::TempDir,
    station: Station,
    traffic: Traffic,
    /// Decoding runs on this one thread, whose time of not being run is counted.
    decoding: rayon::ThreadPool,
}

impl Scene {
    fn new(fleet: &Fleet, options: &StationOptions) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let options = StationOptions { roll_in_background: false, ..*options };
        let station = fleet.provision_as(&folder.path().join("fleet"), &options)?;
        let decoding = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        Ok(Self { _folder: folder, station, traffic: fleet.traffic(), decoding })
    }

    /// What packets wait for while `work` is done.
    fn watched(
        &mut self,
        name: &str,
        work: impl FnOnce(&Station) -> Outcome,
    ) -> Result<Waits, Failure> {
        let is_over = AtomicBool::new(false);
        let Self { station, traffic, decoding, .. } = self;
        let station = &*station;
        let mut waits = std::thread::scope(|scope| -> Result<Waits, Failure> {
            let receiving =
                scope.spawn(|| decoding.install(|| receive(station, traffic, &is_over)));
            let done = work(station);
            is_over.store(true, Ordering::Relaxed);
            let waits = receiving.join().map_err(|_| "the receiving thread panicked")?;
            done.and(waits)
        })?;
        waits.sort();
        waits.print(name);
        Ok(waits)
    }
}

/// Decodes packets of random devices, a few at a time.
fn receive(
    station: &Station,
    traffic: &mut Traffic,
    is_over: &AtomicBool,
) -> Result<Waits, Failure> {
    let mut waits = Waits::default();
    while !is_over.load(Ordering::Relaxed) {
        let packets = traffic.packets(SEALED_AT_ONCE, station.key_source().as_ref());
        let mut before = not_run()?;
        for packets in packets.chunks(LOOKUPS_AT_ONCE) {
            waits.measure(&mut before, || {
                let verdicts = station.decode_batch(packets)?;
                let all_accepted = verdicts.iter().all(|verdict| verdict.name() == "accepted");
                if all_accepted { Ok(()) } else { Err("a good packet was not accepted".into()) }
            })?;
        }
    }
    Ok(waits)
}
