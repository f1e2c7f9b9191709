//! Keys as people have them: CSV with a header line, or JSON lines.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use clap::ValueEnum;
use serde_json::Value;
use zeroize::Zeroizing;

/// The longest line that is read.
const MAX_LINE_LEN_BYTES: u64 = 4096;

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header line with the columns' names, then a line for each row
    Csv,
    /// A JSON object a line
    Json,
}

/// A column that rows of a kind may have.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// Another name for it.
    pub also: Option<&'static str>,
    pub is_needed: bool,
}

impl Column {
    pub const fn needed(name: &'static str) -> Self {
        Self { name, also: None, is_needed: true }
    }

    pub const fn optional(name: &'static str) -> Self {
        Self { name, also: None, is_needed: false }
    }
}

/// The columns of a kind of rows.
#[derive(Debug)]
pub struct Table {
    /// What needs them, for messages.
    pub name: &'static str,
    pub columns: &'static [Column],
}

impl Table {
    /// The place of the column called `name`.
    fn place(&'static self, name: &str) -> Result<usize, BadRow> {
        let is_it = |column: &Column| column.name == name || column.also == Some(name);
        let place = self.columns.iter().position(is_it);
        place.ok_or_else(|| BadRow::UnknownColumn { name: name.to_owned(), table: self })
    }

    fn name_at(&self, place: usize) -> &'static str {
        self.columns.get(place).map_or("", |column| column.name)
    }

    fn needed(&self) -> String {
        let needed = self.columns.iter().filter(|column| column.is_needed);
        let names: Vec<_> = needed.map(|column| column.name).collect();
        format!("{} needs {}", self.name, names.join(","))
    }
}

/// Why a line is no row.
#[derive(Debug)]
pub enum BadRow {
    TooLong,
    NotText,
    NotAnObject,
    UnknownColumn {
        name: String,
        table: &'static Table,
    },
    TwiceColumn(&'static str),
    MissingColumn {
        name: &'static str,
        table: &'static Table,
    },
    Cells {
        got: usize,
        expected: usize,
    },
    KeyLength {
        name: &'static str,
        digits: usize,
        len_bytes: usize,
    },
    KeyNotHex {
        name: &'static str,
    },
    Number {
        name: &'static str,
        text: String,
    },
    /// A value that is out of its range, and what that is.
    Range {
        name: &'static str,
        text: String,
        allowed: &'static str,
    },
    /// What only rows of this kind can have wrong.
    Other(&'static str),
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LINE_LEN_BYTES} bytes"),
            Self::NotText => f.write_str("not UTF-8 text"),
            Self::NotAnObject => f.write_str("not a JSON object of numbers and strings"),
            Self::UnknownColumn { name, table } => {
                write!(f, "unknown column {:?}; {}", short(name), table.needed())
            }
            Self::TwiceColumn(name) => write!(f, "column {name} is there twice; remove one"),
            Self::MissingColumn { name, table } => {
                write!(f, "no column {name}; {}", table.needed())
            }
            Self::Cells { got, expected } => {
                write!(f, "{got} values where the header has {expected} columns")
            }
            // A key is never shown, not even a wrong one.
            Self::KeyLength { name, digits, len_bytes } => write!(
                f,
                "the {name} has {digits} hex digits, it needs {} ({len_bytes} bytes)",
                2 * len_bytes
            ),
            Self::KeyNotHex { name } => write!(f, "the {name} is not hex"),
            Self::Number { name, text } => {
                write!(f, "{name} {:?} is no whole number in its range", short(text))
            }
            Self::Range { name, text, allowed } => {
                write!(f, "{name} {:?} is out of range; it is {allowed}", short(text))
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// The beginning of what was given, for a message; of what may be a key only its length.
fn short(text: &str) -> String {
    if text.len() >= LEAST_KEY_LEN_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return format!("{} hex digits", text.len());
    }
    text.chars().take(24).collect()
}

/// As many hex digits, and a text may be a key or a part of one.
const LEAST_KEY_LEN_DIGITS: usize = 12;

/// The cells of a line, by column.
pub struct Cells<'l> {
    table: &'static Table,
    texts: Vec<Option<&'l str>>,
}

impl<'l> Cells<'l> {
    fn new(table: &'static Table) -> Self {
        Self { table, texts: vec![None; table.columns.len()] }
    }

    fn set(&mut self, place: usize, text: &'l str) -> Result<(), BadRow> {
        match self.texts.get_mut(place) {
            Some(cell @ None) => {
                *cell = Some(text);
                Ok(())
            }
            _ => Err(BadRow::TwiceColumn(self.table.name_at(place))),
        }
    }

    /// What stands in a column, if anything does.
    pub fn get(&self, name: &str) -> Option<&'l str> {
        let place = self.table.columns.iter().position(|column| column.name == name)?;
        self.texts.get(place).copied().flatten()
    }

