//! Several stations that hear the same packets.

use std::fmt;

use crate::batch::{Judged, judge, judge_all_waiting, judge_waiting};
use crate::scan_queue::Ticket;
use crate::scans::ScanStats;
use crate::waiting::WaitingPackets;
use crate::{Error, Received, Station, Unknown, Verdict};

/// The stations of several fleets that hear the same packets. The fleets may differ in suite, hint
/// scheme, associated data and kind of nonces. Threads share a group by reference.
///
/// - A packet is of the fleet under whose keys its tag verifies. The verdict names that fleet and is
///   the verdict of its station.
/// - Each packet is looked up in the snapshots and the live index of every fleet, in the order of
///   the stations, until a fleet opens it. Scans follow in the same order, only for packets that no
///   fleet has opened. So a packet that the index of one fleet knows costs no scan of another.
/// - Fleets without hints are asked after those with hints: devices that are due by a schedule
///   before the scans, and keys that are agreed on among the scans.
/// - The verdicts are those of decoding the packets one by one, as for one station.
/// - A packet that no fleet opens waits if the scan of any fleet is still to come. Otherwise it is
///   forged if any fleet finds it forged, else unknown if it is long enough for any fleet, else
///   malformed.
/// - A packet that no fleet opens costs a lookup and a scan in each fleet. Each station has a scan
///   budget of its own ([`StationOptions::scan_core_share`](crate::StationOptions::scan_core_share)):
///   for a bound on all scans together, divide the share among the stations.
///
/// ```
/// use hintdex::{GroupError, GroupVerdict, Received, Station, StationGroup, StationOptions};
/// use hintdex::{DeviceRange, Params, Verdict};
/// use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let fleet = |name, scheme| {
///     let (dir, params) = (folder.path().join(name), Params::counters(scheme, 16));
///     let station = Station::create(&dir, None, params, &StationOptions::default())?;
///     station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
///     Ok::<_, hintdex::Error>(station)
/// };
/// let group = StationGroup::new(vec![
///     fleet("meters", HintScheme::Aes128)?,
///     fleet("trackers", HintScheme::Speck64)?,
/// ])?;
///
/// # let (keys, id) = (group.stations()[1].key_source(), KeyId::first(DeviceId(42)));
/// # let hint_key = keys.hint_key(id).unwrap();
/// # let packet_key = keys.packet_key(id).unwrap();
/// # let mut packet = [0; 64];
/// # let len = Sealer::new(HintScheme::Speck64, &hint_key, packet_key, 0)
/// #     .seal(b"21.5 C", &mut packet)
/// #     .unwrap();
/// # let packet = &packet[..len];
/// // A packet that tracker 42 has sealed.
/// let heard = Received { packet, at_unix_s: 1_764_000_000, at_ms: 0, associated_data: None, context: &[] };
/// let verdicts: Vec<GroupVerdict> = group.decode_received(&[heard])?;
/// assert_eq!(verdicts[0].station, Some(1));
/// assert!(matches!(verdicts[0].verdict, Verdict::Accepted { device: DeviceId(42), .. }));
///
/// assert_eq!(StationGroup::new(Vec::new()).err(), Some(GroupError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StationGroup {
    stations: Vec<Station>,
    waiting: WaitingPackets,
}

/// The verdict on a packet that several stations heard.
///
/// See the example of [`StationGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVerdict {
    /// The place in [`StationGroup::stations`] of the station whose device the verdict names;
    /// `None` where the verdict names no device.
    pub station: Option<usize>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Why stations form no group.
///
/// See the example of [`StationGroup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// There is no station.
    Empty,
    /// There are more than [`StationGroup::MAX_STATIONS`] stations.
    TooMany {
        /// The number of stations.
        stations: usize,
    },
    /// Two folders hold the same fleet: one is a copy of the other. Both would accept a packet
    /// once. Leave the older one out.
    SameFleet {
        /// The place of the first of the two stations.
        first: usize,
        /// The place of the second.
        second: usize,
    },
}

impl StationGroup {
    /// The most stations of a group. A packet that no fleet opens costs a lookup in each.
    pub const MAX_STATIONS: usize = 16;

