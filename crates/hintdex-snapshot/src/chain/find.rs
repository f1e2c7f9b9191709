//! Lookups: many walks side by side, so that their waits for memory overlap.

use hintdex_wire::{Hint, Nonce, Slot};

use super::{ChainView, PointHints};
use crate::Damage;

/// How many walks go side by side: enough to hide the latency of memory.
pub(super) const LANES: usize = 32;

/// No index: there are fewer than 2⁴¹.
const NOWHERE: u64 = u64::MAX;

/// A walk for one hint.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// The index of the wanted hint among the hints of the call.
    index: usize,
    wanted: Hint,
    /// The head of the last computed hint; before the first step, that of the wanted hint.
    head: u64,
    /// The index of the wanted hint, where the walk ends; [`NOWHERE`] before the first step.
    start: u64,
    /// The index that the walk has reached.
    at: u64,
    /// Steps left before the walk is given up.
    steps_left: u32,
    /// Whether the walk has jumped from a mark to the mark before it.
    has_jumped: bool,
}

impl Walk {
    const NONE: Self = Self {
        index: 0,
        wanted: Hint::ZERO,
        head: 0,
        start: NOWHERE,
        at: 0,
        steps_left: 0,
        has_jumped: false,
    };
}

impl ChainView<'_> {
    /// Calls `found` with the index of each of `hints` that a point of the snapshot made,
    /// and that point; with several points if several made it.
    ///
    /// Costs the evaluations of the dial for each hint, whether a point made it or not.
    ///
    /// # Errors
    /// The first [`Damage`] that a walk met. Hints whose walks need no damaged block are found
    /// all the same.
    pub fn find(
        &self,
        source: &dyn PointHints,
        hints: &[Hint],
        found: &mut dyn FnMut(usize, (Slot, Nonce)),
    ) -> Result<(), Damage> {
        if self.chain.points.count() == 0 {
            return Ok(());
        }
        let first_damage = Walks::new(self, source, hints).run(found);
        let twins = self.find_twins(source, hints, found);
        first_damage.map_or(twins, Err)
    }

    /// The points of the lists of twins.
    fn find_twins(
        &self,
        source: &dyn PointHints,
        hints: &[Hint],
        found: &mut dyn FnMut(usize, (Slot, Nonce)),
    ) -> Result<(), Damage> {
        let Self { bytes, chain, .. } = self;
        if chain.twins.is_empty() {
            return Ok(());
        }
        let mut first_damage = None;
        let (mut numbers, mut owners) = (Vec::new(), Vec::new());
        for (index, hint) in hints.iter().enumerate() {
            let listed = chain.twins.each(bytes, hint.head(), |number| {
                numbers.push(number);
                owners.push((index, *hint));
            });
            first_damage = first_damage.or(listed.err());
        }
        let mut points = Vec::with_capacity(numbers.len());
        let mut kept = Vec::with_capacity(numbers.len());
        for (&number, owner) in numbers.iter().zip(owners) {
            match chain.points.point(bytes, number) {
                Ok(point) => {
                    points.push(point);
                    kept.push(owner);
                }
                Err(damage) => {
                    first_damage.get_or_insert(damage);
                }
            }
        }
        for (points, owners) in points.chunks(LANES).zip(kept.chunks(LANES)) {
            let mut made = [Hint::ZERO; LANES];
            let made = made.get_mut(..points.len()).unwrap_or_default();
            source.hints(points, made);
            for ((point, made), (index, wanted)) in points.iter().zip(made).zip(owners) {
                if made == wanted {
                    found(*index, *point);
                }
            }
        }
        first_damage.map_or(Ok(()), Err)
    }
}

/// The walks for some hints.
struct Walks<'w> {
    view: ChainView<'w>,
    source: &'w dyn PointHints,
    coming: core::iter::Enumerate<core::slice::Iter<'w, Hint>>,
    /// The first `live` of them are under way.
    walks: [Walk; LANES],
    live: usize,
    /// The point that each walk has reached.
    points: [(Slot, Nonce); LANES],
    damage: Option<Damage>,
}

impl<'w> Walks<'w> {
    fn new(view: &ChainView<'w>, source: &'w dyn PointHints, hints: &'w [Hint]) -> Self {
        let (walks, points) = ([Walk::NONE; LANES], [(Slot(0), 0); LANES]);
        let coming = hints.iter().enumerate();
        Self { view: *view, source, coming, walks, live: 0, points, damage: None }
    }

