//! Settings of devices as text: on the command line, in lists and in exports.

use hintdex::{DeviceSettings, MAX_LATE_NONCES, MaxGap, Rate};
use serde_json::{Map, Value};

use crate::unix_time::parse_duration;

/// Reads the length of a late window, in nonces.
pub fn parse_late(text: &str) -> Result<u32, String> {
    let nonces = text.parse().ok().filter(|nonces| (64..=MAX_LATE_NONCES).contains(nonces));
    nonces.ok_or_else(|| format!("a late window has 64 to {MAX_LATE_NONCES} nonces"))
}

/// Reads a largest gap: `none`, `A` or `A:B`.
pub fn parse_max_gap(text: &str) -> Result<MaxGap, String> {
    let bad = || "a gap is none, A or A:B, like 100:10000; B is not less than A".to_owned();
    if text == "none" {
        return Ok(MaxGap::Unlimited);
    }
    let (accepted, confirmed) = text.split_once(':').unwrap_or((text, text));
    let accepted = accepted.parse().map_err(|_| bad())?;
    let confirmed = match confirmed {
        "none" => u32::MAX,
        number => number.parse().map_err(|_| bad())?,
    };
    if confirmed < accepted { Err(bad()) } else { Ok(MaxGap::Nonces { accepted, confirmed }) }
}

/// Reads a rate: `none`, packets a second like `0.25`, or packets in a time like `4/1h`.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let bad = || "a rate is none, packets a second like 0.25, or like 4/1h".to_owned();
    if text == "none" {
        return Ok(Rate { packets: 0, per_s: 1 });
    }
    if let Some((packets, time)) = text.split_once('/') {
        let packets = packets.parse().map_err(|_| bad())?;
        // `4/h` is four packets an hour.
        let time =
            if time.starts_with(char::is_alphabetic) { format!("1{time}") } else { time.into() };
        let per_s = parse_duration(&time).ok().filter(|per_s| *per_s > 0).ok_or_else(bad)?;
        return Ok(Rate { packets, per_s });
    }
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || rest.len() > 9 || !is_number(whole) || !is_number(rest) {
        return Err(bad());
    }
    let packets: u32 = format!("{whole}{rest}").parse().map_err(|_| bad())?;
    let per_s = 10u32.checked_pow(u32::try_from(rest.len()).unwrap_or(u32::MAX)).ok_or_else(bad)?;
    Ok(Rate { packets, per_s })
}

/// A largest gap, as [`parse_max_gap`] reads it.
pub fn max_gap_text(gap: MaxGap) -> String {
    match gap {
        MaxGap::Unlimited => "none".to_owned(),
        MaxGap::Nonces { accepted, confirmed } if accepted == confirmed => accepted.to_string(),
        MaxGap::Nonces { accepted, confirmed: u32::MAX } => format!("{accepted}:none"),
        MaxGap::Nonces { accepted, confirmed } => format!("{accepted}:{confirmed}"),
    }
}

/// A rate, as [`parse_rate`] reads it.
pub fn rate_text(rate: Rate) -> String {
    match rate {
        Rate { packets: 0, .. } => "none".to_owned(),
        Rate { packets, per_s: 1 } => packets.to_string(),
        Rate { packets, per_s } => format!("{packets}/{per_s}s"),
    }
}

/// Settings as the members of a JSON object; only those that are made.
pub fn settings_object(settings: &DeviceSettings) -> Map<String, Value> {
    let DeviceSettings { late_nonces, max_gap, rate } = *settings;
    let members = [
        ("late", late_nonces.map(Value::from)),
        ("max_gap", max_gap.map(|gap| max_gap_text(gap).into())),
        ("rate", rate.map(|rate| rate_text(rate).into())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Settings in words, as the options of `hintdex device set`.
pub fn settings_text(settings: &DeviceSettings) -> String {
    let DeviceSettings { late_nonces, max_gap, rate } = *settings;
    let options = [
        late_nonces.map(|late| format!("--late {late}")),
        max_gap.map(|gap| format!("--max-gap {}", max_gap_text(gap))),
        rate.map(|rate| format!("--rate {}", rate_text(rate))),
    ];
    options.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_rates_are_read_as_they_are_written() {
        let gap = |accepted, confirmed| MaxGap::Nonces { accepted, confirmed };
        for (text, is) in [
            ("none", MaxGap::Unlimited),
            ("0", gap(0, 0)),
            ("100", gap(100, 100)),
            ("100:10000", gap(100, 10_000)),
            ("5:none", gap(5, u32::MAX)),
        ] {
            assert_eq!(parse_max_gap(text), Ok(is), "{text}");
            assert_eq!(max_gap_text(is), text);
        }
        for bad in ["", ":", "5:", ":5", "5:4", "-1", "4294967296", "1:2:3", "None"] {
            assert!(parse_max_gap(bad).is_err(), "{bad}");
        }
        for (text, packets, per_s, written) in [
            ("none", 0, 1, "none"),
            ("2", 2, 1, "2"),
            ("0.25", 25, 100, "25/100s"),
            ("4/1h", 4, 3600, "4/3600s"),
            ("4/h", 4, 3600, "4/3600s"),
            ("1/30d", 1, 2_592_000, "1/2592000s"),
        ] {
            let rate = Rate { packets, per_s };
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
            assert_eq!(rate_text(rate), written);
            assert_eq!(parse_rate(written), Ok(rate), "{written}");
        }
        for bad in ["", ".", ".5", "-1", "1/", "/1h", "1/0s", "1e3", "0.1234567890", "1/1w"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_late("64"), parse_late("65536")), (Ok(64), Ok(65_536)));
        assert!(["63", "65537", "", "1k"].iter().all(|bad| parse_late(bad).is_err()));
    }
}
