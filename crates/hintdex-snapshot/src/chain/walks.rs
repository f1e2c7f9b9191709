//! Walks side by side, so that their waits for memory overlap.
//!
//! A walk waits for memory again and again: for a seed, for a line of marks, for a mark before,
//! for a key. Each turn takes every walk as far as its next wait, starts loading what the walk
//! waits for, and computes the hints of the points that were reached in one call.

use hintdex_wire::{Hint, Nonce, Slot};

use super::{ChainView, PointHints};
use crate::Damage;
use crate::encoding::ChainShard;
use crate::perfect_hash::Reading;

/// How many walks go side by side: enough to hide the latency of memory.
pub(super) const LANES: usize = 64;

/// No index: there are fewer than 2⁴¹.
const NOWHERE: u64 = u64::MAX;

/// A walk for one hint.
#[derive(Clone, Copy, Debug)]
struct Walk<'w> {
    /// The index of the wanted hint among the hints of the call.
    index: usize,
    wanted: Hint,
    /// The index of the wanted hint, where the walk ends; [`NOWHERE`] before the first step.
    start: u64,
    /// Steps left before the walk is given up.
    steps_left: u32,
    /// Whether the walk has jumped from a mark to the mark before it.
    has_jumped: bool,
    waits_for: Wait<'w>,
}

/// What a walk waits for before its next step.
#[derive(Clone, Copy, Debug)]
enum Wait<'w> {
    /// The index of a head: that of the last computed hint, or of the wanted one.
    Index(&'w ChainShard, Reading),
    /// The mark before the mark of this rank.
    MarkBefore { rank: u64 },
    /// The walk is over.
    Nothing,
}

/// Where a walk has come to.
enum Reached {
    /// An index whose hint is to be computed.
    Index(u64),
    /// An index that may be marked; its line of marks is being loaded.
    MayBeMarked(u64),
    /// Another wait.
    Nowhere,
    End,
}

impl Walk<'_> {
    const NONE: Self = Self {
        index: 0,
        wanted: Hint::ZERO,
        start: NOWHERE,
        steps_left: 0,
        has_jumped: false,
        waits_for: Wait::Nothing,
    };

    /// Takes the walk to its next index.
    #[inline(always)]
    fn advance(&mut self, view: &ChainView<'_>) -> Result<Reached, Damage> {
        let next = match &mut self.waits_for {
            Wait::Nothing => return Ok(Reached::End),
            Wait::MarkBefore { rank } => {
                self.has_jumped = true;
                return view.chain.marks.before(&view.bytes, *rank).map(Reached::Index);
            }
            Wait::Index(shard, reading) => shard.read(&view.bytes, reading)?,
        };
        let Some(next) = next else { return Ok(Reached::Nowhere) };
        if next == self.start || self.steps_left == 0 {
            return Ok(Reached::End);
        }
        self.steps_left -= 1;
        if self.start == NOWHERE {
            self.start = next;
        }
        let marks = &view.chain.marks;
        if self.has_jumped || !marks.may_be_marked(next) {
            return Ok(Reached::Index(next));
        }
        marks.prefetch_line(&view.bytes, next);
        Ok(Reached::MayBeMarked(next))
    }
}

impl<'f> ChainView<'f> {
    /// Starts loading the index of `head`.
    #[inline(always)]
    fn wait_for(&self, head: u64) -> Wait<'f> {
        match self.shard(head) {
            Some(shard) => Wait::Index(shard, shard.begin(&self.bytes, head)),
            None => Wait::Nothing,
        }
    }
}

/// The walks for some hints.
pub(super) struct Walks<'w> {
    view: ChainView<'w>,
    source: &'w dyn PointHints,
    coming: core::iter::Enumerate<core::slice::Iter<'w, Hint>>,
    /// The first `live` of them are under way.
    walks: [Walk<'w>; LANES],
    live: usize,
    /// The points whose hints this turn computes, and the walk of each.
    points: [(Slot, Nonce); LANES],
    owners: [usize; LANES],
    point_count: usize,
    damage: Option<Damage>,
}

impl<'w> Walks<'w> {
    pub fn new(view: &ChainView<'w>, source: &'w dyn PointHints, hints: &'w [Hint]) -> Self {
        Self {
            view: *view,
            source,
            coming: hints.iter().enumerate(),
            walks: [Walk::NONE; LANES],
            live: 0,
            points: [(Slot(0), 0); LANES],
            owners: [0; LANES],
            point_count: 0,
            damage: None,
        }
    }

