//! The page: one document that loads nothing from elsewhere, complete without its script.

use std::fmt::Write as _;

use super::history::SAMPLE_S;
use super::status::{StationStatus, Status};

const HEAD: &str = include_str!("page_head.html");
const SCRIPT: &str = include_str!("page_script.js");

/// What the browser may load for the page: nothing but the page itself, whose style and script have
/// these digests.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page with the present state. `nonce` is that of the policy.
pub fn page(status: &Status, nonce: &str) -> String {
    let mut html = HEAD.replace("{nonce}", nonce);
    html.push_str("<main id=\"main\">");
    html.push_str(&body(status));
    html.push_str("</main>");
    // Writing to a string never fails.
    let _ = write!(html, "<script nonce=\"{nonce}\">{SCRIPT}</script></body></html>");
    html
}

/// What changes: the script replaces this part.
pub fn body(status: &Status) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<p class=\"when\">{} · version {} · {} of memory</p>",
        escape(&status.time),
        escape(status.version),
        bytes(status.resident_bytes)
    );
    for station in &status.stations {
        station_html(station, &mut html);
    }
    html
}

fn station_html(station: &StationStatus, html: &mut String) {
    let _ = write!(
        html,
        "<section><h2>{}</h2><p class=\"fleets\">{}</p><dl class=\"tiles\">",
        escape(&station.name),
        escape(&station.fleets.join(", "))
    );
    let waiting = station.outbox.iter().map(|output| output.waiting).max().unwrap_or(0);
    let is_late = waiting > 1_000;
    let tiles = [
        ("accepted", number(station.accepted), false),
        ("receptions", number(station.received), false),
        ("devices heard, last hour", number(station.devices_last_hour as u64), false),
        ("last day", number(station.devices_last_day as u64), false),
        ("silent for long", number(station.devices_silent as u64), station.devices_silent > 0),
        ("clocks jumped", number(station.moved), station.moved > 0),
        ("noisy gateways", number(station.noisy_gateways as u64), station.noisy_gateways > 0),
        ("payloads in the outbox", number(waiting), is_late),
        ("wait for a scan", number(station.waiting_for_scan), false),
        ("bytes a hint", format!("{:.2}", station.index.bytes_per_hint), false),
    ];
    for (name, value, is_warning) in tiles {
        let class = if is_warning { " class=\"warning\"" } else { "" };
        let _ = write!(html, "<div{class}><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>");
    chart(station, html);
    tables(station, html);
    html.push_str("</section>");
}

/// The rates of the last hour: accepted packets, and others on top.
fn chart(station: &StationStatus, html: &mut String) {
    let rate = |packets: u64| packets as f64 / SAMPLE_S as f64;
    let most = station.samples.iter().map(|[_, accepted, rejected]| rate(accepted + rejected));
    let most = most.fold(1.0, f64::max);
    let _ = write!(
        html,
        "<figure><figcaption>Packets a second, last hour; at most {most:.1}. \
         <span class=\"accepted\">accepted</span> <span class=\"rejected\">others</span></figcaption>\
         <svg viewBox=\"0 0 240 60\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"rates of the last hour\">"
    );
    let first = 240_usize.saturating_sub(station.samples.len());
    for (place, [_, accepted, rejected]) in station.samples.iter().enumerate() {
        let (x, scale) = (first + place, 58.0 / most);
        let (low, high) = (rate(*accepted) * scale, rate(*rejected) * scale);
        let _ = write!(
            html,
            "<rect class=\"accepted\" x=\"{x}\" y=\"{:.2}\" width=\"1\" height=\"{low:.2}\"/>\
             <rect class=\"rejected\" x=\"{x}\" y=\"{:.2}\" width=\"1\" height=\"{high:.2}\"/>",
            60.0 - low,
            60.0 - low - high
        );
    }
    html.push_str("</svg></figure>");
}

fn tables(station: &StationStatus, html: &mut String) {
    let verdicts = station.verdicts.iter().map(|count| {
        vec![count.verdict.to_owned(), count.reason.to_owned(), number(count.packets)]
    });
    table("Verdicts", &["verdict", "reason", "packets"], verdicts, html);
    let gateways = station.gateways.iter().map(|gateway| {
        let share = format!("{:.0} %", 100.0 * gateway.noise_share);
        let mark = if gateway.is_noisy { "noisy" } else { "" };
        vec![gateway.name.clone(), number(gateway.packets), share, mark.to_owned()]
    });
    table("Gateways", &["gateway", "packets", "of no device", ""], gateways, html);
    let device = |device: &super::status::DeviceTime| {
        vec![device.fleet.clone(), device.device.to_string(), device.time.clone()]
    };
    let columns = ["fleet", "device", "last heard"];
    table("Silent devices", &columns, station.silent.iter().map(device), html);
    table("Clocks that jumped", &["fleet", "device", "at"], station.moves.iter().map(device), html);
    let outbox =
        station.outbox.iter().map(|output| vec![output.output.clone(), number(output.waiting)]);
    table("Outputs", &["output", "payloads that wait"], outbox, html);
    let index = &station.index;
    let rows = [
        ("devices", number(index.devices)),
        ("hints", number(index.hints)),
        ("on disk", bytes(index.disk_bytes)),
        ("in memory", bytes(index.memory_bytes)),
        ("windows", number(index.windows)),
        ("rolls", number(index.rolls)),
        ("candidates a packet", format!("{:.3}", station.candidates_per_packet)),
        ("tags a packet", format!("{:.3}", station.tags_per_packet)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    table("Index", &["", ""], rows, html);
}

fn table(
    title: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    html: &mut String,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(html, "<h3>{title}</h3><div class=\"wide\"><table>");
    if columns.iter().any(|column| !column.is_empty()) {
        html.push_str("<thead><tr>");
        for column in columns {
            let _ = write!(html, "<th>{column}</th>");
        }
        html.push_str("</tr></thead>");
    }
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escape(&cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
}

/// A text without the characters that HTML reads: the names of gateways come from the network.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number with a thin space between thousands.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn bytes(value: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut size, mut unit) = (value as f64, units.first());
    for next in &units {
        unit = Some(next);
        if size < 1_000.0 {
            break;
        }
        size /= 1_000.0;
    }
    format!("{size:.3} {}", unit.unwrap_or(&"")).replace(".000 bytes", " bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_network_are_no_html() {
        assert_eq!(escape("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(bytes(12), "12 bytes");
        assert_eq!(bytes(1_500_000), "1.500 MB");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let status =
            Status { version: "1", time: "now".into(), resident_bytes: 0, stations: vec![] };
        let html = page(&status, "abc");
        for part in ["src=", "href=", "http:", "https:", "url(", "@import"] {
            assert!(!html.contains(part), "{part}");
        }
        assert_eq!(html.matches("nonce=\"abc\"").count(), 2);
    }
}
