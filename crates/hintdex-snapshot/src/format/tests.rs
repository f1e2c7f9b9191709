//! Compares the page of the format with the constants.

use super::directory::SHARD_RECORD_FIELDS;
use super::header::HEADER_FIELDS;
use super::*;
use crate::chain::records::{
    BLOCK_RECORD_FIELDS, BLOCK_RECORD_LEN_BYTES, CHAIN_HEADER_FIELDS, CHAIN_HEADER_LEN_BYTES,
    TABLE_RECORD_FIELDS, TABLE_RECORD_LEN_BYTES,
};

const PAGE: &str = include_str!("../../../../docs/format/snapshot-v1.md");

/// The rows of the tables below `heading`, with trimmed cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let lines = section.expect("the heading").lines().filter(|line| line.starts_with("| "));
    lines
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells: &Vec<_>| {
            cells[0] != "---" && cells[0] != "offset" && cells[0] != "constant"
        })
        .collect()
}

fn assert_fields(heading: &str, fields: &[(&str, usize)], len_bytes: usize) {
    let rows = rows(heading);
    assert_eq!(rows.len(), fields.len(), "{heading}: the number of rows");
    let ends = fields.iter().skip(1).map(|&(_, offset)| offset).chain([len_bytes]);
    for ((row, &(name, offset)), end) in rows.iter().zip(fields).zip(ends) {
        assert_eq!(row[2], format!("`{name}`"), "{heading}: the order of the fields");
        assert_eq!(row[0], offset.to_string(), "{heading}: the offset of {name}");
        assert_eq!(row[1], (end - offset).to_string(), "{heading}: the width of {name}");
    }
}

#[test]
fn the_tables_of_the_page_match_the_structs() {
    assert_fields("The header", HEADER_FIELDS, HEADER_LEN_BYTES);
    assert_fields("The shard directory", SHARD_RECORD_FIELDS, SHARD_RECORD_LEN_BYTES);
    assert_fields("The chains", CHAIN_HEADER_FIELDS, CHAIN_HEADER_LEN_BYTES);
    assert_fields("A table of runs", TABLE_RECORD_FIELDS, TABLE_RECORD_LEN_BYTES);
    assert_fields("A block of a table", BLOCK_RECORD_FIELDS, BLOCK_RECORD_LEN_BYTES);
}

#[test]
fn the_constants_of_the_page_match() {
    let constants = [
        ("FORMAT_VERSION", FORMAT_VERSION.into()),
        ("HEADER_LEN_BYTES", HEADER_LEN_BYTES),
        ("DATA_OFFSET_BYTES", DATA_OFFSET_BYTES),
        ("BLOCK_LEN_BYTES", BLOCK_LEN_BYTES),
        ("SHARD_ALIGN_BYTES", SHARD_ALIGN_BYTES),
        ("SHARD_RECORD_LEN_BYTES", SHARD_RECORD_LEN_BYTES),
        ("BLOCK_CRC_LEN_BYTES", BLOCK_CRC_LEN_BYTES),
        ("MAX_SHARD_BITS", MAX_SHARD_BITS.into()),
    ];
    let rows = rows("The file");
    assert_eq!(rows.len(), constants.len());
    for (row, (name, value)) in rows.iter().zip(constants) {
        assert_eq!(row[..2], [format!("`{name}`"), value.to_string()]);
    }
    let magic: Vec<String> = MAGIC.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(PAGE.contains(&format!("| `magic` | `{}` |", magic.join(" "))));
}

#[test]
fn the_encodings_of_the_page_match() {
    use crate::Encoding;
    let numbers: Vec<_> =
        Encoding::ALL.iter().map(|encoding| format!("{} {encoding}", encoding.number())).collect();
    assert!(PAGE.contains(&format!("| `encoding` | {} |", numbers.join(", "))));
}
