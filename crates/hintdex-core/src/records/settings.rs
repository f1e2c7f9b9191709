//! The settings of a device, or of the whole fleet.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, Unsound, layout};
use crate::params::Params;
use crate::settings::{DeviceSettings, MaxGap, Rate};

/// The settings of a device, or of the fleet. Zero stands for a setting that is not made.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SettingsRecord {
    late_nonces: U32,
    gap_accepted: U32,
    gap_confirmed: U32,
    rate_packets: U32,
    rate_per_s: U32,
    gap_kind: u8,
    reserved: [u8; 3],
}

/// The values of `gap_kind`.
const GAP_NOT_SET: u8 = 0;
const GAP_UNLIMITED: u8 = 1;
const GAP_LIMITED: u8 = 2;

impl SettingsRecord {
    /// The record of `settings`.
    ///
    /// # Errors
    /// Why a reader would reject it.
    pub(crate) fn of(settings: &DeviceSettings, params: &Params) -> Result<Self, Unsound> {
        let DeviceSettings { late_nonces, max_gap, rate } = *settings;
        let (gap_kind, gap_accepted, gap_confirmed) = match max_gap {
            None => (GAP_NOT_SET, 0, 0),
            Some(MaxGap::Unlimited) => (GAP_UNLIMITED, 0, 0),
            Some(MaxGap::Nonces { accepted, confirmed }) => (GAP_LIMITED, accepted, confirmed),
        };
        let record = Self {
            late_nonces: late_nonces.unwrap_or(0).into(),
            gap_accepted: gap_accepted.into(),
            gap_confirmed: gap_confirmed.into(),
            rate_packets: rate.map_or(0, |rate| rate.packets).into(),
            rate_per_s: rate.map_or(0, |rate| rate.per_s).into(),
            gap_kind,
            reserved: [0; 3],
        };
        if record.parse(params)? == *settings { Ok(record) } else { Err("they are not sound") }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn read(bytes: &[u8], params: &Params) -> Result<DeviceSettings, Unsound> {
        Self::read_from_bytes(bytes).map_err(|_| "its length is wrong")?.parse(params)
    }

    fn parse(&self, params: &Params) -> Result<DeviceSettings, Unsound> {
        let (accepted, confirmed) = (self.gap_accepted.get(), self.gap_confirmed.get());
        let (packets, per_s) = (self.rate_packets.get(), self.rate_per_s.get());
        let late_nonces = self.late_nonces.get();
        let max_gap = match self.gap_kind {
            GAP_LIMITED => Some(MaxGap::Nonces { accepted, confirmed }),
            _ if (accepted, confirmed) != (0, 0) => return Err("it has a gap and no limit"),
            GAP_UNLIMITED => Some(MaxGap::Unlimited),
            GAP_NOT_SET => None,
            _ => return Err("its kind of gap is none that a version writes"),
        };
        if (per_s == 0 && packets != 0) || self.reserved != [0; 3] {
            return Err("it has a rate without a time, or reserved bytes that no version writes");
        }
        let settings = DeviceSettings {
            late_nonces: (late_nonces != 0).then_some(late_nonces),
            max_gap,
            rate: (per_s != 0).then_some(Rate { packets, per_s }),
        };
        settings.check(params).map(|()| settings).map_err(|_| "its settings are out of range")
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("settings", SettingsRecord: late_nonces, gap_accepted, gap_confirmed, rate_packets,
        rate_per_s, gap_kind, reserved)
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use hintdex_wire::{DeviceId, HintScheme, NonceKind};

    use super::super::keys::{SETTINGS_KEY_PREFIX, device_of_settings, settings_key};
    use super::*;
    use crate::params::MAX_LATE_NONCES;

    const COUNTERS: Params = Params::counters(HintScheme::Aes128, 16);

    #[test]
    fn settings_are_read_as_they_were_written_and_rejected_where_none_were() {
        let days = Params::clocked(HintScheme::Aes128, NonceKind::DayCounter, 16).expect("room");
        let read = |bytes: &[u8]| SettingsRecord::read(bytes, &COUNTERS);
        let all = DeviceSettings {
            late_nonces: Some(MAX_LATE_NONCES),
            max_gap: Some(MaxGap::Nonces { accepted: 3, confirmed: u32::MAX }),
            rate: Some(Rate { packets: 0, per_s: 60 }),
        };
        let unlimited =
            DeviceSettings { max_gap: Some(MaxGap::Unlimited), ..DeviceSettings::default() };
        for settings in [all, unlimited, DeviceSettings::default()] {
            let record = SettingsRecord::of(&settings, &COUNTERS).expect("it is sound");
            assert_eq!(read(record.as_bytes()), Ok(settings));
            assert!(read(&record.as_bytes()[1..]).is_err());
            let of_clock = SettingsRecord::of(&settings, &days);
            assert_eq!(of_clock.is_ok(), settings.is_empty());
        }
        let sound = SettingsRecord::of(&all, &COUNTERS).expect("it is sound");
        // Its late window, gaps, rate, kind of gap and reserved bytes, each out of range.
        for (at, byte) in [(0, 1), (4, 9), (11, 0), (16, 0), (20, 0), (20, 1), (20, 3), (23, 1)] {
            let mut bytes = sound.as_bytes().to_vec();
            if at == 4 {
                bytes[4..12].copy_from_slice(&[9, 0, 0, 0, 8, 0, 0, 0]);
            } else if at == 16 {
                bytes[12..20].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
            } else if at == 11 {
                bytes[8..12].fill(0);
            } else {
                bytes[at] = byte;
            }
            assert!(read(&bytes).is_err(), "byte {at}: {byte}");
        }
        let keys = [None, Some(DeviceId(0)), Some(DeviceId(u32::MAX))];
        for device in keys {
            let key = settings_key(device);
            let rest = key.strip_prefix(SETTINGS_KEY_PREFIX).expect("the prefix");
            assert_eq!(device_of_settings(rest), Some(device));
        }
        assert_eq!(device_of_settings(b"123"), None);
    }
}
