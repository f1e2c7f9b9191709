//! Parameters: the part of the header that the caller chooses.

use core::fmt;
use core::ops::Range;

use hintdex_wire::HintScheme;
use sha2::{Digest, Sha256};

use crate::BuildError;

/// How hints are stored. Numbers and names of encodings are never reused.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Bumped ribbon retrieval (Dillinger, Hübschle-Schneider, Sanders, Walzer,
    /// "Fast Succinct Retrieval and Approximate Membership Using Ribbon", SEA
    /// 2022): hint → group, `value_bits` bits a hint and 0.2 to 0.5 % more. A lookup returns
    /// a group for any hint: the right group for a hint of the snapshot, an arbitrary group
    /// for a foreign hint. The default.
    Ribbon,
    /// A sparse directory over the hints into a dense array of slots: a lookup returns the
    /// slots of all hints in the bucket of the hint. log2(slots / tries) + 1.8 bits a hint.
    Dense,
    /// The hints in order, truncated to the bits that distinguish them and some check bits,
    /// each with its group. A foreign hint finds a candidate once in 2^`check_bits`.
    /// log2(slots / tries) + check bits + 2.3 bits a hint.
    Sorted,
    /// Hints computed instead of stored: a minimal perfect hash function over the hints, and
    /// marks on the cycles that it makes of the snapshot's slots and nonces. A lookup computes
    /// as many hints as [`Dial::Evaluations`] says, with the hint keys of other slots, too,
    /// and then knows slot and nonce, or that the snapshot has no such hint. 0.45 bytes a
    /// hint at 16 evaluations.
    Chain,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: &'static [Self] = &[Self::Ribbon, Self::Dense, Self::Sorted, Self::Chain];

    /// The number of this encoding in files.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ribbon => 1,
            Self::Dense => 2,
            Self::Sorted => 3,
            Self::Chain => 4,
        }
    }

    /// The encoding with this number in files, if this version knows the number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoding| encoding.number() == number)
    }

    /// The encoding's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ribbon => "ribbon",
            Self::Dense => "dense",
            Self::Sorted => "sorted",
            Self::Chain => "chain",
        }
    }

    /// The encoding with this name on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoding| encoding.name() == name)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The dial between bytes and tries.
///
/// The value of a hint is the *group* of its slot: `slot / tries`, counted from the
/// snapshot's first slot. `r` bits number 2^r groups, which is the information bound for
/// slots / 2^r tries. More bits mean fewer tries.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// At most this many bits a value, 1 to 32; the number of tries follows.
    Bits(u8),
    /// At most this many tries a lookup, at least 1; the number of bits follows.
    Tries(u32),
    /// [`Encoding::Chain`]: this many hints computed a lookup on average, 1 to
    /// [`MAX_EVALUATIONS`].
    Evaluations(u32),
}

/// The most evaluations a lookup: beyond, a chain saves next to nothing.
pub const MAX_EVALUATIONS: u32 = 1024;

/// The parameters of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotParams {
    /// How hints are stored.
    pub encoding: Encoding,
    /// The trade of bytes for tries.
    pub dial: Dial,
    /// The bits of a hint that are stored beyond the bits that distinguish the snapshot's
    /// hints: a foreign hint finds a candidate once in 2^`check_bits`. At most
    /// [`MAX_CHECK_BITS`]. Only [`Encoding::Sorted`] uses them.
    pub check_bits: u8,
    /// The scheme of the hints.
    pub hint_scheme: HintScheme,
    /// The kind of the nonces, as a number that the caller defines.
    pub nonce_kind: u8,
    /// The horizon: how many coming nonces of a slot have their hints in the snapshot.
    pub horizon_nonces: u64,
    /// The slots whose hints are in the snapshot; not empty.
    pub slots: Range<u32>,
    /// The id of the fleet that has the slots.
    pub fleet_id: [u8; 16],
    /// A name for the state of the fleet that the hints were computed from
    /// ([`origin_of`](Self::origin_of) computes one); zeros for no name.
    pub origin: [u8; 16],
    /// The time of that state in seconds since 1970; 0 if the time is unknown. The caller
    /// sets it: a builder that read the clock would not write the same file for the same
    /// input.
    pub built_at_unix_s: u64,
    /// With clocked nonces: the span of station time that the hints are for, in seconds since
    /// 1970. Else empty.
    pub time_unix_s: Range<u64>,
}

