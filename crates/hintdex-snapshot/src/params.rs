//! What a snapshot is made of and for: the part of the header its owner chooses.

use core::fmt;
use core::ops::Range;

use hintdex_wire::HintScheme;
use sha2::{Digest, Sha256};

use crate::BuildError;

/// How hints are stored. Its number and name never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Bumped ribbon retrieval (Dillinger, Hübschle-Schneider, Sanders, Walzer,
    /// "Fast Succinct Retrieval and Approximate Membership Using Ribbon", SEA
    /// 2022): hint → group, `value_bits` bits a hint and 0.2 to 0.5 % more. Any
    /// hint gets an answer, the right one if it is in the set. The default.
    Ribbon,
    /// A sparse directory over the hints into a dense array of slots: a lookup
    /// gives the slots of all hints near it. log2(slots / tries) + 1.8 bits a hint.
    Dense,
    /// The hints themselves, in order, cut to the bits that tell them apart and
    /// some check bits, each with its slot. A foreign hint finds a candidate once in
    /// 2^`check_bits`. log2(slots / tries) + check bits + 2.3 bits a hint.
    Sorted,
}

impl Encoding {
    /// Every encoding there is.
    pub const ALL: &'static [Self] = &[Self::Ribbon, Self::Dense, Self::Sorted];

    /// The number that stands for this encoding in files.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ribbon => 1,
            Self::Dense => 2,
            Self::Sorted => 3,
        }
    }

    /// The encoding a file means by `number`, if this version knows it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoding| encoding.number() == number)
    }

    /// The encoding's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ribbon => "ribbon",
            Self::Dense => "dense",
            Self::Sorted => "sorted",
        }
    }

    /// The encoding called `name` on the command line.
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
/// A hint's value is the *group* of its slot: `slot / tries`, counted from the
/// snapshot's first slot. `r` bits tell 2^r groups apart, which is the
/// information bound for slots / 2^r tries; more bits, fewer tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// At most this many bits a value, 1 to 32: as few tries as they allow.
    Bits(u8),
    /// At most this many slots tried a lookup, at least 1.
    Tries(u32),
}

/// The parameters of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotParams {
    /// How hints are stored.
    pub encoding: Encoding,
    /// Bytes or tries.
    pub dial: Dial,
    /// [`Encoding::Sorted`]: how many bits of a hint are stored beyond those
    /// that tell the snapshot's hints apart, so that a foreign hint finds a
    /// candidate once in 2^`check_bits`. At most [`MAX_CHECK_BITS`]; others ignore it.
    pub check_bits: u8,
    /// The cipher that made the hints.
    pub hint_scheme: HintScheme,
    /// How nonces are made, by the numbers of whoever builds the snapshot.
    pub nonce_kind: u8,
    /// How many coming nonces of a slot have their hints here.
    pub horizon_nonces: u64,
    /// The slots whose hints are here; not empty.
    pub slots: Range<u32>,
    /// Whose slots they are.
    pub fleet_id: [u8; 16],
    /// The state of the fleet they were built from, named by whoever builds
    /// ([`origin_of`](Self::origin_of) makes a name); zeros for one unnamed.
    pub origin: [u8; 16],
    /// When that state was, in seconds since 1970; 0 for a time unknown. It is the
    /// caller's, because a builder that asked the clock would not give the same
    /// file for the same input.
    pub built_at_unix_s: u64,
    /// The station's time that the hints are for, in seconds since 1970, where nonces
    /// tell time; empty where they do not.
    pub time_unix_s: Range<u64>,
}

/// The most check bits there are: with the bits that tell 2³² hints apart, a whole head.
pub const MAX_CHECK_BITS: u8 = 32;

impl SnapshotParams {
    /// A name for a state of the fleet: 16 bytes of the SHA-256 (FIPS 180-4) of
    /// whatever tells it from other states, each part after its length.
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

    /// How many slots there are.
    pub fn slot_count(&self) -> u32 {
        self.slots.end.saturating_sub(self.slots.start)
    }

    /// How many slots a lookup tries: at most ([`Encoding::Ribbon`],
    /// [`Encoding::Sorted`]) or on average ([`Encoding::Dense`]).
    pub fn tries(&self) -> u32 {
        match self.dial {
            Dial::Tries(tries) => tries,
            Dial::Bits(bits) => {
                let groups = 1_u64 << bits.min(32);
                let tries = u64::from(self.slot_count()).div_ceil(groups);
                u32::try_from(tries).unwrap_or(u32::MAX)
            }
        }
    }

    /// How many neighbouring slots make a group; 1 where hints steer to single slots.
    pub fn group_len_slots(&self) -> u32 {
        match self.encoding {
            Encoding::Ribbon | Encoding::Sorted => self.tries().max(1),
            Encoding::Dense => 1,
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> u32 {
        self.slot_count().div_ceil(self.group_len_slots())
    }

    /// How many bits tell the groups apart, at least 1.
    pub fn value_bits(&self) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
        let bits = (u32::BITS - self.group_count().saturating_sub(1).leading_zeros()) as u8;
        bits.max(1)
    }

    /// Checks each parameter against its range.
    ///
    /// # Errors
    /// [`BuildError::Params`] with the first that is out of it.
    pub fn check(&self) -> Result<(), BuildError> {
        let wrong = |param, got: u64, allowed| Err(BuildError::Params { param, got, allowed });
        match self.dial {
            Dial::Bits(bits) if !(1..=32).contains(&bits) => {
                return wrong("the number of bits", bits.into(), "1 to 32");
            }
            Dial::Tries(0) => return wrong("the number of tries", 0, "1 or more"),
            _ => {}
        }
        if self.check_bits > MAX_CHECK_BITS {
            return wrong("the number of check bits", self.check_bits.into(), "0 to 32");
        }
        if self.time_unix_s.start > self.time_unix_s.end {
            return wrong("the end of its time", self.time_unix_s.end, "not before its beginning");
        }
        if self.slots.is_empty() {
            return wrong("the number of slots", 0, "1 or more");
        }
        Ok(())
    }
}
