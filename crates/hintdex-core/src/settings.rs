//! Settings of devices: how late a packet may be, and how far ahead.
//!
//! A setting that a device lacks is the fleet's, and one that the fleet lacks too is the usual
//! one: a replay window of 64 nonces, and no limit to a gap. Settings belong to the id of a
//! device, so they apply to its keys of every generation. They are for counters alone: what a
//! clocked nonce may be follows from the device's clock.

use std::collections::HashMap;
use std::sync::Arc;

use hintdex_wire::{DeviceId, Nonce, REPLAY_WINDOW_NONCES};

use crate::Error;
use crate::params::{MAX_LATE_NONCES, Params};

/// The settings of a device, or of the whole fleet. `None` stands for a setting that is not
/// made here.
///
/// ```
/// use hintdex_core::{Admission, Arrival, DeviceSettings, MaxGap, Rate};
/// # use hintdex_core::{DeviceRange, LiveIndex, Options};
/// # use std::sync::Arc;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
/// # let index = LiveIndex::create(&path, keys.clone(), params, &Options::default())?;
/// # index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
/// # let key = index.key(Slot(3)).unwrap();
/// // The gateways of the fleet buffer packets for hours.
/// let late = DeviceSettings { late_nonces: Some(1000), ..DeviceSettings::default() };
/// index.set_fleet_settings(&late)?;
/// // Device 3 sends four packets an hour. It may skip 20 at once; up to 10,000 if a second
/// // packet agrees.
/// let settings = DeviceSettings {
///     max_gap: Some(MaxGap::Nonces { accepted: 20, confirmed: 10_000 }),
///     rate: Some(Rate { packets: 4, per_s: 3600 }),
///     ..DeviceSettings::default()
/// };
/// index.set_devices(&[DeviceId(3)], &settings)?;
/// assert_eq!(index.settings_in_use(DeviceId(3)), late.over(&settings));
///
/// let admit = |nonce| {
///     index.admit(&Arrival { slot: Slot(3), key, nonce, hint_key: None, received_unix_s: 0 })
/// };
/// assert_eq!(admit(10)?, Admission::Accepted);
/// assert_eq!(admit(500)?, Admission::AwaitsSecond);
/// assert_eq!(admit(501)?, Admission::Accepted);
/// assert_eq!(admit(20)?, Admission::Accepted); // 481 nonces late
/// assert_eq!(admit(20)?, Admission::Replay);
/// assert_eq!(admit(900_000)?, Admission::PastMaxGap);
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceSettings {
    /// How many nonces up to the highest accepted one are kept one by one, 64 to 65,536. A nonce
    /// further behind is stale. More than 64 need reversible hints; a device that was heard
    /// then takes a bit of memory for each nonce.
    pub late_nonces: Option<u32>,
    /// How far ahead of the expected nonce a packet may be.
    pub max_gap: Option<MaxGap>,
    /// How often the device sends. The gap may be larger by the number of packets that the
    /// device has sent since it was last heard: the station may have been off.
    pub rate: Option<Rate>,
}

/// How many nonces a device may skip.
///
/// See the example of [`DeviceSettings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxGap {
    /// Any number.
    Unlimited,
    /// A number in three zones.
    Nonces {
        /// A packet that skips up to this many is accepted.
        accepted: u32,
        /// A packet that skips up to this many waits for a second one that agrees: it is ahead
        /// of the first by the lookahead at most, and is accepted. A packet that skips more is
        /// rejected.
        confirmed: u32,
    },
}

/// How often a device sends, at most.
///
/// See the example of [`DeviceSettings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number of packets; 0 for a gap that does not grow with time.
    pub packets: u32,
    /// The time of that many packets, at least 1 second.
    pub per_s: u32,
}

impl DeviceSettings {
    /// These settings, with those of `change` that are made in place of them.
    #[must_use]
    pub fn over(self, change: &Self) -> Self {
        Self {
            late_nonces: change.late_nonces.or(self.late_nonces),
            max_gap: change.max_gap.or(self.max_gap),
            rate: change.rate.or(self.rate),
        }
    }

    /// The settings that must be made over `others` for these to apply. A setting that is not
    /// made here is the usual one.
    pub(crate) fn beyond(&self, others: &Self) -> Self {
        let (mine, theirs) = (USUAL.over(self), USUAL.over(others));
        Self {
            late_nonces: mine.late_nonces.filter(|_| mine.late_nonces != theirs.late_nonces),
            max_gap: mine.max_gap.filter(|_| mine.max_gap != theirs.max_gap),
            rate: mine.rate.filter(|_| mine.rate != theirs.rate),
        }
    }

