//! The report of a clock that jumped.

use hintdex_wire::{Nonce, Slot};

/// A jump of a device's clock, which two packets that agree have shown.
///
/// ```
/// use std::sync::Arc;
/// use hintdex_core::{Admission, Arrival, ClockMove, DeviceRange, LiveIndex, Options, Params};
/// # use hintdex_host::ManualClock;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, NonceKind, Slot, StepLen};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let now = 1_764_000_000;
/// # let clock = Arc::new(ManualClock::new(now));
///
/// // A nonce a minute.
/// let kind = NonceKind::Step(StepLen::new(60).unwrap());
/// let params = Params::clocked(HintScheme::Aes128, kind, 1).unwrap();
/// let index = LiveIndex::create_with(&path, keys.clone(), params, &Options::default(), clock)?;
/// index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
///
/// // Device 0 has the time of tomorrow. Its second packet proves that.
/// let key = index.key(Slot(0)).unwrap();
/// let tomorrow = (now + 86_400) / 60;
/// let first = Arrival { slot: Slot(0), key, nonce: tomorrow, hint_key: None, received_unix_s: now };
/// assert_eq!(index.admit(&first)?, Admission::Early);
/// let second = Arrival { nonce: tomorrow + 1, received_unix_s: now + 60, ..first };
/// assert_eq!(index.admit(&second)?, Admission::Accepted);
/// let moves: Vec<ClockMove> = index.take_clock_moves();
/// assert!((86_300..86_500).contains(&(moves[0].to_s - moves[0].from_s)), "{moves:?}");
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMove {
    /// The slot of the device.
    pub slot: Slot,
    /// The nonce of the second packet.
    pub nonce: Nonce,
    /// The time of reception of the second packet, in seconds since 1970.
    pub received_unix_s: u64,
    /// The expected offset of the device's clock from station time, in seconds.
    pub from_s: i64,
    /// Its offset now, in seconds.
    pub to_s: i64,
}
