//! The document of the live index's format against the program: every name, every
//! record's fields with offsets and widths, the version, and the example bucket.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hintdex::wire::{Hint, HintScheme};
use hintdex_core::format::{
    Field, META_MAGIC, VERSION, decode_bucket, encode_bucket, encode_operand, names, place, records,
};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format/live-index.md");
    fs::read_to_string(path).expect("the document is there")
}

/// The cells of the rows of tables under the heading `title`, their marks taken off.
fn rows(document: &str, title: &str) -> Vec<Vec<String>> {
    let mut lines =
        document.lines().skip_while(|line| line.trim_start_matches('#').trim() != title);
    lines.next().unwrap_or_else(|| panic!("no heading {title:?}"));
    let section = lines.take_while(|line| !line.starts_with('#'));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim().trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    section.filter(|line| line.starts_with('|')).map(cells).collect()
}

/// The fields that the document gives a record.
fn documented_fields(document: &str, record: &str) -> Vec<(String, usize, usize)> {
    let mut title = format!("{record} record");
    title[..1].make_ascii_uppercase();
    let number = |cell: &String| cell.parse().ok();
    let field = |row: &Vec<String>| Some((row[2].clone(), number(&row[0])?, number(&row[1])?));
    rows(document, &title).iter().filter_map(field).collect()
}

fn differences(document: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for (record, fields) in records() {
        let owned = |(name, offset, width): &Field| (name.to_string(), *offset, *width);
        let (there, here) =
            (documented_fields(document, record), fields.iter().map(owned).collect::<Vec<_>>());
        if there != here {
            differences.push(format!(
                "{record} record: {there:?} in the document, {here:?} in the program"
            ));
        }
        for (field, ..) in &fields {
            let paragraphs = document.matches(&format!("\n- `{field}`: ")).count();
            if paragraphs == 0 {
                differences.push(format!("{record} record: nothing is said of {field}"));
            }
        }
    }
    let table: BTreeMap<String, String> =
        rows(document, "Names").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    for (name, bytes) in names() {
        if table.get(name) != Some(&bytes) {
            differences.push(format!(
                "{name}: {:?} in the document, {bytes:?} in the program",
                table.get(name)
            ));
        }
    }
    if !document.contains(&format!("Format version: **{VERSION}**")) {
        differences.push(format!("the version is {VERSION}"));
    }
    let magic: Vec<_> = META_MAGIC.iter().map(|byte| format!("{byte:02x}")).collect();
    if !document.contains(&format!("`magic`: `{}`", magic.join(" "))) {
        differences.push("the magic".into());
    }
    differences
}

#[test]
fn the_document_has_the_names_offsets_and_widths_of_the_program() {
    assert_eq!(differences(&document()), [""; 0]);
    assert_eq!(records().len(), 18, "a record that the document does not know");
}

#[test]
fn a_document_that_is_wrong_anywhere_is_noticed() {
    let right = document();
    for (from, to) in [
        ("| 12 | 4 | `lookahead` |", "| 12 | 8 | `lookahead` |"),
        ("| 21 | 3 | `detail` |\n", ""),
        ("| 24 | 4 | `anchor_low_s` |", "| 24 | 8 | `anchor_low_s` |"),
        ("- `from_unix_s`: ", "- "),
        ("| 82 | 1 | `suite` |", "| 60 | 1 | `suite` |"),
        ("| 4 | 4 | `count` |", "| 4 | 4 | `length` |"),
        ("| 8 | 8 | `entries` |", "| 9 | 8 | `entries` |"),
        ("| window family | `hints-` |", "| window family | `hint-` |"),
        ("Format version: **3**", "Format version: **1**"),
        ("- `hints_ahead`: ", "- "),
    ] {
        assert!(right.contains(from), "{from}");
        let wrong = right.replace(from, to);
        assert_eq!(differences(&wrong).len(), 1, "{from}: {:?}", differences(&wrong));
    }
}

#[test]
fn the_example_of_the_document_is_what_the_program_writes() {
    let document = document();
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for row in rows(&document, "An example") {
        if let (Ok(suffix), Ok(slot)) = (u32::from_str_radix(&row[0], 16), row[1].parse::<u32>()) {
            entries.push((suffix, slot));
        } else if let Ok(part) = hex::decode(row[1].replace(' ', "")) {
            bytes.extend(part);
        }
    }
    assert_eq!((entries.len(), bytes.len()), (5, 20));
    assert_eq!(encode_bucket(15, &entries), bytes);
    assert_eq!(decode_bucket(&bytes), Some(entries));
    let operand: Vec<_> =
        encode_operand(15, &[(0x2abc, 9)]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        document.contains(&format!("as a merge operand: `{}`", operand.join(" "))),
        "{operand:?}"
    );

    let hint = Hint::read(HintScheme::Aes128, &hex::decode("abcd8001".repeat(4)).expect("hex"));
    let (key, suffix) = place(8, 15, &hint.expect("16 bytes")).expect("a geometry");
    let words = format!("`{}` and the suffix `{suffix:04x}`", hex::encode(key));
    assert!(document.contains(&words), "{words}");
}

/// The same bucket by the document's words alone.
#[test]
fn a_bucket_written_by_the_words_of_the_document_is_one_of_the_program() {
    let mut random = hintdex_tests::Random::new(1);
    for _ in 0..300 {
        let (s, slot_width) = (random.below_u32(20), random.below(30));
        let slots = 1 + random.below(1 << slot_width);
        let count = 1 + random.below(400);
        let mut entries: Vec<(u32, u32)> = (0..count)
            .map(|_| {
                (random.below_u32(1 << s), u32::try_from(random.below(slots)).expect("30 bits"))
            })
            .collect();
        entries.sort();
        entries.dedup();
        let n = u32::try_from(entries.len()).expect("400");
        let h = n.ilog2().min(s);
        let w = 32 - entries.iter().map(|entry| entry.1).max().unwrap_or(0).leading_zeros();
        let mut bytes = Vec::new();
        let mut rest = n;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).expect("7 bits") | 128);
            rest /= 128;
        }
        bytes.extend([rest, s, w].map(|byte| u8::try_from(byte).expect("small")));
        let mut unary = Vec::new();
        for value in 0..1 << h {
            unary.extend(entries.iter().filter(|entry| entry.0 >> (s - h) == value).map(|_| true));
            unary.push(false);
        }
        let bits = |value: u32, width: u32| (0..width).map(move |bit| value >> bit & 1 == 1);
        let low = entries.iter().flat_map(|entry| bits(entry.0, s - h)).collect();
        let slots = entries.iter().flat_map(|entry| bits(entry.1, w)).collect();
        for part in [unary, low, slots] {
            let part: Vec<bool> = part;
            bytes.extend(
                part.chunks(8).map(|bits| {
                    bits.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit))
                }),
            );
        }
        assert_eq!(encode_bucket(u8::try_from(s).expect("small"), &entries), bytes);
        assert_eq!(decode_bucket(&bytes), Some(entries));
    }
}
