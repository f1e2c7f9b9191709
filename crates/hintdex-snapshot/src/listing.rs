//! Sorted snapshots as lists: every hint in order, two lists as one, and what
//! one has and the other has not.
//!
//! A sorted snapshot keeps the upper bits of each hint, so many as tell its own
//! hints apart and the check bits. Those and the slots are an entry. Two
//! snapshots that keep unlike numbers of bits are compared by the fewer.

use core::cmp::Ordering;
use core::iter::Peekable;
use core::ops::Range;

use crate::encoding::{Shape, SortedEntries};
use crate::{Damage, ListError, Snapshot};

/// A hint as a sorted snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedHint {
    /// The upper bits of the hint's head; those not kept are zero.
    pub prefix: u64,
    /// The group of slots one of which made the hint.
    pub slots: Range<u32>,
}

impl ListedHint {
    /// In the order of hints, and of slots where those are equal.
    fn order(&self) -> (u64, u32) {
        (self.prefix, self.slots.start)
    }
}

/// Every hint of a sorted snapshot, in the order of hints and then of slots.
///
/// Reads from front to back, about 10 ns a hint, and keeps nothing. A damaged
/// block is an item of its own, in place of the hints that need it.
#[derive(Clone, Debug)]
pub struct Listing<'s> {
    entries: SortedEntries<'s>,
    shape: &'s Shape,
    /// How many bits of a hint are told.
    prefix_bits: u32,
    /// Hints of one prefix, the last first, where fewer bits are told than kept.
    equal: Vec<ListedHint>,
    /// The first hint of another.
    ahead: Option<Result<ListedHint, Damage>>,
}

impl<'s> Listing<'s> {
    fn new(snapshot: &'s Snapshot) -> Result<Self, ListError> {
        let encoding = snapshot.params().encoding;
        let entries = snapshot.entries().ok_or(ListError::NotSorted { encoding })?;
        let prefix_bits = entries.kept_bits();
        let shape = snapshot.shape();
        Ok(Self { entries, shape, prefix_bits, equal: Vec::new(), ahead: None })
    }

    /// How many bits of each hint there are.
    pub const fn prefix_bits(&self) -> u32 {
        self.prefix_bits
    }

    /// The same list with the first `prefix_bits` of each hint, if it has more.
    fn cut_to(self, prefix_bits: u32) -> Self {
        Self { prefix_bits: prefix_bits.min(self.prefix_bits), ..self }
    }

    /// The next entry as the file has it, cut.
    fn read(&mut self) -> Option<Result<ListedHint, Damage>> {
        loop {
            let (prefix, group) = match self.entries.next()? {
                Ok(entry) => entry,
                Err(damage) => return Some(Err(damage)),
            };
            let slots = self.shape.slots_of(group);
            if !slots.is_empty() {
                let unkept = u64::MAX.checked_shr(self.prefix_bits).unwrap_or(0);
                return Some(Ok(ListedHint { prefix: prefix & !unkept, slots }));
            }
        }
    }

    /// Reads the hints that share the next prefix; gives damage where it is.
    ///
    /// Cutting leaves the order of prefixes, but mixes the slots of those that
    /// have become equal, and may make two entries one.
    fn fill(&mut self) -> Result<(), Damage> {
        while let Some(next) = self.ahead.take().or_else(|| self.read()) {
            let next = match next {
                Ok(next) => next,
                Err(damage) if self.equal.is_empty() => return Err(damage),
                Err(damage) => {
                    self.ahead = Some(Err(damage));
                    break;
                }
            };
            if self.equal.first().is_some_and(|first| first.prefix != next.prefix) {
                self.ahead = Some(Ok(next));
                break;
            }
            self.equal.push(next);
        }
        self.equal.sort_unstable_by_key(|hint| core::cmp::Reverse(hint.order()));
        self.equal.dedup();
        Ok(())
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<ListedHint, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.equal.is_empty()
            && let Err(damage) = self.fill()
        {
            return Some(Err(damage));
        }
        self.equal.pop().map(Ok)
    }
}

/// Which of two snapshots has a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first, and not the second.
    Left,
    /// The second, and not the first.
    Right,
    /// Both.
    Both,
}

/// The hints of two sorted snapshots as one list, each once and with where it is.
#[derive(Clone, Debug)]
pub struct Merged<'s> {
    left: Peekable<Listing<'s>>,
    right: Peekable<Listing<'s>>,
}

impl<'s> Merged<'s> {
    fn new(left: &'s Snapshot, right: &'s Snapshot) -> Result<Self, ListError> {
        let (left_list, right_list) = (Listing::new(left)?, Listing::new(right)?);
        let groups = |snapshot: &Snapshot| {
            let params = snapshot.params();
            (params.hint_scheme, params.slots.start, params.group_len_slots())
        };
        if groups(left) != groups(right) {
            return Err(ListError::Unlike);
        }
        let prefix_bits = left_list.prefix_bits.min(right_list.prefix_bits);
        Ok(Self {
            left: left_list.cut_to(prefix_bits).peekable(),
            right: right_list.cut_to(prefix_bits).peekable(),
        })
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<(Side, ListedHint), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.left.peek(), self.right.peek()) {
            (None, None) => return None,
            // Damage goes first, wherever it is.
            (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
            (_, Some(Err(_))) | (None, Some(_)) => Ordering::Greater,
            // The last group of a fleet that has grown since is longer in the
            // younger snapshot; it is the same group.
            (Some(Ok(left)), Some(Ok(right))) => left.order().cmp(&right.order()),
        };
        let (side, hint) = match order {
            Ordering::Less => (Side::Left, self.left.next()?),
            Ordering::Greater => (Side::Right, self.right.next()?),
            Ordering::Equal => {
                let longer = |left: ListedHint, right: ListedHint| {
                    if left.slots.end > right.slots.end { left } else { right }
                };
                let both = (self.left.next()?, self.right.next()?);
                (Side::Both, both.0.and_then(|left| both.1.map(|right| longer(left, right))))
            }
        };
        Some(hint.map(|hint| (side, hint)))
    }
}

impl Snapshot {
    /// Lists every hint of a sorted snapshot, in order.
    ///
    /// # Errors
    /// [`ListError::NotSorted`] when the encoding keeps no hints.
    pub fn list(&self) -> Result<Listing<'_>, ListError> {
        Listing::new(self)
    }

    /// Lists the hints of two sorted snapshots as one, each with where it is.
    ///
    /// They are compared by as many bits as both keep. A merge (Knuth, "The Art
    /// of Computer Programming" 3, section 5.2.4): each is read once, nothing is
    /// kept.
    ///
    /// # Errors
    /// [`ListError`] when one of them keeps no hints, or they are of unlike hint
    /// schemes or groups.
    pub fn merge<'s>(&'s self, other: &'s Self) -> Result<Merged<'s>, ListError> {
        Merged::new(self, other)
    }

    /// Lists the hints that only one of two sorted snapshots has:
    /// [`merge`](Self::merge) without what is in both.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub fn diff<'s>(
        &'s self,
        other: &'s Self,
    ) -> Result<impl Iterator<Item = Result<(Side, ListedHint), Damage>> + 's, ListError> {
        let merged = self.merge(other)?;
        Ok(merged.filter(|hint| !matches!(hint, Ok((Side::Both, _)))))
    }
}
