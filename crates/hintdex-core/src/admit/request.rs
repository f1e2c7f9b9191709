//! The input and the result of an admission.

use hintdex_wire::{HintKey, KeyId, Nonce, Slot};

use crate::records::PointHead;
use crate::time::Sighting;

/// A packet whose tag has verified, for admission.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The slot whose packet it is.
    pub slot: Slot,
    /// The key that has opened the packet. The arrival is [`Retired`](Admission::Retired) if
    /// the slot has another key now.
    pub key: KeyId,
    /// The packet's nonce.
    pub nonce: Nonce,
    /// The slot's hint key, for the coming hints. With `None`, the index asks its key source if the
    /// arrival adds hints; where keys move on with the nonces ([`Params::ratchet`](crate::Params)), the
    /// index always does.
    pub hint_key: Option<&'a HintKey>,
    /// The time of reception, in seconds since 1970.
    pub received_unix_s: u64,
}

/// The distance within which a truncated hint is searched for around its device's expected
/// nonce.
///
/// The packets of a batch are searched for together, before any of them is admitted. So the
/// search may reach further than it would for one packet after another. Admission knows the
/// device's state at each packet's turn, and limits the packet to this reach.
///
/// See the example of [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// For counters: nonces ahead of the next one, or of the live hints if those reach further.
    /// Behind the next nonce, the reach is the length of the replay window.
    pub ahead_nonces: u64,
    /// For clocked nonces: nonces from 0 on, which are searched besides those of the packet's
    /// time.
    pub epoch_nonces: u64,
}

/// The request of an arrival.
///
/// ```
/// use hintdex_core::{Admission, Arrival, Reach, Request};
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
///
/// // Two packets of slot 3, found by a search 100 nonces ahead.
/// let arrival = |nonce| {
///     Arrival { slot: Slot(3), key, nonce, hint_key: None, received_unix_s: 0 }
/// };
/// let reach = Reach { ahead_nonces: 100, epoch_nonces: 0 };
/// let requests = [Request::AdmitWithin(reach), Request::Probe(reach)];
/// let admissions = index.admit_requests(&[arrival(70), arrival(5000)], &requests)?;
/// assert_eq!(admissions, [Admission::Accepted, Admission::OutOfReach]);
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Admit the arrival, whatever its nonce.
    Admit,
    /// Admit the arrival of a packet without a nonce as the next one of its slot, unless a packet
    /// with this point was admitted within the repeat window
    /// ([`Options::repeat_window_s`](crate::Options::repeat_window_s)). The nonce of the arrival is
    /// ignored.
    ///
    /// ```
    /// use hintdex_core::{Admission, Arrival, LiveIndex, Options, Params, PointHead, Request};
    /// # use hintdex_core::DeviceRange;
    /// # use hintdex_wire::{EphemeralSuite, StationSecret};
    /// # use std::sync::Arc;
    /// # use hintdex_wire::{DeviceId, MasterKey, Slot};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = Arc::new(MasterKey::new(&[7; 32]));
    /// # let station = *StationSecret::new(&[9; 32]).point();
    /// let params = Params::ephemeral(EphemeralSuite::X25519, station);
    /// let index = LiveIndex::create(&path, keys, params, &Options::default())?;
    /// index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
    /// # let (slot, key) = (Slot(3), index.key(Slot(3)).unwrap());
    /// # let arrival = Arrival { slot, key, nonce: 0, hint_key: None, received_unix_s: 0 };
    ///
    /// // Two packets, and the first one again.
    /// let points: [PointHead; 3] = [[1; 8], [2; 8], [1; 8]];
    /// let requests = points.map(Request::AdmitPoint);
    /// let admissions = index.admit_requests(&[arrival; 3], &requests)?;
    /// let expected = [Admission::AcceptedAs(0), Admission::AcceptedAs(1), Admission::ReplayOf(0)];
    /// assert_eq!(admissions, expected);
    /// # Ok::<(), hintdex_core::Error>(())
    /// ```
    AdmitPoint(PointHead),
    /// Admit the arrival if its nonce is within this reach.
    AdmitWithin(Reach),
    /// Admit the arrival of a schedule, which was received at a time and sent at a reading of its
    /// device's clock.
    AdmitSeen(Sighting),
    /// Report whether the nonce is within this reach, and change nothing: the tag did not verify.
    Probe(Reach),
    /// Report whether the key is in service, whatever the nonce, and change nothing.
    ProbeKey,
}

impl Request {
    /// The reach that limits the arrival.
    pub(crate) const fn reach(self) -> Option<Reach> {
        match self {
            Self::Admit | Self::AdmitPoint(_) | Self::AdmitSeen(_) | Self::ProbeKey => None,
            Self::AdmitWithin(reach) | Self::Probe(reach) => Some(reach),
        }
    }
}

/// The result of an arrival.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The nonce is fresh: the new state and the coming hints are durable.
    Accepted,
    /// The packet has no nonce and is new. The index counts the accepted packets of each slot, and
    /// this is the number of the packet.
    AcceptedAs(Nonce),
    /// The nonce was accepted before.
    Replay,
    /// The packet has no nonce, and was accepted before under this number.
    ReplayOf(Nonce),
    /// The nonce is below the replay window, or behind the times that the device's clock
    /// allows, or in a past session. With a schedule, the packet was received later than its device
    /// sends it.
    Stale,
    /// The nonce is ahead of the times that the device's clock allows.
    Early,
    /// The counter skips more nonces than the device's [`MaxGap`](crate::MaxGap) accepts at
    /// once. A second packet that agrees is accepted.
    AwaitsSecond,
    /// The counter skips more nonces than the device's [`MaxGap`](crate::MaxGap) allows.
    PastMaxGap,
    /// The nonce is further from the expected one than the [`Reach`] allows.
    OutOfReach,
    /// The nonce of a [probe](Request::Probe) is within its reach, or the
    /// [key](Request::ProbeKey) is in service.
    InReach,
    /// The slot was retired, or has another key now.
    Retired,
    /// The slot is out of service: its stored state is not sound, or its key is missing.
    OutOfService,
}
