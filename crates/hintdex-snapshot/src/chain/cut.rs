//! Cutting the cycles into pieces: which points are marked.
//!
//! Threads walk from *anchors*, numbers that a hash chooses, each to the next anchor on its
//! cycle, many walks side by side. A walk that has come far enough from its last mark marks
//! the last number on its way that may be marked. Anchors are marks, too. So which numbers
//! are marked depends on the permutation alone, for any number of threads. A few cycles have
//! no anchor. The builder finds them by the numbers that no walk has reached.

use core::ops::{Not, Range};
use core::sync::atomic::{AtomicU64, Ordering};

use hintdex_wire::{Hint, Nonce, Slot};
use rayon::prelude::*;

use super::dial::{MAX_STEPS_PER_EVALUATION, Spacing};
use super::header::ChainHeader;
use super::marks::{self, Mark, Marks};
use super::parts::Parts;
use super::points::{MAX_TABLES, Points};
use super::twins::{MAX_TWINS, TwinLists, Twins};
use super::walks::LANES;
use super::{Chain, ChainView, PointHints, tables, write};
use crate::encoding::ChainShard;
use crate::format::{Checked, Checks};
use crate::{BuildError, hash};

/// About one number in so many pieces is an anchor.
const ANCHOR_EVERY_PIECES: u64 = 64;

/// How many anchors a thread walks from at a time.
const TASK_LEN_ANCHORS: usize = 256;

/// How many points a thread takes at a time when it looks at all of them.
const TASK_LEN_POINTS: u64 = 1 << 16;

/// What the chains of a snapshot are built from.
pub(crate) struct Input<'b> {
    /// The file up to the chains: the shards lie where their records say.
    pub image: Vec<u8>,
    /// The shards, numbered.
    pub shards: &'b [ChainShard],
    pub shard_bits: u8,
    /// The hints of the shards; equal heads count once.
    pub distinct: u64,
    pub slots: Range<u32>,
    pub runs: &'b [(Slot, Range<Nonce>)],
    pub hints: &'b dyn PointHints,
    pub evaluations: u32,
}

/// Builds the chains: the header and the parts behind it.
///
/// Computes the hint of every point once, and twice more if hints have twins.
pub(crate) fn build(input: Input<'_>) -> Result<Vec<u8>, BuildError> {
    let spacing = Spacing::new(input.evaluations, input.distinct);
    let Input { mut image, shards, shard_bits, distinct, slots, runs, hints, evaluations, .. } =
        input;
    let tables = tables::write(runs);
    let mut header = ChainHeader {
        point_count: tables.point_count.into(),
        table_count: tables.count.into(),
        ..ChainHeader::default()
    };
    // The points and the twins are read as a reader of the file reads them.
    let place = image.len()..image.len() + tables.bytes.len();
    image.extend_from_slice(&tables.bytes);
    let mut parts = Parts::new(place);
    let changed = || BuildError::HintsChanged { announced: distinct, got: tables.point_count };
    let records = Points::records(&header, &mut parts).and_then(|place| image.get(place));
    let points = records.and_then(|records| Points::open(&header, records, &slots, &mut parts));
    let points = points.ok_or_else(changed)?;
    let mut chain = Chain {
        points,
        marks: Marks::none(),
        twins: Twins::none(),
        max_steps: u32::MAX,
        shard_bits,
        gaps: Box::default(),
    };
    let mut twins = TwinLists::default();
    if tables.point_count != distinct {
        let checks = Checks::nothing();
        let view = ChainView { bytes: Checked::new(&image, &checks), shards, chain: &chain };
        twins = find_twins(&view, hints, distinct)?;
        let start = image.len();
        let bytes = twins.bytes().concat();
        image.extend_from_slice(&bytes);
        header.twin_count = (twins.twins.len() as u64).into();
        header.moved_count = (twins.moved.len() as u64).into();
        let mut parts = Parts::new(start..image.len());
        let duplicates = tables.point_count.saturating_sub(distinct);
        let opened = Twins::open(&header, duplicates, distinct, &mut parts);
        chain.twins = opened.ok_or_else(changed)?;
    }
    let checks = Checks::nothing();
    let view = ChainView { bytes: Checked::new(&image, &checks), shards, chain: &chain };
    let max_steps = evaluations.saturating_mul(MAX_STEPS_PER_EVALUATION);
    let cut = (0..=spacing.mark_every_bits)
        .rev()
        .take_while(|mark_every_bits| u32::try_from(distinct >> mark_every_bits).is_ok())
        .filter_map(|mark_every_bits| {
            Cutting::new(view, hints, distinct, Spacing { mark_every_bits, ..spacing }).run()
        })
        // A cycle without a number that may be marked is short. If one is too long, marks are
        // allowed at more numbers.
        .find(|cut| cut.longest_steps < max_steps || cut.spacing.mark_every_bits == 0);
    let Some(cut) = cut else { return Err(changed()) };
    let ([lines, before], mark_bits) =
        marks::write(&cut.marks, distinct, cut.spacing.mark_every_bits);
    header.mark_count = (cut.marks.len() as u64).into();
    header.mark_every_bits = cut.spacing.mark_every_bits;
    header.mark_bits = mark_bits;
    header.longest_walk = (cut.longest_steps + 1).min(max_steps).into();
    let [twin_bytes, moved, moved_points] = twins.bytes();
    let mut out = Vec::new();
    let parts = [&tables.bytes, &lines, &before, &twin_bytes, &moved, &moved_points];
    write(&header, &parts.map(Vec::as_slice), &mut out);
    Ok(out)
}

