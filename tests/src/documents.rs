//! The pages of docs/format beside the code.

/// A field: its name, its offset and its width, in bytes.
pub type Field = (&'static str, usize, usize);

/// Checks that the tables of a document have these fields, in this order, and that its list has
/// these first bytes and this version.
pub fn check(document: &str, fields: impl IntoIterator<Item = Field>, first: ([u8; 8], u16)) {
    check_fields(document, fields);
    let (magic, version) = first;
    let magic: Vec<String> = magic.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(document.contains(&format!("- `magic`: `{}`", magic.join(" "))));
    assert!(document.contains(&format!("- `version`: {version}.")));
}

/// Checks that the tables of a document have these fields, in this order.
pub fn check_fields(document: &str, fields: impl IntoIterator<Item = Field>) {
    let number = |cell: &str| cell.trim().parse::<usize>().ok();
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [offset, width, name] = cells.as_slice() else { return None };
        Some((name.trim().trim_matches('`').to_owned(), number(offset)?, number(width)?))
    });
    let fields = fields.into_iter().map(|(name, offset, width)| (name.to_owned(), offset, width));
    assert_eq!(rows.collect::<Vec<_>>(), fields.collect::<Vec<_>>());
}