    /// Whether no setting is made.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that devices of an index with these parameters can have these settings.
    ///
    /// # Errors
    /// [`Error::NotForThisIndex`] or [`Error::SettingOutOfRange`].
    pub fn check(&self, params: &Params) -> Result<(), Error> {
        let Self { late_nonces, max_gap, rate } = *self;
        if params.nonces.is_clocked() && !self.is_empty() {
            let why = "the nonces of this fleet are clocked, and the device's clock decides how \
                early or late a packet may be; give decode --before and --after";
            return Err(Error::NotForThisIndex { call: "set", why });
        }
        if params.naming.is_schedule() && !self.is_empty() {
            let why = "the packets of this fleet follow a schedule, which decides how many packets a \
                device may have skipped";
            return Err(Error::NotForThisIndex { call: "set", why });
        }
        if late_nonces.is_some_and(|late| late > LEAST_LATE) && !params.scheme.is_reversible() {
            let why = "truncated hints are found 64 nonces back and no further; a fleet with \
                a longer late window needs aes128 or speck64 hints";
            return Err(Error::NotForThisIndex { call: "set", why });
        }
        let out = |what, most| Err(Error::SettingOutOfRange { what, most });
        if late_nonces.is_some_and(|late| !(LEAST_LATE..=MAX_LATE_NONCES).contains(&late)) {
            return out("the late window is 64 nonces at least", MAX_LATE_NONCES);
        }
        match (max_gap, rate) {
            (Some(MaxGap::Nonces { accepted, confirmed }), _) if confirmed < accepted => out(
                "the gap that a second packet confirms is as large as the accepted one",
                u32::MAX,
            ),
            (_, Some(Rate { per_s: 0, .. })) => {
                out("the time of a rate is 1 second at least", u32::MAX)
            }
            _ => Ok(()),
        }
    }
}

/// The length of the replay window in the state of every slot.
const LEAST_LATE: u32 = 64;
const _: () = assert!(LEAST_LATE as u64 == REPLAY_WINDOW_NONCES);

/// What applies where neither the device nor the fleet has a setting.
const USUAL: DeviceSettings = DeviceSettings {
    late_nonces: Some(LEAST_LATE),
    max_gap: Some(MaxGap::Unlimited),
    rate: Some(Rate { packets: 0, per_s: 1 }),
};

/// The rules by which the nonces of a slot are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) late_nonces: u32,
    pub(crate) max_gap: MaxGap,
    rate: Rate,
}

/// The zone of a nonce that is ahead of the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Accepted,
    Confirmed,
    Rejected,
}

impl Policy {
    /// The zone of a nonce that skips `gap` nonces, `silent_s` after the device was last heard.
    pub(crate) fn zone(&self, gap: Nonce, silent_s: impl FnOnce() -> u64) -> Zone {
        let MaxGap::Nonces { accepted, confirmed } = self.max_gap else { return Zone::Accepted };
        if gap <= accepted.into() {
            return Zone::Accepted;
        }
        let sent = match self.rate.packets {
            0 => 0,
            packets => {
                let sent = u128::from(silent_s()) * u128::from(packets);
                u64::try_from(sent / u128::from(self.rate.per_s.max(1))).unwrap_or(u64::MAX)
            }
        };
        let is_within = |most: u32| gap <= u64::from(most).saturating_add(sent);
        match (is_within(accepted), is_within(confirmed)) {
            (true, _) => Zone::Accepted,
            (false, true) => Zone::Confirmed,
            (false, false) => Zone::Rejected,
        }
    }
}

/// The settings of a fleet, and those of devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) fleet: DeviceSettings,
    pub(crate) devices: HashMap<DeviceId, DeviceSettings>,
    /// Whether a slot has or had a late window: its rows follow the setting with its next packet.
    pub(crate) has_late_rows: bool,
}

impl Settings {
    /// The settings that apply to `device`.
    pub(crate) fn of(&self, device: DeviceId) -> DeviceSettings {
        let own = self.devices.get(&device).copied().unwrap_or_default();
        self.fleet.over(&own)
    }

    /// The rules for the nonces of `device`.
    pub(crate) fn policy(&self, device: DeviceId) -> Policy {
        let DeviceSettings { late_nonces, max_gap, rate } = USUAL.over(&self.of(device));
        Policy {
            late_nonces: late_nonces.unwrap_or(LEAST_LATE),
            max_gap: max_gap.unwrap_or(MaxGap::Unlimited),
            rate: rate.unwrap_or(Rate { packets: 0, per_s: 1 }),
        }
    }

    /// Whether packets may have given a slot a late window under these settings.
    pub(crate) fn may_have_late_rows(&self) -> bool {
        let is_longer =
            |settings: &DeviceSettings| settings.late_nonces.is_some_and(|late| late > LEAST_LATE);
        self.has_late_rows || is_longer(&self.fleet) || self.devices.values().any(is_longer)
    }

    /// These settings, unless admission needs none: no setting is made, and no slot has a late
    /// window.
    pub(crate) fn if_any(self) -> Option<Arc<Self>> {
        let is_plain = self.fleet.is_empty() && self.devices.is_empty() && !self.has_late_rows;
        (!is_plain).then(|| Arc::new(self))
    }
}