    /// Walks to the end; returns the first damage that a walk met.
    fn run(mut self, found: &mut dyn FnMut(usize, (Slot, Nonce))) -> Option<Damage> {
        while self.live < LANES && self.begin(self.live) {
            self.live += 1;
        }
        let mut made = [Hint::ZERO; LANES];
        while self.live > 0 {
            self.step_all();
            let live = self.live;
            let (points, made) = (self.points.get(..live)?, made.get_mut(..live)?);
            self.source.hints(points, made);
            // Backwards, so that a walk from the end may take the place of one that ended.
            for at in (0..live).rev() {
                let (Some(walk), Some(made)) = (self.walks.get_mut(at), made.get(at)) else {
                    continue;
                };
                walk.head = made.head();
                if *made == walk.wanted {
                    found(walk.index, self.points.get(at).copied()?);
                    self.replace(at);
                } else {
                    self.view.prefetch_index(walk.head);
                }
            }
        }
        self.damage
    }

    /// Takes the next hint for the walk `at`; false if there is none.
    #[inline(always)]
    fn begin(&mut self, at: usize) -> bool {
        let (Some((index, wanted)), Some(walk)) = (self.coming.next(), self.walks.get_mut(at))
        else {
            return false;
        };
        *walk = Walk {
            index,
            wanted: *wanted,
            head: wanted.head(),
            start: NOWHERE,
            at: 0,
            steps_left: self.view.chain.max_steps,
            has_jumped: false,
        };
        self.view.prefetch_index(walk.head);
        true
    }

    /// Puts the next hint, or else the last walk, in the place of the walk `at`.
    #[inline(always)]
    fn replace(&mut self, at: usize) {
        if !self.begin(at) {
            self.live -= 1;
            self.walks.swap(at, self.live);
        }
    }

    /// Takes each walk to the next point whose hint is to be computed.
    #[inline(always)]
    fn step_all(&mut self) {
        // The walks at an index that may be marked. The lines of these marks are being loaded.
        let mut waiting = 0_u32;
        let mut at = 0;
        while at < self.live {
            match self.step(at) {
                Ok(Some(may_be_marked)) => {
                    waiting |= u32::from(may_be_marked) << at;
                    at += 1;
                }
                Ok(None) => self.replace(at),
                Err(damage) => {
                    self.damage.get_or_insert(damage);
                    self.replace(at);
                }
            }
        }
        while waiting != 0 {
            let at = waiting.trailing_zeros() as usize;
            waiting &= waiting - 1;
            if let Err(damage) = self.jump(at) {
                self.damage.get_or_insert(damage);
                // The next step ends the walk.
                self.walks.get_mut(at).into_iter().for_each(|walk| walk.steps_left = 0);
            }
        }
    }

    /// Takes the walk `at` to its next index. Returns whether that index may be marked; `None` if
    /// the walk came back to its start or is given up.
    #[inline(always)]
    fn step(&mut self, at: usize) -> Result<Option<bool>, Damage> {
        let Some(walk) = self.walks.get_mut(at) else { return Ok(None) };
        let next = self.view.index(walk.head)?;
        if next == walk.start || walk.steps_left == 0 {
            return Ok(None);
        }
        walk.steps_left -= 1;
        if walk.start == NOWHERE {
            walk.start = next;
        }
        walk.at = next;
        let marks = &self.view.chain.marks;
        let may_be_marked = !walk.has_jumped && marks.may_be_marked(next);
        if may_be_marked {
            marks.prefetch(&self.view.bytes, next);
        } else {
            self.go_to(at, next)?;
        }
        Ok(Some(may_be_marked))
    }

    /// Takes the walk `at` to the point of its index, or, from a mark, to the mark before it.
    #[inline(always)]
    fn jump(&mut self, at: usize) -> Result<(), Damage> {
        let Some(walk) = self.walks.get_mut(at) else { return Ok(()) };
        let mut index = walk.at;
        if let Some(before) = self.view.chain.marks.before(&self.view.bytes, index)? {
            (index, walk.has_jumped) = (before, true);
        }
        self.go_to(at, index)
    }

    /// Sets the point of the walk `at` to that of `index`, and starts loading its key.
    #[inline(always)]
    fn go_to(&mut self, at: usize, index: u64) -> Result<(), Damage> {
        let point = self.view.point(index)?;
        self.source.prefetch(point.0);
        self.points.get_mut(at).into_iter().for_each(|place| *place = point);
        Ok(())
    }
}