    /// What stands in a column.
    pub fn need(&self, name: &'static str) -> Result<&'l str, BadRow> {
        self.get(name).ok_or(BadRow::MissingColumn { name, table: self.table })
    }

    /// The number in a column.
    pub fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, BadRow> {
        let text = self.need(name)?;
        text.parse().map_err(|_| BadRow::Number { name, text: text.to_owned() })
    }

    /// The key in a column, in hex.
    pub fn key<const LEN: usize>(
        &self,
        name: &'static str,
    ) -> Result<Zeroizing<[u8; LEN]>, BadRow> {
        let digits = self.need(name)?;
        let mut key = Zeroizing::new([0; LEN]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|error| match error {
            hex::FromHexError::InvalidHexCharacter { .. } => BadRow::KeyNotHex { name },
            _ => BadRow::KeyLength { name, digits: digits.chars().count(), len_bytes: LEN },
        })?;
        Ok(key)
    }
}

/// Reads rows line by line.
pub struct Rows<R> {
    input: BufReader<R>,
    table: &'static Table,
    /// What the lines are, once it is known.
    format: Option<Format>,
    /// The places of a CSV's columns, once its header is read.
    header: Option<Vec<usize>>,
    line: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<R: Read> Rows<R> {
    pub fn new(input: R, table: &'static Table, format: Option<Format>) -> Self {
        let (input, line) = (BufReader::with_capacity(1 << 16, input), Zeroizing::default());
        Self { input, table, format, header: None, line, number: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub const fn line_number(&self) -> u64 {
        self.number
    }

    /// What `parse` makes of the next line that is not empty; nothing at the end. After a
    /// header that cannot be used nothing can be told of other lines.
    pub fn next_row<T>(
        &mut self,
        parse: impl FnOnce(&Cells<'_>) -> Result<T, BadRow>,
    ) -> io::Result<Option<Result<T, BadRow>>> {
        loop {
            let Some(is_whole) = self.next_line()? else { return Ok(None) };
            if !is_whole {
                return Ok(Some(Err(BadRow::TooLong)));
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                return Ok(Some(Err(BadRow::NotText)));
            };
            let text = text.trim_start_matches('\u{feff}').trim();
            if text.is_empty() {
                continue;
            }
            let is_object = text.starts_with('{');
            let format =
                *self.format.get_or_insert(if is_object { Format::Json } else { Format::Csv });
            let row = match (format, &self.header) {
                (Format::Json, _) => read_object(text, self.table, parse),
                (Format::Csv, Some(header)) => {
                    read_cells(text, header, self.table).and_then(|cells| parse(&cells))
                }
                (Format::Csv, None) => match read_header(text, self.table) {
                    Ok(header) => {
                        self.header = Some(header);
                        continue;
                    }
                    Err(bad) => Err(bad),
                },
            };
            return Ok(Some(row));
        }
    }

    /// Whether the first line was a header that cannot be used.
    pub const fn lacks_header(&self) -> bool {
        matches!(self.format, Some(Format::Csv)) && self.header.is_none()
    }

    /// Reads a line, and says whether it is all of it; nothing at the end.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let most = MAX_LINE_LEN_BYTES + 1;
        if self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        // What is not the end of a line is as long as one may be, or the end of all.
        let is_cut = |line: &[u8]| line.len() as u64 == most && !line.ends_with(b"\n");
        let is_whole = !is_cut(&self.line);
        while is_cut(&self.line) {
            self.line.clear();
            self.input.by_ref().take(most).read_until(b'\n', &mut self.line)?;
        }
        Ok(Some(is_whole))
    }
}

fn read_header(text: &str, table: &'static Table) -> Result<Vec<usize>, BadRow> {
    let mut places = Vec::new();
    for name in cells(text) {
        let place = table.place(name)?;
        if places.contains(&place) {
            return Err(BadRow::TwiceColumn(table.name_at(place)));
        }
        places.push(place);
    }
    let is_missing =
        |(place, column): &(usize, &Column)| column.is_needed && !places.contains(place);
    match table.columns.iter().enumerate().find(is_missing) {
        Some((_, Column { name, .. })) => Err(BadRow::MissingColumn { name, table }),
        None => Ok(places),
    }
}

fn read_cells<'l>(
    text: &'l str,
    header: &[usize],
    table: &'static Table,
) -> Result<Cells<'l>, BadRow> {
    let (got, expected) = (cells(text).count(), header.len());
    if got != expected {
        return Err(BadRow::Cells { got, expected });
    }
    let mut row = Cells::new(table);
    for (place, cell) in header.iter().zip(cells(text)) {
        row.set(*place, cell)?;
    }
    Ok(row)
}

/// The cells of a line. None of ours holds a comma, so quotes are only taken off.
fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
    })
}

fn read_object<T>(
    text: &str,
    table: &'static Table,
    parse: impl FnOnce(&Cells<'_>) -> Result<T, BadRow>,
) -> Result<T, BadRow> {
    let object: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|_| BadRow::NotAnObject)?;
    let mut texts = Vec::with_capacity(object.len());
    for (name, value) in object {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(BadRow::NotAnObject),
        };
        texts.push((table.place(&name)?, Zeroizing::new(text)));
    }
    let mut row = Cells::new(table);
    for (place, text) in &texts {
        row.set(*place, text)?;
    }
    parse(&row)
}

/// What is told of bad lines: the first, and how many more there are.
#[derive(Default)]
pub struct BadLines {
    first: Option<String>,
    more: u64,
}

impl BadLines {
    pub fn add(&mut self, line: u64, why: &dyn std::fmt::Display) {
        match &self.first {
            None => self.first = Some(format!("line {line}: {why}")),
            Some(_) => self.more += 1,
        }
    }

    /// What is to be said of them; nothing where there are none.
    pub fn message(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let more = match self.more {
            0 => String::new(),
            1 => "; 1 more line is bad".to_owned(),
            more => format!("; {more} more lines are bad"),
        };
        Some(format!("{first}{more}; nothing was imported"))
    }
}