/// Checks before a build that the runs are what a chain is built of, and that a chain of `count`
/// points can be cut in `memory_bytes`.
pub(crate) fn check(
    runs: &[(Slot, Range<Nonce>)],
    count: u64,
    evaluations: u32,
    memory_bytes: u64,
) -> Result<(), BuildError> {
    let wrong = |param, got, allowed| Err(BuildError::Params { param, got, allowed });
    let is_behind = |pair: &&[(Slot, Range<Nonce>)]| pair.is_sorted_by_key(|run| run.0.0).not();
    if let Some([.., (Slot(slot), _)]) = runs.windows(2).find(is_behind) {
        return wrong("the slot of a run", u64::from(*slot), "slots in ascending order");
    }
    let most = runs.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).max().unwrap_or(0);
    if most > MAX_TABLES {
        return wrong("the runs of a slot", most as u64, "64 at most, by a shorter span of time");
    }
    let spacing = Spacing::new(evaluations, count);
    let places = count >> spacing.mark_every_bits;
    if u32::try_from(places).is_err() {
        let allowed = "fewer, by a shorter horizon, or more evaluations";
        return wrong("the number of hints of a chain", count, allowed);
    }
    // The image, a bit for each number that may be marked, and the marks twice: while they are
    // sorted, and in the file.
    let marks = 2 * spacing.mark_count(count);
    let asked_bytes = image_len_bytes(count) + places / 8 + marks * size_of::<Mark>() as u64;
    if asked_bytes > memory_bytes {
        return Err(BuildError::ChainNeedsMemory { asked_bytes, memory_bytes });
    }
    Ok(())
}

/// About the length of the shards of so many hints, which a build of a chain keeps in memory: a
/// quarter of a byte a hint for the seeds.
pub(crate) const fn image_len_bytes(count: u64) -> u64 {
    count / 4
}

/// The points that share their heads with others, as lists.
fn find_twins(
    view: &ChainView<'_>,
    hints: &dyn PointHints,
    distinct: u64,
) -> Result<TwinLists, BuildError> {
    let (seen, again) = (BitSet::new(distinct), BitSet::new(distinct));
    for_each_hint(view, hints, |index, _, _| {
        if seen.insert(index) {
            again.insert(index);
        }
    });
    let shared = std::sync::Mutex::new(Vec::new());
    for_each_hint(view, hints, |index, head, number| {
        if again.contains(index) {
            let mut shared = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            shared.push((head, number));
        }
    });
    let shared = shared.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let lists = TwinLists::new(shared, distinct);
    let most = lists.twins.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).max();
    if let Some(most) = most.filter(|most| *most > MAX_TWINS) {
        return Err(BuildError::Params {
            param: "the number of hints with one head",
            got: most as u64 + 1,
            allowed: "65 at most; use longer hints or a shorter horizon",
        });
    }
    let got = distinct + lists.twins.len() as u64;
    if got != view.chain.points.count() {
        return Err(BuildError::HintsChanged { announced: view.chain.points.count(), got });
    }
    Ok(lists)
}