/// The most check bits: with the bits that distinguish 2³² hints, a whole head.
pub const MAX_CHECK_BITS: u8 = 32;

impl SnapshotParams {
    /// A name for a state of the fleet: 16 bytes of the SHA-256 (FIPS 180-4) of the parts that
    /// identify the state, each part preceded by its length.
    ///
    /// ```
    /// # use hintdex_snapshot::SnapshotParams;
    /// let (window, packets_accepted) = (7_u64, 1_234_u64);
    /// let origin = SnapshotParams::origin_of(&[
    ///     b"live index",
    ///     &window.to_le_bytes(),
    ///     &packets_accepted.to_le_bytes(),
    /// ]);
    /// assert_ne!(origin, [0; 16]);
    /// ```
    pub fn origin_of(parts: &[&[u8]]) -> [u8; 16] {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut origin = [0; 16];
        origin.copy_from_slice(hash.finalize().split_at(16).0);
        origin
    }

    /// The number of slots.
    pub fn slot_count(&self) -> u32 {
        self.slots.end.saturating_sub(self.slots.start)
    }

    /// The evaluations of the dial; `None` for other encodings than [`Encoding::Chain`].
    pub const fn evaluations(&self) -> Option<u32> {
        match self.dial {
            Dial::Evaluations(evaluations) => Some(evaluations),
            Dial::Bits(_) | Dial::Tries(_) => None,
        }
    }

    /// The number of slots that a lookup tries: at most ([`Encoding::Ribbon`],
    /// [`Encoding::Sorted`]), on average ([`Encoding::Dense`]), or exactly the right one
    /// ([`Encoding::Chain`]).
    pub fn tries(&self) -> u32 {
        match self.dial {
            Dial::Tries(tries) => tries,
            Dial::Evaluations(_) => 1,
            Dial::Bits(bits) => {
                let groups = 1_u64 << bits.min(32);
                let tries = u64::from(self.slot_count()).div_ceil(groups);
                u32::try_from(tries).unwrap_or(u32::MAX)
            }
        }
    }

    /// The number of neighbouring slots in a group; 1 with [`Encoding::Dense`], which stores
    /// single slots.
    pub fn group_len_slots(&self) -> u32 {
        match self.encoding {
            Encoding::Ribbon | Encoding::Sorted => self.tries().max(1),
            Encoding::Dense => 1,
            // Without keys, a chain steers to no slot: all are one group.
            Encoding::Chain => self.slot_count().max(1),
        }
    }

    /// The number of groups.
    pub fn group_count(&self) -> u32 {
        self.slot_count().div_ceil(self.group_len_slots())
    }

    /// The number of bits that number the groups, at least 1.
    pub fn value_bits(&self) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
        let bits = (u32::BITS - self.group_count().saturating_sub(1).leading_zeros()) as u8;
        bits.max(1)
    }

    /// Checks each parameter against its range.
    ///
    /// # Errors
    /// [`BuildError::Params`] with the first parameter that is out of its range.
    pub fn check(&self) -> Result<(), BuildError> {
        let wrong = |param, got: u64, allowed| Err(BuildError::Params { param, got, allowed });
        match self.dial {
            Dial::Bits(bits) if !(1..=32).contains(&bits) => {
                return wrong("the number of bits", bits.into(), "1 to 32");
            }
            Dial::Tries(0) => return wrong("the number of tries", 0, "1 or more"),
            Dial::Evaluations(evaluations) if !(1..=MAX_EVALUATIONS).contains(&evaluations) => {
                return wrong("the number of evaluations", evaluations.into(), "1 to 1024");
            }
            _ => {}
        }
        let is_chain = self.encoding == Encoding::Chain;
        if is_chain != self.evaluations().is_some() {
            let allowed = "a number of evaluations for a chain, bits or tries for the others";
            return wrong("the dial", self.tries().into(), allowed);
        }
        if self.check_bits > MAX_CHECK_BITS {
            return wrong("the number of check bits", self.check_bits.into(), "0 to 32");
        }
        if self.time_unix_s.start > self.time_unix_s.end {
            return wrong("the end of the time span", self.time_unix_s.end, "its start or later");
        }
        if self.slots.is_empty() {
            return wrong("the number of slots", 0, "1 or more");
        }
        Ok(())
    }
}
