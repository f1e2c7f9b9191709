//! The tables, as Markdown for the terminal and as rows of the page.

use std::fmt::Write;

use super::figures::{Form, Report, Size, Spread};

const MIB: f64 = (1 << 20) as f64;

/// A table: its heads, and the rows below them. The first column is text.
pub struct Table {
    pub heads: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
}

/// The bytes and times of every form.
pub fn forms(report: &Report) -> Table {
    let heads = &[
        "form",
        "bytes a hint",
        "bits",
        "bound",
        "a lookup",
        "in batches",
        "opened cold",
        "first lookup cold",
        "building, ns a hint",
    ];
    let row = |form: &Form| {
        let dash = || "–".to_owned();
        let cold = form.cold.as_ref();
        vec![
            form.name.clone(),
            format!("{:.4}", form.bytes_per_hint),
            format!("{:.3}", form.bits_per_hint),
            format!("{:.3}", form.bound_bits_per_hint),
            spread(form.ns_per_lookup),
            time(form.batch_ns_per_lookup.median),
            cold.map_or_else(dash, |cold| time(cold.open_ms.median * 1e6)),
            cold.map_or_else(dash, |cold| time(cold.first_lookup_us.median * 1e3)),
            form.build.map_or_else(dash, |build| format!("{:.0}", build.cpu_ns_per_hint)),
        ]
    };
    Table { heads, rows: report.forms.iter().map(row).collect() }
}

/// The memory of each form, by the system's accounting.
pub fn memory(report: &Report) -> Table {
    let heads = &[
        "process",
        "resident",
        "peak",
        "anonymous",
        "of files",
        "mapped",
        "of it resident",
        "block cache",
    ];
    let row = |name: &str, memory: &super::memory::Memory| {
        let sizes = [
            memory.resident_bytes,
            memory.peak_resident_bytes,
            memory.anonymous_bytes,
            memory.file_bytes,
            memory.mapped_bytes,
            memory.mapped_resident_bytes,
            memory.block_cache_bytes,
        ];
        std::iter::once(name.to_owned()).chain(sizes.map(mebibytes)).collect()
    };
    let forms = report.forms.iter().map(|form| row(&form.name, &form.memory));
    let station = report.station.iter().map(|station| row("a whole station", &station.memory));
    Table { heads, rows: forms.chain(station).collect() }
}

/// The figures at several sizes.
pub fn growth(report: &Report) -> Table {
    let heads = &[
        "devices",
        "hints",
        "live, bytes a hint",
        "live, a lookup",
        "ribbon, bytes a hint",
        "ribbon, a lookup",
        "provisioning, ns a hint",
        "roll, ns a hint",
        "rebuild, ns a hint",
        "provisioning, peak",
    ];
    let row = |size: &Size| {
        vec![
            quantity(size.devices.into()),
            quantity(size.hints as f64),
            format!("{:.4}", size.live.bytes_per_hint),
            spread(size.live.ns_per_lookup),
            format!("{:.4}", size.ribbon.bytes_per_hint),
            spread(size.ribbon.ns_per_lookup),
            format!("{:.0}", size.live.build_cpu_ns_per_hint),
            format!("{:.0}", size.roll_cpu_ns_per_hint),
            format!("{:.0}", size.ribbon.build_cpu_ns_per_hint),
            mebibytes(size.live.build_peak_resident_bytes),
        ]
    };
    Table { heads, rows: report.growth.iter().map(row).collect() }
}

/// All tables as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("{}\n\n", workload(report));
    for table in [forms(report), growth(report)] {
        if table.rows.is_empty() {
            continue;
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        text += &line(&mut table.heads.iter().copied());
        let rules = table.heads.iter().enumerate();
        text += &line(&mut rules.map(|(at, _)| if at == 0 { "---" } else { "---:" }));
        for row in &table.rows {
            text += &line(&mut row.iter().map(String::as_str));
        }
        text.push('\n');
    }
    if let Some(station) = &report.station {
        let _ = writeln!(
            text,
            "A packet: {} on one thread, {} of wall time on {} threads; a whole station: {} resident.",
            spread(station.decode_cpu_ns_per_packet),
            time(station.decode_wall_ns_per_packet.median),
            station.decode_threads,
            mebibytes(station.memory.resident_bytes),
        );
    }
    let _ = writeln!(text, "{}", report.machine.line());
    text
}

/// The fleet and the settings, in one line.
pub fn workload(report: &Report) -> String {
    let work = &report.workload;
    format!(
        "{} devices × {} hints ({}), {} of memory, {} threads; each figure in {} fresh processes",
        quantity(work.devices.into()),
        work.lookahead,
        work.hint_scheme,
        mebibytes(work.memory_bytes),
        work.threads,
        work.runs,
    )
}

/// The median, with minimum and maximum in parentheses.
pub fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", time(spread.median), time(spread.min), time(spread.max))
}

/// Nanoseconds, in a fitting unit.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        _ if ns < 999.5 => (ns, "ns"),
        _ if ns < 999.5e3 => (ns / 1e3, "µs"),
        _ if ns < 999.5e6 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A count, like 20 k or 1.5 M.
pub fn quantity(value: f64) -> String {
    let (value, unit) = match value {
        _ if value < 999.5 => (value, ""),
        _ if value < 999.5e3 => (value / 1e3, " k"),
        _ if value < 999.5e6 => (value / 1e6, " M"),
        _ => (value / 1e9, " G"),
    };
    format!("{}{unit}", three_digits(value))
}

/// At least three digits, without zeros at the end of the fraction.
fn three_digits(value: f64) -> String {
    let digits = match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => return format!("{value:.0}"),
    };
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn mebibytes(bytes: u64) -> String {
    match bytes {
        0 => "–".to_owned(),
        _ => format!("{:.1} MiB", bytes as f64 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::{quantity, time};

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(time(2.5), "2.5 ns");
        assert_eq!(time(999.7), "1 µs");
        assert_eq!(time(1_234_567.0), "1.23 ms");
        assert_eq!(time(4e10), "40 s");
        assert_eq!(quantity(16e6), "16 M");
        assert_eq!(quantity(20_000.0), "20 k");
        assert_eq!(quantity(100.0), "100");
    }
}