/// Calls `each` with the index, the head and the point number of every hint, on all threads.
fn for_each_hint(
    view: &ChainView<'_>,
    hints: &dyn PointHints,
    each: impl Fn(u64, u64, u64) + Sync,
) {
    let count = view.chain.points.count();
    (0..count.div_ceil(TASK_LEN_POINTS)).into_par_iter().for_each(|task| {
        let all = task * TASK_LEN_POINTS..count.min((task + 1) * TASK_LEN_POINTS);
        let mut number = all.start;
        let (mut points, mut made) = ([(Slot(0), 0); LANES], [Hint::ZERO; LANES]);
        while number < all.end {
            let mut len = 0;
            for (place, number) in points.iter_mut().zip(number..all.end) {
                *place = view.chain.points.point(&view.bytes, number).unwrap_or((Slot(0), 0));
                len += 1;
            }
            let (points, made) = (points.split_at(len).0, made.split_at_mut(len).0);
            hints.hints(points, made);
            for (made, number) in made.iter().zip(number..) {
                let head = made.head();
                each(view.index(head).unwrap_or(0), head, number);
            }
            number += len as u64;
        }
    });
}

/// A set of numbers that threads add to.
struct BitSet(Box<[AtomicU64]>);

impl BitSet {
    fn new(count: u64) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    fn word(&self, number: u64) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(number / 64).ok()?)
    }

    /// Adds `number`. Returns whether the set had it before.
    fn insert(&self, number: u64) -> bool {
        let bit = 1 << (number % 64);
        self.word(number).is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0)
    }

    fn contains(&self, number: u64) -> bool {
        let bit = 1 << (number % 64);
        self.word(number).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }
}

/// The cycles of a permutation while they are cut.
struct Cutting<'c> {
    view: ChainView<'c>,
    hints: &'c dyn PointHints,
    count: u64,
    spacing: Spacing,
    /// The hash below which a number is an anchor.
    anchors_below: u64,
    /// The numbers that may be marked and that a walk has reached.
    seen: BitSet,
}

/// The marks of a permutation.
struct Cut {
    spacing: Spacing,
    marks: Vec<Mark>,
    /// The longest piece between two marks, or cycle without one.
    longest_steps: u32,
}

/// Pieces that a thread cut.
#[derive(Default)]
struct Pieces {
    marks: Vec<Mark>,
    longest_steps: u32,
    steps: u64,
}

/// A walk from mark to mark.
#[derive(Clone, Copy, Default)]
struct Walk {
    at: u64,
    last_mark: u64,
    steps: u32,
    /// The last number on the way that may be marked, and the steps to it.
    candidate: Option<(u64, u32)>,
}

impl Walk {
    fn from(start: u64) -> Self {
        Self { at: start, last_mark: start, ..Self::default() }
    }
}

impl<'c> Cutting<'c> {
    fn new(view: ChainView<'c>, hints: &'c dyn PointHints, count: u64, spacing: Spacing) -> Self {
        let pieces = u64::from(spacing.cut_steps) * ANCHOR_EVERY_PIECES;
        let anchors_below = u64::MAX / (pieces >> spacing.mark_every_bits).max(1);
        let seen = BitSet::new((count >> spacing.mark_every_bits) + 1);
        Self { view, hints, count, spacing, anchors_below, seen }
    }

    const fn may_be_marked(&self, number: u64) -> bool {
        number & ((1 << self.spacing.mark_every_bits) - 1) == 0
    }

    fn is_anchor(&self, number: u64) -> bool {
        self.may_be_marked(number) && hash::mix(number) <= self.anchors_below
    }

    /// The marks; `None` if the numbers are no permutation, because the hints of points are not
    /// those that the shards were built from.
    fn run(self) -> Option<Cut> {
        let every = 1 << self.spacing.mark_every_bits;
        let places = self.count.div_ceil(every);
        let anchors: Vec<u64> = (0..places)
            .into_par_iter()
            .map(|place| place * every)
            .filter(|&number| self.is_anchor(number))
            .collect();
        let pieces = anchors.par_chunks(TASK_LEN_ANCHORS).map(|anchors| self.walk_from(anchors));
        let mut all = pieces.reduce(Pieces::default, Pieces::and);
        for number in (0..places).map(|place| place * every) {
            if all.steps > self.count {
                return None;
            }
            if !self.seen.contains(number / every) {
                all = all.and(self.cut_cycle(number));
            }
        }
        // The cycles on which nothing may be marked have the points that are left.
        let rest = u32::try_from(self.count.checked_sub(all.steps)?).unwrap_or(u32::MAX);
        all.marks.par_sort_unstable();
        let longest_steps = all.longest_steps.max(rest);
        Some(Cut { spacing: self.spacing, marks: all.marks, longest_steps })
    }

