//! Lookups: the walks of many hints, and the twins of their heads.

use hintdex_wire::{Hint, Nonce, Slot};

use super::walks::{LANES, Walks};
use super::{ChainView, PointHints};
use crate::Damage;

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
        let first_damage = match hints {
            [hint] => match self.find_one(source, hint) {
                Ok(point) => {
                    point.into_iter().for_each(|point| found(0, point));
                    None
                }
                Err(damage) => Some(damage),
            },
            hints => Walks::new(self, source, hints).run(found),
        };
        let twins = self.find_twins(source, hints, found);
        first_damage.map_or(twins, Err)
    }

    /// The point on the cycles that made `wanted`: one walk, as the module describes it. Its waits
    /// for memory do not overlap, so it is as short as it can be.
    fn find_one(
        &self,
        source: &dyn PointHints,
        wanted: &Hint,
    ) -> Result<Option<(Slot, Nonce)>, Damage> {
        let Self { bytes, chain, .. } = self;
        let start = self.index(wanted.head())?;
        let (mut at, mut has_jumped) = (start, false);
        for _ in 0..chain.max_steps {
            let mut point = self.point(at)?;
            // Few of the numbers that may be marked are.
            source.prefetch(point.0);
            if !has_jumped
                && chain.marks.may_be_marked(at)
                && let Some(rank) = chain.marks.rank(bytes, at)?
            {
                has_jumped = true;
                point = self.point(chain.marks.before(bytes, rank)?)?;
            }
            let mut made = [Hint::ZERO];
            source.hints(&[point], &mut made);
            let [made] = made;
            if made == *wanted {
                return Ok(Some(point));
            }
            at = self.index(made.head())?;
            if at == start {
                break;
            }
        }
        Ok(None)
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
