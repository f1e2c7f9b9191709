//! Keys as people have them: CSV with a header line, or JSON lines.

use std::fmt;
use std::io::{self, BufRead, Read};

use clap::ValueEnum;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::secret_input::{SecretReader, describe, shown};

/// The longest line that is read.
const MAX_LINE_LEN_BYTES: u64 = 4096;
/// The room for a line and the byte that shows that it is longer.
const LINE_ROOM_BYTES: usize = 4096 + 1;
/// What is read at a time.
const BUFFER_LEN_BYTES: usize = 1 << 16;

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
    /// The place of the column called `name`, which is the `number`th of its line.
    fn place(&'static self, number: usize, name: &str) -> Result<usize, BadRow> {
        let is_it = |column: &Column| column.name == name || column.also == Some(name);
        let place = self.columns.iter().position(is_it);
        place.ok_or_else(|| BadRow::UnknownColumn { number, name: shown(name), table: self })
    }

    fn name_at(&self, place: usize) -> &'static str {
        self.columns.get(place).map_or("", |column| column.name)
    }

    fn needed(&self) -> String {
        let needed = self.columns.iter().filter(|column| column.is_needed);
        let names: Vec<_> = needed.map(|column| column.name).collect();
        format!("{} needs {}", self.name, names.join(","))
    }

    fn known(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        format!("{} knows {}", self.name, names.join(","))
    }
}

/// Why a line is no row. What was given is described and never quoted: any text of a file
/// of keys may be a key, a header that is missing or a column that slipped included.
#[derive(Debug)]
pub enum BadRow {
    TooLong,
    NotText,
    NotAnObject,
    UnknownColumn {
        number: usize,
        /// The name, as far as it is [shown].
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
        /// How many characters of which kind are there.
        given: String,
        len_bytes: usize,
    },
    ZeroKey {
        name: &'static str,
    },
    Number {
        name: &'static str,
        /// What is there, as far as it is [shown].
        given: String,
    },
    /// A value that is out of its range, and what that is.
    Range {
        name: &'static str,
        /// What is there, as far as it is [shown].
        given: String,
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
            Self::UnknownColumn { number, name, table } => {
                write!(f, "unknown column {name} in place {number}; {}", table.known())
            }
            Self::TwiceColumn(name) => write!(f, "column {name} is there twice; remove one"),
            Self::MissingColumn { name, table } => {
                write!(f, "no column {name}; {}", table.needed())
            }
            Self::Cells { got, expected } => {
                write!(f, "{got} values where the header has {expected} columns")
            }
            Self::KeyLength { name, digits, len_bytes } => write!(
                f,
                "the {name} has {digits} hex digits, it needs {} ({len_bytes} bytes)",
                2 * len_bytes
            ),
            Self::KeyNotHex { name, given, len_bytes } => write!(
                f,
                "the {name} is not hex but {given}; it needs {} hex digits ({len_bytes} bytes)",
                2 * len_bytes
            ),
            Self::ZeroKey { name } => {
                write!(f, "the {name} is all zeros; give the device a random key")
            }
            Self::Number { name, given } => {
                write!(f, "{name} {given} is no whole number in its range")
            }
            Self::Range { name, given, allowed } => {
                write!(f, "{name} {given} is out of range; it is {allowed}")
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

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
        text.parse().map_err(|_| BadRow::Number { name, given: shown(text) })
    }

    /// The key in a column, in hex. A key of zeros is one that nobody has written yet.
    pub fn key<const LEN: usize>(
        &self,
        name: &'static str,
    ) -> Result<Zeroizing<[u8; LEN]>, BadRow> {
        let digits = self.need(name)?;
        let mut key = Zeroizing::new([0; LEN]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| {
            if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                BadRow::KeyLength { name, digits: digits.len(), len_bytes: LEN }
            } else {
                BadRow::KeyNotHex { name, given: describe(digits), len_bytes: LEN }
            }
        })?;
        if key.iter().fold(0, |all, byte| all | byte) == 0 {
            return Err(BadRow::ZeroKey { name });
        }
        Ok(key)
    }
}

/// Reads rows line by line.
pub struct Rows<R> {
    input: SecretReader<R>,
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
        let input = SecretReader::new(BUFFER_LEN_BYTES, input);
        // Of its full length: a line that grew would leave copies of keys on the heap.
        let line = Zeroizing::new(Vec::with_capacity(LINE_ROOM_BYTES));
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
    for (number, name) in (1..).zip(cells(text)) {
        let place = table.place(number, name)?;
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
    // What is escaped is put together in memory that nobody wipes.
    if text.contains('\\') {
        return Err(BadRow::Other("no value needs an escape; write it without a backslash"));
    }
    let Object(members) = serde_json::from_str(text).map_err(|_| BadRow::NotAnObject)?;
    let mut row = Cells::new(table);
    for (number, (name, value)) in (1..).zip(&members) {
        row.set(table.place(number, name)?, value)?;
    }
    parse(&row)
}

/// A JSON object of numbers and strings. Each text is wiped, also where the line is bad.
struct Object(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers and strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A string, or a number as a text.
struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(text.to_owned())))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(number.to_string())))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(Zeroizing::new(number.to_string())))
            }

            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Text, E> {
                // No column has fractions; their digits may be those of a key.
                Err(E::custom("a number with a fraction"))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// What is reported of bad lines: the first, and how many more there are.
pub struct BadLines {
    /// What is counted: lines, or records.
    unit: &'static str,
    first: Option<String>,
    more: u64,
}

impl Default for BadLines {
    fn default() -> Self {
        Self::of("line")
    }
}

impl BadLines {
    /// Nothing is bad yet of what is counted in `unit`s.
    pub const fn of(unit: &'static str) -> Self {
        Self { unit, first: None, more: 0 }
    }

    pub fn add(&mut self, number: u64, why: &dyn std::fmt::Display) {
        match &self.first {
            None => self.first = Some(format!("{} {number}: {why}", self.unit)),
            Some(_) => self.more += 1,
        }
    }

    /// Counts lines that are bad for the same reason.
    pub const fn add_more(&mut self, more: u64) {
        self.more += more;
    }

    /// What is to be said of them; nothing where there are none.
    pub fn message(&self) -> Option<String> {
        let (first, unit) = (self.first.as_ref()?, self.unit);
        let more = match self.more {
            0 => String::new(),
            1 => format!("; 1 more {unit} is bad"),
            more => format!("; {more} more {unit}s are bad"),
        };
        Some(format!("{first}{more}; nothing was imported"))
    }
}
