//! The plots of the page, as SVG within the page.
//!
//! Text and lines are black and gridlines grey; the style of the page changes black for dark
//! themes. Each point is a circle with its figures as data attributes, and with a title that
//! browsers show under the pointer.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::{Form, Kind, Report, Size, Spread};
use super::labels::{self, Area, Placed};
use super::table::{quantity, time};

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// The size of a drawing in its own units. The page scales it to its width.
const SIZE: (u32, u32) = (560, 410);
const TEXT: (&str, i32) = ("sans-serif", 16);

/// The colour of a kind of forms: readable on white and on black.
pub const fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Live => RGBColor(0xd9, 0x48, 0x2b),
        Kind::Ribbon => RGBColor(0x2f, 0x7e, 0xd8),
        Kind::Dense => RGBColor(0x1f, 0x9d, 0x6b),
        Kind::Sorted => RGBColor(0xa4, 0x6a, 0xe0),
        Kind::Chain => RGBColor(0xc2, 0x3b, 0x8e),
        Kind::Scan => RGBColor(0xb8, 0x86, 0x0b),
    }
}

/// The colour of peers, which are drawn as rings without a line between them.
pub const PEER_COLOUR: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// A point and its name.
struct Mark {
    x: f64,
    y: Spread,
    colour: RGBColor,
    is_peer: bool,
    name: String,
}

/// Plots bits a hint against nanoseconds a lookup: every form, and the bound.
pub fn frontier(report: &Report, ns: fn(&Form) -> Spread) -> Result<String, Box<dyn Error>> {
    let marks: Vec<Mark> =
        report.forms.iter().map(|form| mark_of(form, form.bits_per_hint, ns(form))).collect();
    let bound = bound(report);
    let most_bits = marks.iter().map(|mark| mark.x).fold(8.0, f64::max);
    let times = marks.iter().flat_map(|mark| [mark.y.min, mark.y.max]);
    let times = range(times.chain(bound.iter().map(|(_, ns)| *ns)));
    let drawn = draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(30)
            .margin_top(14)
            .x_label_area_size(46)
            .y_label_area_size(78)
            .build_cartesian_2d(-1.0..most_bits * 1.06, times.log_scale())?;
        let labels = Labels { x: "bits a hint", y: "a lookup, confirmed" };
        mesh(&mut chart, &labels, &|bits| format!("{bits:.0}"), &|ns| time(*ns))?;
        chart.draw_series(LineSeries::new(bound.iter().copied(), BLACK.stroke_width(1)))?;
        for kind in Kind::ALL {
            let of_kind = report.forms.iter().filter(|form| form.kind == kind);
            let line = of_kind.map(|form| (form.bits_per_hint, ns(form).median));
            chart.draw_series(LineSeries::new(line, colour(kind).stroke_width(1)))?;
        }
        chart.draw_series(marks.iter().map(spread_of))?;
        chart.draw_series(marks.iter().map(point_of))?;
        Ok(())
    })?;
    Ok(with_data(&drawn, "bits", &marks))
}

/// Plots bytes a hint against nanoseconds a lookup: the peers, and the forms that store
/// anything. Both axes are logarithmic, because peers take many times the bytes.
pub fn peers(report: &Report) -> Result<String, Box<dyn Error>> {
    let stored = report.forms.iter().filter(|form| form.bytes > 0);
    let of_form = stored.map(|form| mark_of(form, form.bytes_per_hint, form.ns_per_lookup));
    let of_peer = report.peers.iter().map(|peer| Mark {
        x: peer.bytes_per_hint,
        y: peer.ns_per_lookup,
        colour: PEER_COLOUR,
        is_peer: true,
        name: peer.name.clone(),
    });
    let marks: Vec<Mark> = of_form.chain(of_peer).collect();
    let bytes = range(marks.iter().map(|mark| mark.x));
    let times = range(marks.iter().flat_map(|mark| [mark.y.min, mark.y.max]));
    let drawn = draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(30)
            .margin_top(14)
            .x_label_area_size(46)
            .y_label_area_size(78)
            .build_cartesian_2d(bytes.log_scale(), times.log_scale())?;
        let labels = Labels { x: "bytes a hint", y: "a lookup" };
        mesh(&mut chart, &labels, &|bytes| format!("{bytes}"), &|ns| time(*ns))?;
        chart.draw_series(marks.iter().map(spread_of))?;
        chart.draw_series(marks.iter().map(point_of))?;
        let pixel = |mark: &Mark| chart.backend_coord(&(mark.x, mark.y.median));
        let points: Vec<(i32, i32)> = marks.iter().map(pixel).collect();
        let (x, y) = chart.plotting_area().get_pixel_range();
        draw_labels(area, &marks, &points, &Area { x, y })
    })?;
    Ok(with_data(&drawn, "bytes", &marks))
}

