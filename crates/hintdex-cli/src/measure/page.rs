//! The page: one file without further files, network or scripts.

use std::error::Error;

use plotters::style::RGBColor;

use super::figures::{Form, Kind, Report, Spread};
use super::plots::{self, Curve, Growth, PEER_COLOUR, escape};
use super::table::{self, Table, quantity, time};

/// The chain among the main figures.
const TILE_EVALUATIONS: u32 = 16;

const STYLE: &str = include_str!("page.css");

/// The page of a report.
///
/// # Errors
/// The error of a plot that cannot be drawn.
pub fn html(report: &Report) -> Result<String, String> {
    body(report).map_err(|error| format!("the page cannot be drawn: {error}")).map(|body| {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <title>hintdex, measured: {} devices</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n{body}</body>\n</html>\n",
            quantity(report.workload.devices.into()),
        )
    })
}

fn body(report: &Report) -> Result<String, Box<dyn Error>> {
    let mut text = format!(
        "<h1>hintdex, measured</h1>\n<p class=\"lead\">{}.</p>\n",
        escape(&table::workload(report))
    );
    if !report.forms.is_empty() {
        text += &tiles(report);
        text += &frontier(report)?;
    }
    if !report.growth.is_empty() {
        text += &growth(report)?;
    }
    if !report.forms.is_empty() {
        text += "<h2>Every form</h2>\n";
        text += &rows("forms", &table::forms(report));
        text += "<h2>Memory</h2>\n<p>By the system's accounting \
                 (<code>/proc/self/status</code>, <code>smaps</code>) of a process that holds \
                 the keys, 16 bytes a device, and this form only. The block cache is the \
                 store's own count, and is a part of the anonymous memory.</p>\n";
        text += &rows("memory", &table::memory(report));
    }
    text += &how(report);
    Ok(text)
}

