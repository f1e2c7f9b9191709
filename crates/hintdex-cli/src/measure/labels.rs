//! Placing the labels of points, so that no label covers a point or another label.
//!
//! Each label takes the free place nearest to its point: first beside the point, then on
//! growing rings around it. A label on a ring needs a leader line to its point. All lengths
//! are in the units of the drawing.

use std::f64::consts::TAU;
use std::ops::Range;

/// The height of a label, for a text of [`TEXT_SIZE`].
const HEIGHT: i32 = 18;
/// The size of a label's text: the least that can be read on a page as narrow as a phone.
pub const TEXT_SIZE: i32 = 16;
/// The width that is reserved for a character: 0.6 of the text size, more than the average
/// in common sans-serif fonts.
const CHAR_WIDTH: f64 = 9.6;
/// The distance between a point and the label beside it.
const GAP: i32 = 7;
/// The half of the square around a point that labels keep free.
const POINT_RADIUS: i32 = 5;
/// The distance between two rings, the number of rings, and the places on each ring.
const RING_STEP: f64 = 9.0;
const RINGS: u32 = 16;
const PLACES_PER_RING: u32 = 16;

/// A rectangle: its left and right edge, and its upper and lower edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: Range<i32>,
    pub y: Range<i32>,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        let overlap = |a: &Range<i32>, b: &Range<i32>| a.start < b.end && b.start < a.end;
        overlap(&self.x, &other.x) && overlap(&self.y, &other.y)
    }

    fn contains(&self, inner: &Self) -> bool {
        let holds = |outer: &Range<i32>, inner: &Range<i32>| {
            outer.start <= inner.start && inner.end <= outer.end
        };
        holds(&self.x, &inner.x) && holds(&self.y, &inner.y)
    }

    /// The square around a point that labels keep free.
    const fn around((x, y): (i32, i32)) -> Self {
        let (x, y) = (x - POINT_RADIUS..x + POINT_RADIUS, y - POINT_RADIUS..y + POINT_RADIUS);
        Self { x, y }
    }

    /// Whether the line between two points runs through the rectangle.
    fn is_crossed(&self, (from, to): ((i32, i32), (i32, i32))) -> bool {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
        (0..=steps).any(|step| {
            let x = from.0 + (to.0 - from.0) * step / steps;
            let y = from.1 + (to.1 - from.1) * step / steps;
            self.x.contains(&x) && self.y.contains(&y)
        })
    }

    /// The point of the rectangle that is nearest to `(x, y)`.
    fn nearest(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (x.clamp(self.x.start, self.x.end), y.clamp(self.y.start, self.y.end))
    }
}

/// A label that was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The rectangle of the text.
    pub area: Area,
    /// The end of the leader line to the point; `None` if the label is beside its point.
    pub leader: Option<(i32, i32)>,
}

/// Places the labels of the points in `labelled` within `bounds`. `points` are all points of
/// the drawing, including these.
///
/// A label without a free place is put where it covers the fewest points and labels, and then
/// where leader lines cross the fewest labels.
pub fn place(labelled: &[((i32, i32), &str)], points: &[(i32, i32)], bounds: &Area) -> Vec<Placed> {
    let squares: Vec<Area> = points.iter().map(|point| Area::around(*point)).collect();
    let mut placed: Vec<Placed> = Vec::with_capacity(labelled.len());
    for (point, text) in labelled {
        let cost = |area: &Area| {
            let labels = placed.iter().map(|label| &label.area);
            let covered = squares.iter().chain(labels).filter(|other| other.overlaps(area)).count();
            let leader = leader(area, *point).map(|end| (*point, end));
            let is_crossing = |((other, _), label): &(&((i32, i32), &str), &Placed)| {
                leader.is_some_and(|leader| label.area.is_crossed(leader))
                    || label.leader.is_some_and(|end| area.is_crossed((*other, end)))
            };
            (covered, labelled.iter().zip(&placed).filter(is_crossing).count())
        };
        let inside = candidates(*point, text).filter(|area| bounds.contains(area));
        // The first of equal candidates is the nearest. Without a candidate, the text is wider
        // than the drawing.
        let area = inside.min_by_key(cost).unwrap_or_else(|| beside(*point, text).0);
        let leader = leader(&area, *point);
        placed.push(Placed { area, leader });
    }
    placed
}

/// The end of the leader line between a point and its label, if the label is not beside it.
fn leader(area: &Area, point: (i32, i32)) -> Option<(i32, i32)> {
    let end = area.nearest(point);
    let distance = (end.0 - point.0).abs().max((end.1 - point.1).abs());
    (distance > GAP).then_some(end)
}