    /// A group of at least one station. The order of the stations is the order in which a packet is
    /// tried.
    ///
    /// # Errors
    /// [`GroupError`]. The stations are closed then.
    pub fn new(stations: Vec<Station>) -> Result<Self, GroupError> {
        if stations.is_empty() {
            return Err(GroupError::Empty);
        }
        if stations.len() > Self::MAX_STATIONS {
            return Err(GroupError::TooMany { stations: stations.len() });
        }
        for (second, station) in stations.iter().enumerate() {
            let mut before = stations.iter().take(second);
            if let Some(first) = before.position(|other| other.fleet_id() == station.fleet_id()) {
                return Err(GroupError::SameFleet { first, second });
            }
        }
        Ok(Self { stations, waiting: WaitingPackets::default() })
    }

    /// The stations, in the order in which a packet is tried.
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    fn each(&self) -> Vec<&Station> {
        self.stations.iter().collect()
    }

    /// The verdict on each packet, as if the packets were decoded one by one in this order. Each
    /// time of reception goes to the fleets with clocked nonces.
    ///
    /// The fleets decode one after the other, each on all threads. One sync of each fleet covers
    /// the batch.
    ///
    /// # Errors
    /// [`Error::Index`]. Some packets of the batch may then have been accepted, and all fleets must
    /// be opened again.
    pub fn decode_received(&self, packets: &[Received<'_>]) -> Result<Vec<GroupVerdict>, Error> {
        let judged = judge(&self.each(), &self.waiting, packets)?;
        Ok(judged.into_iter().map(GroupVerdict::of).collect())
    }

    /// Decodes packets that wait for a scan, the newest first, as far as the budget of every
    /// station allows scans now. Returns each ticket with its verdict.
    ///
    /// Call this while no packet comes in. Takes about 10 ms for each station.
    ///
    /// # Errors
    /// Those of [`decode_received`](Self::decode_received).
    pub fn scan_waiting(&self) -> Result<Vec<(Ticket, GroupVerdict)>, Error> {
        Ok(GroupVerdict::of_each(judge_waiting(&self.each(), &self.waiting)?))
    }

    /// Decodes every packet that waits for a scan, without a budget: for the end of the input.
    ///
    /// # Errors
    /// Those of [`decode_received`](Self::decode_received).
    pub fn scan_all_waiting(&self) -> Result<Vec<(Ticket, GroupVerdict)>, Error> {
        Ok(GroupVerdict::of_each(judge_all_waiting(&self.each(), &self.waiting)?))
    }

    /// Whether the packet with this ticket of the group still waits for a scan: it has no verdict
    /// yet, and newer packets have not pushed it out.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiting.contains(ticket)
    }

    /// How many packets wait for a scan. [`Station::scan_stats`] counts the scans of each station.
    pub fn waiting(&self) -> u64 {
        self.waiting.add_to(ScanStats::default()).waiting
    }
}

impl GroupVerdict {
    fn of(Judged { station, verdict }: Judged) -> Self {
        let names_device = match &verdict {
            Verdict::Accepted { .. }
            | Verdict::Replay { .. }
            | Verdict::Stale { .. }
            | Verdict::Early { .. }
            | Verdict::Unknown(Unknown::OutOfService { .. }) => true,
            Verdict::Forged | Verdict::Unknown(_) | Verdict::Malformed(_) => false,
        };
        Self { station: names_device.then_some(station), verdict }
    }

    fn of_each(judged: Vec<(Ticket, Judged)>) -> Vec<(Ticket, Self)> {
        judged.into_iter().map(|(ticket, judged)| (ticket, Self::of(judged))).collect()
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a group needs a station"),
            Self::TooMany { stations } => write!(
                f,
                "{stations} stations: a group has {} at most; decode the packets in two calls",
                StationGroup::MAX_STATIONS
            ),
            Self::SameFleet { first, second } => write!(
                f,
                "stations {first} and {second} have the same fleet: one folder is a copy of the \
                 other; leave the older copy out"
            ),
        }
    }
}

impl std::error::Error for GroupError {}
