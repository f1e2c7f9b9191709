//! Changes of the settings of devices: each in one synced batch, whole or not at all.

use std::sync::PoisonError;

use hintdex_wire::DeviceId;
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::index::LiveIndex;
use crate::records::{META_FAMILY, SettingsRecord, settings_key};
use crate::settings::{DeviceSettings, Settings};

/// A change of settings.
#[derive(Clone, Copy, Debug)]
enum Change<'a> {
    /// The settings that are made here.
    Set(&'a DeviceSettings),
    /// No setting is made any longer.
    Reset,
}

impl LiveIndex {
    /// Makes settings of devices: all of them, or none. A setting that `settings` lacks stays
    /// as it is. Packets that are admitted after this call are judged by the new settings.
    ///
    /// A late window that gets longer does not know the nonces behind its former end, and they
    /// stay stale.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], those of [`DeviceSettings::check`], or those of the store.
    pub fn set_devices(
        &self,
        devices: &[DeviceId],
        settings: &DeviceSettings,
    ) -> Result<(), Error> {
        self.change_settings(Some(devices), Change::Set(settings))
    }

    /// Drops the settings of devices: those of the fleet apply to them.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], or those of the store.
    pub fn reset_devices(&self, devices: &[DeviceId]) -> Result<(), Error> {
        self.change_settings(Some(devices), Change::Reset)
    }

    /// Makes settings of the fleet, which apply to every device without such a setting of its
    /// own. A setting that `settings` lacks stays as it is.
    ///
    /// # Errors
    /// Those of [`DeviceSettings::check`], or those of the store.
    pub fn set_fleet_settings(&self, settings: &DeviceSettings) -> Result<(), Error> {
        self.change_settings(None, Change::Set(settings))
    }

    /// Drops the settings of the fleet. Those of devices stay.
    ///
    /// # Errors
    /// Those of the store.
    pub fn reset_fleet_settings(&self) -> Result<(), Error> {
        self.change_settings(None, Change::Reset)
    }

    /// The settings of the fleet.
    pub fn fleet_settings(&self) -> DeviceSettings {
        self.settings().map_or_else(DeviceSettings::default, |settings| settings.fleet)
    }

    /// The settings that were made for `device` itself.
    pub fn own_settings(&self, device: DeviceId) -> DeviceSettings {
        let settings = self.settings();
        let own = settings.and_then(|settings| settings.devices.get(&device).copied());
        own.unwrap_or_default()
    }

    /// The settings that apply to `device`: its own, and those of the fleet for the rest.
    pub fn settings_in_use(&self, device: DeviceId) -> DeviceSettings {
        self.settings().map_or_else(DeviceSettings::default, |settings| settings.of(device))
    }

    fn change_settings(
        &self,
        devices: Option<&[DeviceId]>,
        change: Change<'_>,
    ) -> Result<(), Error> {
        if let Change::Set(settings) = change {
            settings.check(&self.params)?;
        }
        self.maintain(|| {
            let fleet = self.fleet();
            let is_unknown = |device: &&DeviceId| fleet.slots(**device).is_empty();
            if let Some(device) = devices.and_then(|devices| devices.iter().find(is_unknown)) {
                return Err(Error::UnknownDevice(*device));
            }
            let mut settings = self.settings().map_or_else(Settings::default, |s| (*s).clone());
            let changed = |own: DeviceSettings| match change {
                Change::Set(settings) => own.over(settings),
                Change::Reset => DeviceSettings::default(),
            };
            let mut batch = WriteBatch::default();
            match devices {
                None => {
                    settings.fleet = changed(settings.fleet);
                    self.put_settings(&mut batch, None, &settings.fleet)?;
                }
                Some(devices) => {
                    for device in devices {
                        let own = changed(settings.devices.remove(device).unwrap_or_default());
                        self.put_settings(&mut batch, Some(*device), &own)?;
                        if !own.is_empty() {
                            settings.devices.insert(*device, own);
                        }
                    }
                }
            }
            self.store.write_synced(batch)?;
            self.set_settings(settings);
            Ok(())
        })
    }

    /// Replaces the settings in use. A slot may have got a late window since they were read.
    pub(crate) fn set_settings(&self, settings: Settings) {
        let mut in_use = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let had_late_rows = in_use.as_ref().is_some_and(|before| before.may_have_late_rows());
        let has_late_rows = settings.has_late_rows || had_late_rows;
        *in_use = Settings { has_late_rows, ..settings }.if_any();
    }

    /// Adds the record of the settings of a device, or of the fleet, to `batch`.
    pub(crate) fn put_settings(
        &self,
        batch: &mut WriteBatch,
        device: Option<DeviceId>,
        settings: &DeviceSettings,
    ) -> Result<(), Error> {
        let (meta, key) = (self.store.family(META_FAMILY)?, settings_key(device));
        if settings.is_empty() {
            batch.delete_cf(&meta, key);
            return Ok(());
        }
        let record = SettingsRecord::of(settings, &self.params);
        let record = record.map_err(|why| Error::unsound("the settings of a device", why))?;
        batch.put_cf(&meta, key, record.as_bytes());
        Ok(())
    }
}