/// The places of a label to try, the nearest first.
fn candidates(point: (i32, i32), text: &str) -> impl Iterator<Item = Area> {
    let (right, left) = beside(point, text);
    let (width, (x, y)) = (width(text), (f64::from(point.0), f64::from(point.1)));
    let around = (1..=RINGS).flat_map(move |ring| {
        (0..PLACES_PER_RING).map(move |place| {
            let angle = TAU * f64::from(place) / f64::from(PLACES_PER_RING);
            let radius = f64::from(GAP) + RING_STEP * f64::from(ring);
            let (towards_x, towards_y) = (angle.cos(), angle.sin());
            // The label touches the ring from outside.
            let left = x + radius * towards_x - f64::from(width) * (1.0 - towards_x) / 2.0;
            let top = y + radius * towards_y - f64::from(HEIGHT) * (1.0 - towards_y) / 2.0;
            area_at(rounded(left), rounded(top), width)
        })
    });
    [right, left].into_iter().chain(around)
}

/// The places to the right and to the left of a point.
fn beside((x, y): (i32, i32), text: &str) -> (Area, Area) {
    let (width, top) = (width(text), y - HEIGHT / 2);
    (area_at(x + GAP, top, width), area_at(x - GAP - width, top, width))
}

const fn area_at(left: i32, top: i32, width: i32) -> Area {
    Area { x: left..left + width, y: top..top + HEIGHT }
}

fn width(text: &str) -> i32 {
    rounded((text.chars().count() as f64 * CHAR_WIDTH).ceil())
}

/// A length of a drawing as an integer. Drawings are a few hundred units wide.
#[expect(clippy::cast_possible_truncation, reason = "the value is clamped to the range")]
fn rounded(length: f64) -> i32 {
    length.round().clamp(f64::from(i32::MIN / 4), f64::from(i32::MAX / 4)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Area = Area { x: 80..530, y: 14..356 };

    /// Places labels and checks that none leaves the drawing or covers anything.
    fn check(labelled: &[((i32, i32), &str)], others: &[(i32, i32)]) -> Vec<Placed> {
        let own = labelled.iter().map(|(point, _)| *point);
        let points: Vec<(i32, i32)> = own.chain(others.iter().copied()).collect();
        let placed = place(labelled, &points, &BOUNDS);
        for (at, label) in placed.iter().enumerate() {
            assert!(BOUNDS.contains(&label.area), "{label:?}");
            let is_covered = |point: &&(i32, i32)| Area::around(**point).overlaps(&label.area);
            assert_eq!(points.iter().find(is_covered), None, "{label:?}");
            let others = placed.iter().skip(at + 1);
            assert_eq!(others.clone().find(|other| other.area.overlaps(&label.area)), None);
        }
        placed
    }

    #[test]
    fn a_label_with_room_is_beside_its_point_without_a_leader() {
        let placed = check(&[((200, 100), "lmdb"), ((525, 300), "redb")], &[]);
        assert!(placed.iter().all(|label| label.leader.is_none()), "{placed:?}");
        assert!(placed.first().is_some_and(|label| label.area.x.start == 207), "{placed:?}");
        assert!(placed.last().is_some_and(|label| label.area.x.end == 518), "{placed:?}");
    }

    #[test]
    fn labels_of_a_crowd_cover_no_point_and_no_label() {
        let names = ["vfunc", "ptrhash-compact", "ptrhash-fast", "fst", "sorted-vec", "lmdb"];
        let names: Vec<&str> = names.iter().cycle().take(13).copied().collect();
        let crowd =
            (0..).zip(&names).map(|(at, name)| ((250 + at % 4 * 6, 180 + at / 4 * 6), *name));
        let others: Vec<(i32, i32)> = (0..30).map(|at| (120 + at * 6, 320 - at * 7)).collect();
        let placed = check(&crowd.collect::<Vec<_>>(), &others);
        assert!(placed.iter().any(|label| label.leader.is_some()));
    }

    /// The peers of the stored comparison: no leader line crosses a label, either.
    #[test]
    fn leaders_of_a_moderate_crowd_cross_no_label() {
        let labelled = [
            ((275, 287), "vfunc"),
            ((275, 283), "ptrhash-compact"),
            ((277, 281), "ptrhash-fast"),
            ((413, 253), "fst"),
            ((417, 340), "hashbrown"),
            ((386, 251), "sorted-vec"),
            ((503, 244), "python-dict"),
            ((408, 254), "lmdb"),
            ((387, 242), "redb"),
            ((391, 220), "fjall"),
            ((406, 235), "sqlite"),
            ((395, 225), "rocksdb"),
            ((480, 166), "redis"),
            ((471, 128), "postgresql"),
        ];
        let placed = check(&labelled, &[]);
        for ((point, name), label) in labelled.iter().zip(&placed) {
            let Some(end) = label.leader else { continue };
            let is_crossed =
                |other: &&Placed| *other != label && other.area.is_crossed((*point, end));
            assert_eq!(placed.iter().find(is_crossed), None, "by the leader of {name}");
        }
    }

    #[test]
    fn a_text_wider_than_the_drawing_is_placed_all_the_same() {
        let text = "x".repeat(100);
        assert_eq!(place(&[((200, 100), &text)], &[(200, 100)], &BOUNDS).len(), 1);
    }
}
