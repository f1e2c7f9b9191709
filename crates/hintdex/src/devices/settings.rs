//! Settings of devices: how late a packet may be, and how far ahead.

use hintdex_core::DeviceSettings;
use hintdex_wire::DeviceId;

use crate::{Error, Station};

impl Station {
    /// Makes settings of devices: all of them, or none. A setting that `settings` lacks stays
    /// as it is. The next packets of the devices are judged by the new settings.
    ///
    /// ```
    /// use hintdex::{DeviceSettings, EarlyReason, MaxGap, Station, StationOptions, Verdict};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let (keys, id) = (station.key_source().clone(), KeyId::first(DeviceId(42)));
    /// # let (hint_key, key) = (keys.hint_key(id).unwrap(), || keys.packet_key(id).unwrap());
    /// # let seal = |nonce| {
    /// #     let mut packet = vec![0; 64];
    /// #     let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, key(), nonce);
    /// #     let len = sealer.seal(b"21.5 C", &mut packet).unwrap();
    /// #     packet.truncate(len);
    /// #     packet
    /// # };
    /// // Packets of device 42 may be 1,000 nonces late. It may skip 100 nonces at once, and up
    /// // to 100,000 if a second packet agrees with the first.
    /// let settings = DeviceSettings {
    ///     late_nonces: Some(1000),
    ///     max_gap: Some(MaxGap::Nonces { accepted: 100, confirmed: 100_000 }),
    ///     ..DeviceSettings::default()
    /// };
    /// station.set_devices(&[DeviceId(42)], &settings)?;
    /// let verdict = station.decode(&seal(5000))?;
    /// let waits = EarlyReason::AwaitsSecond;
    /// assert!(matches!(verdict, Verdict::Early { nonce: 5000, why, .. } if why == waits));
    /// assert!(matches!(station.decode(&seal(5001))?, Verdict::Accepted { .. }));
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet lacks one of the devices, if a setting is out of range, or
    /// if the nonces of the fleet are clocked.
    pub fn set_devices(
        &self,
        devices: &[DeviceId],
        settings: &DeviceSettings,
    ) -> Result<(), Error> {
        Ok(self.index.set_devices(devices, settings)?)
    }

    /// Drops the settings of devices: those of the fleet apply to them.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet lacks one of the devices.
    pub fn reset_devices(&self, devices: &[DeviceId]) -> Result<(), Error> {
        Ok(self.index.reset_devices(devices)?)
    }

    /// Makes settings of the fleet, which apply to every device without such a setting of its
    /// own. A setting that `settings` lacks stays as it is.
    ///
    /// # Errors
    /// [`Error::Index`] if a setting is out of range, or if the nonces of the fleet are clocked.
    pub fn set_fleet_settings(&self, settings: &DeviceSettings) -> Result<(), Error> {
        Ok(self.index.set_fleet_settings(settings)?)
    }

    /// Drops the settings of the fleet. Those of devices stay.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn reset_fleet_settings(&self) -> Result<(), Error> {
        Ok(self.index.reset_fleet_settings()?)
    }

    /// The settings of the fleet.
    pub fn fleet_settings(&self) -> DeviceSettings {
        self.index.fleet_settings()
    }

    /// The settings that were made for `device` itself.
    pub fn own_settings(&self, device: DeviceId) -> DeviceSettings {
        self.index.own_settings(device)
    }

    /// The settings that apply to `device`: its own, and those of the fleet for the rest.
    pub fn settings_in_use(&self, device: DeviceId) -> DeviceSettings {
        self.index.settings_in_use(device)
    }
}
