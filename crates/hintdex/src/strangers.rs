//! Hints that nobody knew: those that were scanned for in vain, and packets that
//! wait until the budget allows a scan. Both are bounded, whatever the air brings.

use std::collections::{HashSet, VecDeque};

use hintdex_wire::Hint;

/// Hints of one generation of the memory: 4 MiB in all.
const MAX_REMEMBERED: usize = 64 << 10;
/// Packets that may wait.
const MAX_WAITING: usize = 4096;
/// The longest packet that may wait: nobody sends longer ones by radio.
const MAX_WAITING_LEN_BYTES: usize = 256;

/// The hints that were scanned for and are no device's. A station hears a packet
/// through several gateways, and a jammer repeats itself: neither costs a second scan.
///
/// Two generations; when the newer one is full, the older one is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    newer: HashSet<Hint>,
    older: HashSet<Hint>,
}

impl Remembered {
    pub(crate) fn contains(&self, hint: &Hint) -> bool {
        self.newer.contains(hint) || self.older.contains(hint)
    }

    pub(crate) fn insert(&mut self, hint: Hint) {
        if self.newer.len() >= MAX_REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hint);
    }

    /// Forgets everything: devices were added, and any hint may be theirs.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Packets that wait for a scan. When there is no room, the oldest goes: a flood
/// must not keep out what comes after it.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    packets: VecDeque<Waited>,
}

/// A packet that waits, and when it was received, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waited {
    pub(crate) packet: Vec<u8>,
    pub(crate) at_unix_s: u64,
}

impl Waiting {
    /// Lets a packet wait; whether one was dropped, this or an older one.
    pub(crate) fn push(&mut self, packet: &[u8], at_unix_s: u64) -> bool {
        if packet.len() > MAX_WAITING_LEN_BYTES {
            return true;
        }
        let full = self.packets.len() == MAX_WAITING;
        if full {
            self.packets.pop_front();
        }
        self.packets.push_back(Waited { packet: packet.to_vec(), at_unix_s });
        full
    }

    /// Takes the newest ones.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Waited> {
        let rest = self.packets.len().saturating_sub(most);
        self.packets.split_off(rest).into()
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::HintScheme;

    use super::*;

    fn hint(number: usize) -> Hint {
        Hint::read(HintScheme::Aes128, &(number as u128).to_be_bytes()).expect("16 bytes")
    }

    #[test]
    fn the_latest_hints_are_remembered_and_no_more_than_two_generations() {
        let mut remembered = Remembered::default();
        for number in 0..5 * MAX_REMEMBERED {
            remembered.insert(hint(number));
            assert!(remembered.contains(&hint(number)));
            assert!(remembered.contains(&hint(number.saturating_sub(MAX_REMEMBERED - 1))));
        }
        assert!(!remembered.contains(&hint(0)));
        assert!(remembered.newer.len() + remembered.older.len() <= 2 * MAX_REMEMBERED);
        remembered.clear();
        assert!(!remembered.contains(&hint(5 * MAX_REMEMBERED - 1)));
    }

    #[test]
    fn the_newest_packets_wait_and_are_taken_first() {
        let mut waiting = Waiting::default();
        assert!(waiting.push(&[0; MAX_WAITING_LEN_BYTES + 1], 0));
        for number in 0..MAX_WAITING {
            assert!(!waiting.push(&number.to_le_bytes(), number as u64));
        }
        assert!(waiting.push(&[1], 7));
        assert_eq!(waiting.len(), MAX_WAITING);
        let newest = waiting.take(2);
        let waited = |packet: &[u8], at_unix_s| Waited { packet: packet.to_vec(), at_unix_s };
        let last = MAX_WAITING - 1;
        assert_eq!(newest, [waited(&last.to_le_bytes(), last as u64), waited(&[1], 7)]);
        assert!(!waiting.push(&[1], 7));
        let rest = waiting.take(usize::MAX);
        assert_eq!(rest.len(), MAX_WAITING - 1);
        assert_eq!(rest.first(), Some(&waited(&1usize.to_le_bytes(), 1)));
    }
}