    /// Cuts the cycles from each of `anchors` to the next.
    fn walk_from(&self, anchors: &[u64]) -> Pieces {
        let mut pieces = Pieces::default();
        let mut coming = anchors.iter().copied();
        let mut walks: Vec<Walk> = coming.by_ref().take(LANES).map(Walk::from).collect();
        let (mut points, mut made) = ([(Slot(0), 0); LANES], [Hint::ZERO; LANES]);
        // On a permutation, no walk takes more steps than there are numbers.
        while !walks.is_empty() && pieces.steps <= self.count {
            self.next_numbers(&mut walks, &mut points, &mut made);
            let mut lane = 0;
            while let Some(walk) = walks.get_mut(lane) {
                let is_over = self.is_anchor(walk.at);
                self.advance(walk, is_over, &mut pieces);
                if !is_over {
                    lane += 1;
                } else if let Some(anchor) = coming.next() {
                    *walk = Walk::from(anchor);
                    lane += 1;
                } else {
                    walks.swap_remove(lane);
                }
            }
        }
        pieces
    }

    /// Takes every walk one step further.
    fn next_numbers(
        &self,
        walks: &mut [Walk],
        points: &mut [(Slot, Nonce); LANES],
        made: &mut [Hint; LANES],
    ) {
        let (points, made) = (points.split_at_mut(walks.len()).0, made.split_at_mut(walks.len()).0);
        for (walk, place) in walks.iter().zip(points.iter_mut()) {
            // The image is in memory and is not checked, so nothing in it is damaged.
            *place = self.view.point(walk.at).unwrap_or((Slot(0), 0));
            self.hints.prefetch(place.0);
        }
        self.hints.hints(points, made);
        for made in made.iter() {
            self.view.shard(made.head()).into_iter().for_each(|shard| {
                shard.begin(&self.view.bytes, made.head());
            });
        }
        for (walk, made) in walks.iter_mut().zip(made) {
            walk.at = self.view.index(made.head()).unwrap_or(0);
        }
    }

    /// Counts the last step of `walk`, and marks a number if the walk has come far enough. A walk
    /// that `is_over` marks the number that it has reached.
    fn advance(&self, walk: &mut Walk, is_over: bool, pieces: &mut Pieces) {
        walk.steps += 1;
        pieces.steps += 1;
        let may_be_marked = self.may_be_marked(walk.at);
        if may_be_marked {
            self.seen.insert(walk.at >> self.spacing.mark_every_bits);
        }
        if is_over {
            self.mark(pieces, walk.at, walk.last_mark, walk.steps);
            return;
        }
        if may_be_marked {
            walk.candidate = Some((walk.at, walk.steps));
        }
        if walk.steps >= self.spacing.cut_steps
            && let Some((candidate, steps)) = walk.candidate.take()
        {
            self.mark(pieces, candidate, walk.last_mark, steps);
            walk.last_mark = candidate;
            walk.steps -= steps;
        }
    }

    fn mark(&self, pieces: &mut Pieces, mark: u64, before: u64, steps: u32) {
        let place =
            |number: u64| u32::try_from(number >> self.spacing.mark_every_bits).unwrap_or(u32::MAX);
        pieces.marks.push((place(mark), place(before)));
        pieces.longest_steps = pieces.longest_steps.max(steps);
    }

    /// Cuts the cycle of `start`, a cycle without an anchor. `start` may be marked.
    fn cut_cycle(&self, start: u64) -> Pieces {
        let mut pieces = Pieces::default();
        let mut walk = [Walk::from(start)];
        let (mut points, mut made) = ([(Slot(0), 0); LANES], [Hint::ZERO; LANES]);
        loop {
            self.next_numbers(&mut walk, &mut points, &mut made);
            let [only] = &mut walk;
            let is_over = only.at == start || pieces.steps > self.count;
            self.advance(only, is_over, &mut pieces);
            if is_over {
                break;
            }
        }
        if pieces.steps <= u64::from(self.spacing.cut_steps) {
            // Short enough to be walked whole.
            pieces.marks.clear();
        }
        pieces
    }
}

impl Pieces {
    fn and(mut self, other: Self) -> Self {
        self.marks.extend(other.marks);
        self.longest_steps = self.longest_steps.max(other.longest_steps);
        self.steps += other.steps;
        self
    }
}
