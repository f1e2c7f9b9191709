//! The life of a registered beacon: other keys, other settings, other units, and its end.

use hintdex_wire::beacon::eddystone::RotationExponent;
use hintdex_wire::{DeviceId, HintKey};
use subtle::ConstantTimeEq;

use crate::changes::{Changes, check_clock, name};
use crate::records::BeaconRecord;
use crate::registration::{Refusal, Registration, RollingPeriod, Rule, Scheme, Status};

/// The beacons that a change is for.
///
/// ```
/// use hintdex_beacon::wire::DeviceId;
/// use hintdex_beacon::{Scheme, Selection};
///
/// // Every beacon and daily key with this id.
/// let all = Selection::of(DeviceId(42));
/// // One daily key.
/// let daily =
///     Selection { scheme: Some(Scheme::Gaen), start_interval: Some(2_940_000), ..all };
/// assert_ne!(all, daily);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The id.
    pub device: DeviceId,
    /// Only beacons of this scheme.
    pub scheme: Option<Scheme>,
    /// Only the daily key with this rolling start.
    pub start_interval: Option<u32>,
}

impl Selection {
    /// Every beacon with this id.
    pub const fn of(device: DeviceId) -> Self {
        Self { device, scheme: None, start_interval: None }
    }

    /// Whether a row of the id is selected.
    fn holds(&self, row: &BeaconRecord) -> bool {
        let Self { device: _, scheme, start_interval } = *self;
        let is_of_start =
            |start| row.scheme == Scheme::Gaen.number() && row.start.get() == i64::from(start);
        scheme.is_none_or(|scheme| row.scheme == scheme.number())
            && start_interval.is_none_or(is_of_start)
    }
}

/// Settings of a beacon that were registered wrongly, or have changed.
///
/// See the example of [`Changes::set`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Unix time less the beacon's clock, in seconds.
    pub clock_offset_s: Option<i64>,
    /// When that was measured, in unix time; the present if absent.
    pub measured_unix_s: Option<u64>,
    /// An identifier lasts 2^k seconds.
    pub k: Option<RotationExponent>,
    /// Whether identifiers begin at a random point of their rotation.
    pub is_randomized: Option<bool>,
    /// How many intervals a daily key is good for.
    pub rolling_period: Option<RollingPeriod>,
}

impl Setting {
    /// The rule with these settings; `None` if the scheme lacks one of them.
    fn applied_to(&self, rule: Rule, now_unix_s: u64) -> Option<Rule> {
        let Self { clock_offset_s, measured_unix_s, k, is_randomized, rolling_period } = *self;
        let is_of_a_clock = clock_offset_s.is_some()
            || measured_unix_s.is_some()
            || k.is_some()
            || is_randomized.is_some();
        match rule {
            Rule::EddystoneEid {
                k: old_k,
                clock_offset_s: old_offset_s,
                measured_unix_s: old_measured_unix_s,
                is_randomized: was_randomized,
            } if rolling_period.is_none() => Some(Rule::EddystoneEid {
                k: k.unwrap_or(old_k),
                clock_offset_s: clock_offset_s.unwrap_or(old_offset_s),
                measured_unix_s: match clock_offset_s {
                    Some(_) => measured_unix_s.unwrap_or(now_unix_s),
                    None => measured_unix_s.unwrap_or(old_measured_unix_s),
                },
                is_randomized: is_randomized.unwrap_or(was_randomized),
            }),
            Rule::Gaen { start_interval, rolling_period: old } if !is_of_a_clock => {
                Some(Rule::Gaen { start_interval, rolling_period: rolling_period.unwrap_or(old) })
            }
            _ => None,
        }
    }
}

impl Changes {
    /// Retires beacons: their identifiers are unknown from now on. The keys are kept, so that
    /// no other beacon is registered with one of them. Returns the number of beacons that were
    /// active.
    ///
    /// # Errors
    /// [`Refusal::UnknownId`] if no such beacon is registered.
    pub fn retire(&mut self, which: &Selection) -> Result<u32, Refusal> {
        let slots = self.slots_of(which)?;
        let mut retired = 0;
        for slot in slots {
            let Some(row) = self.registry.get(slot) else { continue };
            if row.status() == Some(Status::Active) {
                let row = row.clone().with_status(Status::Retired);
                self.replace_row(slot, row, false);
                retired += 1;
            }
        }
        Ok(retired)
    }

    /// Revokes beacons, as after a theft: retires them and wipes their keys and learned clocks.
    /// A digest of each key stays, so that the key is never registered again. Returns the number
    /// of beacons that were not revoked before.
    ///
    /// # Errors
    /// [`Refusal::UnknownId`] if no such beacon is registered.
    pub fn revoke(&mut self, which: &Selection) -> Result<u32, Refusal> {
        let slots = self.slots_of(which)?;
        let mut revoked = 0;
        for slot in slots {
            let Some(row) = self.registry.get(slot) else { continue };
            if row.status() != Some(Status::Revoked) {
                let key = self.registry.digest_of(row);
                let row = BeaconRecord { key, ..row.clone() }.with_status(Status::Revoked);
                self.replace_row(slot, row, true);
                revoked += 1;
            }
        }
        Ok(revoked)
    }

