//! From evaluations to marks: how far apart they are, and which points may be marked.

use core::num::NonZeroU32;

use crate::packed;

/// The distances that give a mean number of evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spacing {
    /// Points whose number is a multiple of 2 to the power of this may be marked.
    pub mark_every_bits: u8,
    /// A walk of the builder that has come so far from the last mark marks the last point
    /// that may be marked.
    pub cut_steps: u32,
}

/// The most that `mark_every_bits` may be: for more evaluations than anybody wants.
const MAX_MARK_EVERY_BITS: u8 = 8;

/// How far the mean number of evaluations may be above the dial: cuts are whole steps.
const MEAN_TOLERANCE: f64 = 0.03;

/// The most that `longest_walk` may be for each evaluation of the dial.
pub(crate) const MAX_STEPS_PER_EVALUATION: u32 = 64;

/// The lengths of the pieces between two marks.
struct Pieces {
    mean: f64,
    /// The mean over the points: a long piece has more of them.
    mean_of_points: f64,
}

/// How often the lengths are computed from those of the pieces before: they settle quickly.
const ROUNDS: u32 = 16;

impl Pieces {
    /// The pieces that `cut_steps` gives, where every `every`-th number may be marked.
    ///
    /// A piece ends at the last of the numbers 1 to `cut_steps` behind a mark that may be marked;
    /// if none may, at the first behind them. Each may be marked with probability 1 / `every`, but
    /// for the numbers between the mark and the cut of the piece before, which may not.
    fn new(every: f64, cut_steps: u32) -> Self {
        let (may, may_not) = (1.0 / every, 1.0 - 1.0 / every);
        // The probability that so many numbers are known not to be markable.
        let mut known = vec![0.0; cut_steps as usize];
        known.first_mut().into_iter().for_each(|none_known| *none_known = 1.0);
        let mut pieces = Self { mean: 1.0, mean_of_points: 1.0 };
        for _ in 0..ROUNDS {
            let mut next = Vec::with_capacity(known.len());
            let (mut sum, mut squares, mut all) = (0.0, 0.0, 0.0);
            // From the longest piece to the shortest; `fewer` of all pieces begin with fewer
            // numbers that are known than the piece is long.
            let (mut behind, mut fewer) = (1.0, 1.0);
            for (len, known) in (1..=cut_steps).rev().map(f64::from).zip(known.iter().rev()) {
                let probability = fewer * behind * may;
                sum += probability * len;
                squares += probability * len * len;
                all += probability;
                next.push(probability);
                behind *= may_not;
                fewer -= known;
            }
            // Behind the cut: K steps further, with K geometric from 1 and of mean `every`.
            let (rest, mean) = (1.0 - all, f64::from(cut_steps) + every);
            sum += rest * mean;
            squares += rest * (mean * mean + every * (every - 1.0));
            next.first_mut().into_iter().for_each(|none_known| *none_known += rest);
            pieces = Self { mean: sum, mean_of_points: squares / sum };
            known = next;
        }
        pieces
    }
}

impl Spacing {
    /// The spacing for a mean of `evaluations` a lookup among `count` points.
    ///
    /// A lookup walks the length of the piece that its point lies on, so the mean number of
    /// evaluations is the mean length over the points. For each distance M of numbers that may
    /// be marked, the longest cut is taken that keeps the mean below the evaluations and 3 %.
    ///
    /// The bits of a hint are 1.07 / M for the lines of marks, and the width of a mark divided
    /// by the mean length of a piece for the marks before. The M with the least sum is chosen.
    pub fn new(evaluations: u32, count: u64) -> Self {
        let most = f64::from(evaluations) * (1.0 + MEAN_TOLERANCE);
        let spacings = (0..=MAX_MARK_EVERY_BITS).filter_map(|mark_every_bits| {
            let every = f64::from(1_u32 << mark_every_bits);
            // A longer cut has longer pieces.
            let (mut fits, mut too_long) = (0, 2 * evaluations + 1);
            while too_long - fits > 1 {
                let cut_steps = fits.midpoint(too_long);
                let is_short = Pieces::new(every, cut_steps).mean_of_points <= most;
                *(if is_short { &mut fits } else { &mut too_long }) = cut_steps;
            }
            let cut_steps = NonZeroU32::new(fits)?.get();
            let pieces = Pieces::new(every, cut_steps);
            let mark_bits = f64::from(packed::width(count >> mark_every_bits));
            let bits = 64.0 / 60.0 / every + mark_bits / pieces.mean;
            Some((bits, Self { mark_every_bits, cut_steps }))
        });
        let best = spacings.min_by(|(one, _), (other, _)| one.total_cmp(other));
        best.map_or(Self { mark_every_bits: 0, cut_steps: 1 }, |(_, spacing)| spacing)
    }

    /// About how many of `count` points are marked: one for each piece.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most as many as there are points"
    )]
    pub fn mark_count(&self, count: u64) -> u64 {
        let every = f64::from(1_u32 << self.mark_every_bits);
        (count as f64 / Pieces::new(every, self.cut_steps).mean) as u64
    }
}