/// The main figures.
fn tiles(report: &Report) -> String {
    let tile = |what: &str, size: String, cost: String| {
        let (what, size, cost) = (escape(what), escape(&size), escape(&cost));
        format!("<div class=\"tile\"><span>{what}</span><b>{size}</b><span>{cost}</span></div>\n")
    };
    let of_form = |form: &Form| {
        let size = format!("{:.3} B a hint", form.bytes_per_hint);
        tile(&form.name, size, format!("{} a lookup", time(form.ns_per_lookup.median)))
    };
    let best = |kind: Kind, tries: u32| {
        let of_kind = report.forms.iter().filter(move |form| form.kind == kind);
        of_kind.min_by_key(move |form| form.tries.abs_diff(tries))
    };
    let chain = report.forms.iter().find(|form| form.evaluations == TILE_EVALUATIONS);
    let shown = [best(Kind::Live, 1), best(Kind::Ribbon, 1), best(Kind::Ribbon, 32), chain];
    let mut text: String = shown.into_iter().flatten().map(of_form).collect();
    if let Some(station) = &report.station {
        let rate = 1e9 / station.decode_wall_ns_per_packet.median.max(1.0);
        let size = format!("{} packets a second", quantity(rate));
        let cost = format!("{} resident", mebibytes(station.memory.resident_bytes));
        text += &tile("a whole station", size, cost);
    }
    format!("<div class=\"tiles\">\n{text}</div>\n")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

fn frontier(report: &Report) -> Result<String, Box<dyn Error>> {
    let legend = Kind::ALL.map(|kind| (kind.name(), plots::colour(kind)));
    let mut text = String::from("<h2>Space against time</h2>\n");
    let caption = format!(
        "One hint at a time, warm, on one thread: from a hint to a device that its key \
         confirmed. Each point is a form, with a line from the minimum to the maximum of its \
         runs. The black or white line is a bound: if a lookup leaves <i>c</i> tries, the index \
         holds at least log<sub>2</sub>(devices / <i>c</i>) bits a hint, and one try in a search \
         of all keys costs {}. The bound holds for indexes that treat hints as opaque random \
         strings, so no other form lies left of the line. A chain computes hints by their keys: \
         its points lie left of the line and below it.",
        escape(&time(report.ns_per_try))
    );
    let single = plots::frontier(report, |form| form.ns_per_lookup)?;
    text += &figure("frontier", &single, &legend, &caption);
    let caption = "The same in batches of 256 (without an index, of 32), so that waits for memory \
                   overlap. A search of every key tries each key against the whole batch, so it \
                   falls below the line, which is drawn for one hint at a time.";
    let batch = plots::frontier(report, |form| form.batch_ns_per_lookup)?;
    text += &figure("frontier-batch", &batch, &legend, caption);
    if !report.peers.is_empty() {
        let legend: Vec<_> = legend.into_iter().chain([("peers", PEER_COLOUR)]).collect();
        let caption = "Every form that stores anything, beside the peers of <code>--peers</code>, \
                       which were measured elsewhere. Both axes are logarithmic.";
        text += &figure("peers", &plots::peers(report)?, &legend, caption);
    }
    Ok(text)
}

fn growth(report: &Report) -> Result<String, Box<dyn Error>> {
    let (live, ribbon) = (plots::colour(Kind::Live), plots::colour(Kind::Ribbon));
    let curve = |name, colour, value| Curve { name, colour, value };
    let plots: [(&str, Growth, &str); 3] = [
        (
            "growth-bytes",
            Growth {
                what: "bytes a hint",
                are_times: false,
                curves: vec![
                    curve("live index", live, |size| just(size.live.bytes_per_hint)),
                    curve("ribbon, 32 tries", ribbon, |size| just(size.ribbon.bytes_per_hint)),
                ],
            },
            "Bytes a hint. A ribbon of 32 tries stores the number of a group of 32 devices, so a \
              hint takes one bit more, an eighth of a byte, whenever the fleet doubles. The live \
              index grows the same way with its slot numbers. In small files, headers take a \
              visible share.",
        ),
        (
            "growth-lookup",
            Growth {
                what: "a lookup",
                are_times: true,
                curves: vec![
                    curve("live index", live, |size| size.live.ns_per_lookup),
                    curve("ribbon, 32 tries", ribbon, |size| size.ribbon.ns_per_lookup),
                ],
            },
            "A lookup, one at a time. It gets slower where keys (16 bytes a device) and rows \
              exceed the processor's caches, and again where an index exceeds \
              <code>--memory</code> or a file exceeds the page cache.",
        ),
        (
            "growth-build",
            Growth {
                what: "building a hint",
                are_times: true,
                curves: vec![
                    curve("provisioning", live, |size| just(size.live.build_cpu_ns_per_hint)),
                    curve("roll", plots::colour(Kind::Scan), |size| {
                        just(size.roll_cpu_ns_per_hint)
                    }),
                    curve("rebuild, ribbon", ribbon, |size| {
                        just(size.ribbon.build_cpu_ns_per_hint)
                    }),
                ],
            },
            "Processor time of building, a hint. It rises where the hints exceed \
              <code>--memory</code>: each further pass derives every key and computes every hint \
              again.",
        ),
    ];
    let mut text = String::from("<h2>Growth</h2>\n");
    for (id, growth, caption) in &plots {
        let legend: Vec<_> = growth.curves.iter().map(|curve| (curve.name, curve.colour)).collect();
        text += &figure(id, &plots::growth(report, growth)?, &legend, caption);
    }
    text += &rows("growth", &table::growth(report));
    Ok(text)
}

/// A figure that was measured once.
const fn just(value: f64) -> Spread {
    Spread { min: value, median: value, max: value }
}

fn figure(id: &str, svg: &str, legend: &[(&str, RGBColor)], caption: &str) -> String {
    let entry = |(name, RGBColor(red, green, blue)): &(&str, RGBColor)| {
        format!("<li><i style=\"background:#{red:02x}{green:02x}{blue:02x}\"></i>{name}</li>")
    };
    let legend: String = legend.iter().map(entry).collect();
    format!(
        "<figure id=\"{id}\">\n<ul class=\"legend\">{legend}</ul>\n{svg}\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

fn rows(id: &str, table: &Table) -> String {
    let cells = |tag: &str, row: &mut dyn Iterator<Item = &str>| -> String {
        row.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let head = cells("th", &mut table.heads.iter().copied());
    let body = table
        .rows
        .iter()
        .map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str))));
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table id=\"table-{id}\">\n<tr>{head}</tr>\n{}</table></div>\n",
        body.collect::<String>()
    )
}

/// The machine, the method, and the command to repeat the measurement.
fn how(report: &Report) -> String {
    let seconds = report.taken_unix_s;
    format!(
        "<h2>How</h2>\n<p>{}. {}, taken {} s after 1970 by</p>\n<pre>{}</pre>\n\
         <p>Times are processor time unless marked <i>cold</i> or <i>wall time</i>: the \
         median of {} fresh processes, and in parentheses the minimum and the maximum. Warm: \
         131,072 random live hints, looked up repeatedly. Cold: the first 64 lookups after \
         the files were evicted from the page cache by {}. The file <code>results.json</code> \
         beside this page holds every figure.</p>\n",
        escape(&report.machine.line()),
        escape(&report.program),
        seconds,
        escape(&report.command),
        report.workload.runs,
        escape(&report.workload.cold_by),
    )
}