/// Writes the name of each peer beside its point.
fn draw_labels(area: &Canvas<'_>, marks: &[Mark], points: &[(i32, i32)], bounds: &Area) -> Drawn {
    let peers = marks.iter().zip(points).filter(|(mark, _)| mark.is_peer);
    let labelled: Vec<((i32, i32), &str)> =
        peers.map(|(mark, point)| (*point, mark.name.as_str())).collect();
    let style = (TEXT.0, labels::TEXT_SIZE).into_font().color(&BLACK);
    for ((point, name), placed) in labelled.iter().zip(labels::place(&labelled, points, bounds)) {
        let Placed { area: Area { x, y }, leader } = placed;
        if let Some(end) = leader {
            area.draw(&PathElement::new(vec![*point, end], PEER_COLOUR.stroke_width(1)))?;
        }
        // Text grows from the side of its point, so an estimate of its width that is too large
        // leaves no gap there.
        let (side, x) =
            if x.start >= point.0 { (HPos::Left, x.start) } else { (HPos::Right, x.end) };
        let style = style.pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new((*name).to_owned(), (x, i32::midpoint(y.start, y.end)), style))?;
    }
    Ok(())
}

fn mark_of(form: &Form, x: f64, y: Spread) -> Mark {
    Mark { x, y, colour: colour(form.kind), is_peer: false, name: form.name.clone() }
}

/// The bound for an index that treats hints as opaque random strings: if a lookup leaves a
/// number of tries, the index stores log2(devices / tries) bits a hint, and the lookup costs
/// at least the tries.
fn bound(report: &Report) -> Vec<(f64, f64)> {
    let devices = f64::from(report.workload.devices.max(1));
    let steps = 4 * u32::BITS;
    let bits = (0..=steps).map(|step| devices.log2() * f64::from(step) / f64::from(steps));
    bits.map(|bits| (bits, devices / bits.exp2() * report.ns_per_try)).collect()
}

/// A curve of the growth plots.
pub struct Curve {
    pub name: &'static str,
    pub colour: RGBColor,
    pub value: fn(&Size) -> Spread,
}

/// Curves of one quantity against the number of devices.
pub struct Growth {
    pub what: &'static str,
    /// Whether the values are times, drawn on a logarithmic axis, rather than bytes.
    pub are_times: bool,
    pub curves: Vec<Curve>,
}

/// Plots the curves of `growth` over the sizes of `report`.
pub fn growth(report: &Report, growth: &Growth) -> Result<String, Box<dyn Error>> {
    let marks: Vec<Mark> = growth.curves.iter().flat_map(|curve| marks_of(report, curve)).collect();
    let devices = range(report.growth.iter().map(|size| f64::from(size.devices)));
    let labels = Labels { x: "devices", y: growth.what };
    let ranged = range(marks.iter().flat_map(|mark| [mark.y.min, mark.y.max]));
    let most = marks.iter().map(|mark| mark.y.max).fold(0.0, f64::max);
    let drawn = draw(|area| {
        let mut builder = ChartBuilder::on(area);
        let builder = builder
            .margin(8)
            .margin_right(30)
            .margin_top(14)
            .x_label_area_size(46)
            .y_label_area_size(78);
        let x = devices.clone().log_scale();
        if growth.are_times {
            let mut chart = builder.build_cartesian_2d(x, ranged.clone().log_scale())?;
            mesh(&mut chart, &labels, &|devices| quantity(*devices), &|ns| time(*ns))?;
            return curves(&mut chart, report, growth, &marks);
        }
        let mut chart = builder.build_cartesian_2d(x, 0.0..most * 1.2)?;
        mesh(&mut chart, &labels, &|devices| quantity(*devices), &|bytes| format!("{bytes:.1}"))?;
        curves(&mut chart, report, growth, &marks)
    })?;
    Ok(with_data(&drawn, "devices", &marks))
}