    /// Walks to the end; returns the first damage that a walk met.
    pub fn run(mut self, found: &mut dyn FnMut(usize, (Slot, Nonce))) -> Option<Damage> {
        while self.live < LANES && self.begin(self.live) {
            self.live += 1;
        }
        let mut made = [Hint::ZERO; LANES];
        while self.live > 0 {
            self.advance_all();
            let (points, made) =
                (self.points.get(..self.point_count)?, made.get_mut(..self.point_count)?);
            self.source.hints(points, made);
            self.compare(made, found);
        }
        self.damage
    }

    /// Takes the next hint for the walk `at`. If there is none, the walk is over.
    #[inline(always)]
    fn begin(&mut self, at: usize) -> bool {
        let Some(walk) = self.walks.get_mut(at) else { return false };
        let Some((index, wanted)) = self.coming.next() else {
            walk.waits_for = Wait::Nothing;
            return false;
        };
        *walk = Walk {
            index,
            wanted: *wanted,
            start: NOWHERE,
            steps_left: self.view.chain.max_steps,
            has_jumped: false,
            waits_for: self.view.wait_for(wanted.head()),
        };
        true
    }

    /// Takes each walk to its next wait, and collects the points that are reached.
    #[inline(always)]
    fn advance_all(&mut self) {
        self.point_count = 0;
        // The walks at an index that may be marked.
        let mut at_marks = [(0, 0); LANES];
        let mut places = at_marks.iter_mut();
        let mut at = 0;
        while at < self.live {
            let Some(walk) = self.walks.get_mut(at) else { break };
            let ends = match walk.advance(&self.view) {
                Ok(Reached::Index(index)) => !self.reach(at, index),
                Ok(Reached::MayBeMarked(index)) => {
                    places.next().into_iter().for_each(|place| *place = (at, index));
                    false
                }
                Ok(Reached::Nowhere) => false,
                Ok(Reached::End) => true,
                Err(damage) => {
                    self.damage.get_or_insert(damage);
                    true
                }
            };
            // The next hint, or else the last walk, takes the place of a walk that is over.
            if ends && !self.begin(at) {
                self.live -= 1;
                self.walks.swap(at, self.live);
            } else {
                at += 1;
            }
        }
        let left = places.len();
        for &(at, index) in at_marks.iter().take(LANES - left) {
            self.look_for_mark(at, index);
        }
    }

    /// Starts loading the mark before `index`, or, if `index` is not marked, reaches its point.
    #[inline(always)]
    fn look_for_mark(&mut self, at: usize, index: u64) {
        let marks = &self.view.chain.marks;
        let rank = match marks.rank(&self.view.bytes, index) {
            Ok(Some(rank)) => rank,
            Ok(None) => {
                self.reach(at, index);
                return;
            }
            Err(damage) => {
                self.damage.get_or_insert(damage);
                self.wait(at, Wait::Nothing);
                return;
            }
        };
        marks.prefetch_before(&self.view.bytes, rank);
        self.wait(at, Wait::MarkBefore { rank });
    }

    /// Collects the point of `index`, and starts loading its key. If a block is damaged, the walk
    /// `at` is over, and the return value false.
    #[inline(always)]
    fn reach(&mut self, at: usize, index: u64) -> bool {
        let point = match self.view.point(index) {
            Ok(point) => point,
            Err(damage) => {
                self.damage.get_or_insert(damage);
                self.wait(at, Wait::Nothing);
                return false;
            }
        };
        self.source.prefetch(point.0);
        let places =
            self.points.get_mut(self.point_count).zip(self.owners.get_mut(self.point_count));
        if let Some((place, owner)) = places {
            (*place, *owner) = (point, at);
            self.point_count += 1;
        }
        true
    }

    #[inline(always)]
    fn wait(&mut self, at: usize, wait: Wait<'w>) {
        self.walks.get_mut(at).into_iter().for_each(|walk| walk.waits_for = wait);
    }

    /// Compares the hints that were made with those that are wanted.
    #[inline(always)]
    fn compare(&mut self, made: &[Hint], found: &mut dyn FnMut(usize, (Slot, Nonce))) {
        for (made, place) in made.iter().zip(0..) {
            let Some(&at) = self.owners.get(place) else { return };
            let Some(walk) = self.walks.get_mut(at) else { return };
            if *made == walk.wanted {
                self.points.get(place).into_iter().for_each(|point| found(walk.index, *point));
                self.begin(at);
            } else {
                walk.waits_for = self.view.wait_for(made.head());
            }
        }
    }
}
