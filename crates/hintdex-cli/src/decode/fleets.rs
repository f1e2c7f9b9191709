//! The fleets of a call: their stations as a group, and the clock that they share.

use std::sync::Arc;

use hintdex::{FIRST_SET_UNIX_S, ScheduleStats, Station, StationGroup};

use super::notices::{report_clock_move, report_distance};
use crate::console::Console;
use crate::open;
use crate::timeline::{Follower, Timeline};

/// The stations of a call, in the order of their folders. A call with one folder is a group of one.
pub struct Fleets {
    pub group: Arc<StationGroup>,
    /// What messages about each fleet begin with: nothing if there is one fleet only.
    prefixes: Vec<String>,
    timeline: Arc<Timeline>,
    follower: Follower,
}

impl Fleets {
    /// The stations run by `timeline`.
    pub fn new(group: StationGroup, prefixes: Vec<String>, timeline: Arc<Timeline>) -> Self {
        let spans = clocked(&group).map(|station| station.timing().span_s);
        let (near_s, span_s) = (tolerance_s(&group), spans.min().unwrap_or(0));
        let follower = Follower::new(timeline.clone(), near_s, span_s.into());
        let group = Arc::new(group);
        Self { group, prefixes, timeline, follower }
    }

    /// The station with this number in the group.
    pub fn station(&self, number: usize) -> Option<&Station> {
        self.group.stations().get(number)
    }

    /// Whether a fleet reads times of reception.
    pub fn read_times(&self) -> bool {
        clocked(&self.group).next().is_some()
    }

    /// Whether the packets of a fleet follow a schedule.
    pub fn have_schedule(&self) -> bool {
        self.group.stations().iter().any(is_scheduled)
    }

    /// What the schedule of each fleet has cost; `None` for fleets without one.
    pub fn schedule_stats(&self) -> Vec<Option<ScheduleStats>> {
        self.group.stations().iter().map(Station::schedule_stats).collect()
    }

    /// The least time that a receiver whose clock was set can have shown.
    pub fn first_unix_s(&self) -> u64 {
        let created = clocked(&self.group).map(Station::created_unix_s);
        created.min().map_or(FIRST_SET_UNIX_S, |created_s| created_s.min(FIRST_SET_UNIX_S))
    }

    /// How far apart times of reception may be that one reading of the clock serves.
    pub fn tolerance_s(&self) -> u64 {
        tolerance_s(&self.group)
    }

    /// Whether every fleet that reads times has its window for a packet of this time.
    pub fn have_window_of(&self, unix_s: u64) -> bool {
        clocked(&self.group).all(|station| station.has_window_of(unix_s))
    }

    /// The time of the system clock; `None` if it was never set.
    pub fn system_unix_s(&self) -> Option<u64> {
        self.timeline.system_unix_s()
    }

    /// The time of reception of a packet whose line carries no time: the system clock, or
    /// station time while the system clock is not set.
    pub fn present_s(&self) -> u64 {
        let station_s = || {
            let first = clocked(&self.group).next().or(self.station(0));
            first.map_or(0, Station::now_s)
        };
        self.system_unix_s().unwrap_or_else(station_s)
    }

    /// Moves the station clock to the times of reception of authentic packets, and builds the
    /// windows of its new time.
    pub fn follow(&mut self, times: &[u64]) {
        if !self.read_times() {
            return;
        }
        let moves = times.iter().filter(|unix_s| self.follower.hear(**unix_s)).count();
        if moves > 0 {
            clocked(&self.group).for_each(Station::keep_windows);
        }
    }

    /// Reports events beside the verdicts: moved clocks, notes, and failed maintenance.
    pub fn report_events(&mut self) {
        for (station, of) in self.group.stations().iter().zip(&self.prefixes) {
            for (device, moved) in station.take_clock_moves() {
                report_clock_move(of, device, &moved, station.params().nonces);
            }
            open::write_notes(of, station, &Console::of_process());
            if let Some(failed) = station.take_maintenance_failure() {
                eprintln!("hintdex: {of}a maintenance pass in the background failed: {failed}");
            }
        }
        if let Some((distance_s, is_ahead)) = self.follower.take_distance() {
            report_distance(distance_s, is_ahead);
        }
    }
}

fn is_scheduled(station: &Station) -> bool {
    station.params().naming.is_schedule()
}

/// The stations of fleets with clocked nonces.
fn clocked(group: &StationGroup) -> impl Iterator<Item = &Station> {
    group.stations().iter().filter(|station| station.params().nonces.is_clocked())
}

fn tolerance_s(group: &StationGroup) -> u64 {
    clocked(group).map(Station::timing_tolerance_s).min().unwrap_or(0)
}