fn marks_of<'a>(report: &'a Report, curve: &'a Curve) -> impl Iterator<Item = Mark> + 'a {
    report.growth.iter().map(move |size| Mark {
        x: f64::from(size.devices),
        y: (curve.value)(size),
        colour: curve.colour,
        is_peer: false,
        name: format!("{}, {} devices", curve.name, quantity(size.devices.into())),
    })
}

/// Chart coordinates over two axes of numbers.
type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

fn curves<X, Y>(
    chart: &mut Chart<'_, '_, X, Y>,
    report: &Report,
    growth: &Growth,
    marks: &[Mark],
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for curve in &growth.curves {
        let line = marks_of(report, curve).map(|mark| (mark.x, mark.y.median));
        chart.draw_series(LineSeries::new(line, curve.colour.stroke_width(2)))?;
    }
    chart.draw_series(marks.iter().map(spread_of))?;
    chart.draw_series(marks.iter().map(point_of))?;
    Ok(())
}

/// The labels of the axes.
struct Labels<'a> {
    x: &'a str,
    y: &'a str,
}

fn mesh<X, Y>(
    chart: &mut Chart<'_, '_, X, Y>,
    labels: &Labels<'_>,
    x_label: &dyn Fn(&f64) -> String,
    y_label: &dyn Fn(&f64) -> String,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(labels.x)
        .y_desc(labels.y)
        .x_labels(7)
        .y_labels(8)
        .max_light_lines(0)
        .bold_line_style(PEER_COLOUR.mix(0.25))
        .axis_style(BLACK)
        .label_style(TEXT)
        .axis_desc_style(TEXT)
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .draw()?;
    Ok(())
}

/// The line from the minimum to the maximum of a mark's runs.
fn spread_of(mark: &Mark) -> PathElement<(f64, f64)> {
    let ends = vec![(mark.x, mark.y.min), (mark.x, mark.y.max)];
    PathElement::new(ends, mark.colour.stroke_width(1))
}

fn point_of(mark: &Mark) -> Circle<(f64, f64), i32> {
    let style = if mark.is_peer { mark.colour.stroke_width(2) } else { mark.colour.filled() };
    Circle::new((mark.x, mark.y.median), 4, style)
}

/// Runs `on` on an empty drawing and returns the drawing as SVG. The fixed size is removed,
/// so that the page can scale it.
fn draw(on: impl FnOnce(&Canvas<'_>) -> Drawn) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        on(&area)?;
        area.present()?;
    }
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    Ok(text.replacen(&size, "role=\"img\" ", 1))
}

/// Adds the figures of `marks` to the circles, which are in the same order.
fn with_data(svg: &str, x_name: &str, marks: &[Mark]) -> String {
    let mut parts = svg.split("<circle ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (part, mark) in parts.zip(marks) {
        let (circle, rest) = part.split_once("/>").unwrap_or((part, ""));
        let (name, x, ns) = (escape(&mark.name), mark.x, mark.y.median);
        let figures = format!("data-name=\"{name}\" data-{x_name}=\"{x:.4}\" data-y=\"{ns:.4}\"");
        let title = format!("{name}: {x:.4} {x_name}, {ns:.4}");
        text += &format!("<circle {figures} {circle}><title>{title}</title></circle>{rest}");
    }
    text
}

/// A text with the characters of markup escaped.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The range of an axis for `values`, with room around them. If the values are close, it ends
/// at powers of ten, because the axis is labelled there.
fn range(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for value in values.into_iter().filter(|value| *value > 0.0) {
        (least, most) = (least.min(value), most.max(value));
    }
    let (below, above) = (least / 1.6, most * 1.6);
    if least > most {
        1.0..10.0
    } else if above < 30.0 * below {
        10_f64.powf(below.log10().floor())..10_f64.powf(above.log10().ceil())
    } else {
        below..above
    }
}