    /// Gives the id of a registered beacon to a new unit with a key and a clock of its own,
    /// whatever the status of the old one. Nothing that was learned of the old unit stays but the
    /// digest of a revoked key. A retired beacon may come back with its own key.
    ///
    /// # Errors
    /// [`Refusal`], also for an id that is not registered in the scheme.
    pub fn replace(&mut self, registration: &Registration) -> Result<(), Refusal> {
        let row = BeaconRecord::new(registration);
        let device = row.device();
        let (slot, old) = self.named(&name(&row)).ok_or(Refusal::UnknownId { device })?;
        let status = old.status();
        if status == Some(Status::Active) && bool::from(old.key.ct_eq(&row.key)) {
            return Err(Refusal::SameKey { device });
        }
        check_clock(registration.rule, self.now_unix_s())?;
        self.check_key(&row, Some(slot))?;
        if status == Some(Status::Revoked) {
            let old = old.clone();
            self.replace_row(slot, row, true);
            self.keep_revoked(old)?;
        } else {
            self.replace_row(slot, row, true);
        }
        Ok(())
    }

    /// Gives an active beacon another key. Its clock, and what was learned of it, stays: the unit
    /// is the same.
    ///
    /// # Errors
    /// [`Refusal`], also for an id that is not registered in the scheme.
    pub fn rekey(
        &mut self,
        device: DeviceId,
        scheme: Scheme,
        key: &HintKey,
    ) -> Result<(), Refusal> {
        let (slot, old) =
            self.named(&(scheme.number(), device.0, 0)).ok_or(Refusal::UnknownId { device })?;
        let status = old.status().unwrap_or(Status::Active);
        if status != Status::Active {
            return Err(Refusal::NotActive { device, status });
        }
        let row = BeaconRecord { key: *key.expose(), ..old.clone() };
        if bool::from(old.key.ct_eq(&row.key)) {
            return Err(Refusal::SameKey { device });
        }
        self.check_key(&row, Some(slot))?;
        self.replace_row(slot, row, false);
        Ok(())
    }

    /// Changes settings of active beacons. A new offset or exponent drops what was learned of the
    /// clock. Returns the number of beacons.
    ///
    /// ```
    /// use hintdex_beacon::wire::DeviceId;
    /// use hintdex_beacon::{Changes, Selection, Setting};
    ///
    /// # use hintdex_beacon::{Registration, Rule, wire::HintKey};
    /// # use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("beacons");
    /// # let now = 1_764_000_000;
    /// # let mut changes = Changes::open(&folder, now)?;
    /// # let (k, key) = (RotationExponent::new(10).unwrap(), HintKey::from_bytes([7; 16]));
    /// # let rule = Rule::EddystoneEid {
    /// #     k, clock_offset_s: 1_700_000_000, measured_unix_s: now, is_randomized: false,
    /// # };
    /// # changes.add(&Registration { device: DeviceId(42), key, rule })?;
    /// let setting = Setting { clock_offset_s: Some(1_763_000_000), ..Setting::default() };
    /// assert_eq!(changes.set(&Selection::of(DeviceId(42)), &setting)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal`], for which no beacon is changed.
    pub fn set(&mut self, which: &Selection, setting: &Setting) -> Result<u32, Refusal> {
        let device = which.device;
        let mut changed = Vec::new();
        for slot in self.slots_of(which)? {
            let Some(row) = self.registry.get(slot) else { continue };
            let Some(rule) = row.rule() else { continue };
            let rule = setting.applied_to(rule, self.now_unix_s());
            let rule = rule.ok_or(Refusal::NoSuchSetting { device })?;
            check_clock(rule, self.now_unix_s())?;
            let new = row.with_rule(rule);
            changed.push((slot, (new.start, new.k) != (row.start, row.k), new));
        }
        if changed.is_empty() {
            return Err(Refusal::NotActive { device, status: Status::Retired });
        }
        let count = u32::try_from(changed.len()).unwrap_or(u32::MAX);
        for (slot, forgets_clock, row) in changed {
            self.replace_row(slot, row, forgets_clock);
        }
        Ok(count)
    }

    /// The slots of the selected beacons.
    fn slots_of(&mut self, which: &Selection) -> Result<Vec<u32>, Refusal> {
        let mut slots = self.slots_of_device(which.device);
        slots.retain(|slot| self.registry.get(*slot).is_some_and(|row| which.holds(row)));
        match slots.is_empty() {
            true => Err(Refusal::UnknownId { device: which.device }),
            false => Ok(slots),
        }
    }
}
