//! Records of keys: CSV with a header line, or JSON lines.

use std::fmt;
use std::io::{self, BufRead, Read};

use clap::ValueEnum;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::secret::{SecretReader, describe, shown};

/// The longest line that is read, in bytes.
const MAX_LINE_LEN_BYTES: u64 = 4096;
/// The room for a line, and for the byte that shows that it is too long.
const LINE_ROOM_BYTES: usize = 4096 + 1;
/// Bytes that are read at a time.
const BUFFER_LEN_BYTES: usize = 1 << 16;

/// The format of a file of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header line with the names of the columns, then one line for each record
    Csv,
    /// One JSON object a line
    Json,
}

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// A second name of the column.
    pub also: Option<&'static str>,
    pub is_required: bool,
}

impl Column {
    pub const fn required(name: &'static str) -> Self {
        Self { name, also: None, is_required: true }
    }

    pub const fn optional(name: &'static str) -> Self {
        Self { name, also: None, is_required: false }
    }
}

/// The columns of one kind of records.
#[derive(Debug)]
pub struct Table {
    /// The name of the kind, for messages.
    pub name: &'static str,
    pub columns: &'static [Column],
}

impl Table {
    /// The index of the column called `name`, which is field `number` of its line.
    fn place(&'static self, number: usize, name: &str) -> Result<usize, BadRecord> {
        let is_it = |column: &Column| column.name == name || column.also == Some(name);
        let place = self.columns.iter().position(is_it);
        place.ok_or_else(|| BadRecord::UnknownColumn { number, name: shown(name), table: self })
    }

    fn name_at(&self, place: usize) -> &'static str {
        self.columns.get(place).map_or("", |column| column.name)
    }

    fn required(&self) -> String {
        let required = self.columns.iter().filter(|column| column.is_required);
        let names: Vec<_> = required.map(|column| column.name).collect();
        format!("{} needs {}", self.name, names.join(","))
    }

    fn known(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        format!("{} knows {}", self.name, names.join(","))
    }
}

/// Why a line is no record. The text of a field is described and never quoted: any text in
/// a file of keys may be a key, also if the header is missing or a column has shifted.
#[derive(Debug)]
pub enum BadRecord {
    TooLong,
    NotText,
    NotAnObject,
    UnknownColumn {
        number: usize,
        /// The name, as a message may [show](shown) it.
        name: String,
        table: &'static Table,
    },
    TwiceColumn(&'static str),
    MissingColumn {
        name: &'static str,
        table: &'static Table,
    },
    FieldCount {
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
        /// The number and kind of the characters in the field.
        given: String,
        len_bytes: usize,
    },
    ZeroKey {
        name: &'static str,
    },
    Number {
        name: &'static str,
        /// The field, as a message may [show](shown) it.
        given: String,
    },
    /// A value out of its range, and the range.
    Range {
        name: &'static str,
        /// The field, as a message may [show](shown) it.
        given: String,
        allowed: &'static str,
    },
    /// A fault of one kind of records.
    Other(&'static str),
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LINE_LEN_BYTES} bytes"),
            Self::NotText => f.write_str("not UTF-8 text"),
            Self::NotAnObject => f.write_str("not a JSON object of numbers and strings"),
            Self::UnknownColumn { number, name, table } => {
                write!(f, "unknown column {name} in place {number}; {}", table.known())
            }
            Self::TwiceColumn(name) => write!(f, "column {name} occurs twice; remove one"),
            Self::MissingColumn { name, table } => {
                write!(f, "no column {name}; {}", table.required())
            }
            Self::FieldCount { got, expected } => {
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
                write!(f, "{name} {given} is not a whole number in its range")
            }
            Self::Range { name, given, allowed } => {
                write!(f, "{name} {given} is out of range; it is {allowed}")
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// The fields of a line, by column.
pub struct Fields<'l> {
    table: &'static Table,
    texts: Vec<Option<&'l str>>,
}

impl<'l> Fields<'l> {
    fn new(table: &'static Table) -> Self {
        Self { table, texts: vec![None; table.columns.len()] }
    }

    fn set(&mut self, place: usize, text: &'l str) -> Result<(), BadRecord> {
        match self.texts.get_mut(place) {
            Some(field @ None) => {
                *field = Some(text);
                Ok(())
            }
            _ => Err(BadRecord::TwiceColumn(self.table.name_at(place))),
        }
    }

    /// The text of a column; `None` if the line has no such field.
    pub fn get(&self, name: &str) -> Option<&'l str> {
        let place = self.table.columns.iter().position(|column| column.name == name)?;
        self.texts.get(place).copied().flatten()
    }

    /// The text of a required column.
    pub fn require(&self, name: &'static str) -> Result<&'l str, BadRecord> {
        self.get(name).ok_or(BadRecord::MissingColumn { name, table: self.table })
    }

    /// The number in a required column.
    pub fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, BadRecord> {
        let text = self.require(name)?;
        text.parse().map_err(|_| BadRecord::Number { name, given: shown(text) })
    }

    /// The key in a required column, in hex. A key of zeros is rejected: it was never written.
    pub fn key<const LEN: usize>(
        &self,
        name: &'static str,
    ) -> Result<Zeroizing<[u8; LEN]>, BadRecord> {
        let digits = self.require(name)?;
        let mut key = Zeroizing::new([0; LEN]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| {
            if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                BadRecord::KeyLength { name, digits: digits.len(), len_bytes: LEN }
            } else {
                BadRecord::KeyNotHex { name, given: describe(digits), len_bytes: LEN }
            }
        })?;
        if key.iter().fold(0, |all, byte| all | byte) == 0 {
            return Err(BadRecord::ZeroKey { name });
        }
        Ok(key)
    }
}

/// Reads records line by line.
pub struct InputRecords<R> {
    input: SecretReader<R>,
    table: &'static Table,
    /// The format, once it is known.
    format: Option<Format>,
    /// The columns of a CSV file in their order, once its header is read.
    header: Option<Vec<usize>>,
    line: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<R: Read> InputRecords<R> {
    pub fn new(input: R, table: &'static Table, format: Option<Format>) -> Self {
        let input = SecretReader::new(BUFFER_LEN_BYTES, input);
        // The capacity is the longest line: a buffer that grows would leave copies of keys on
        // the heap.
        let line = Zeroizing::new(Vec::with_capacity(LINE_ROOM_BYTES));
        Self { input, table, format, header: None, line, number: 0 }
    }

    /// The number of the last line read, from 1.
    pub const fn line_number(&self) -> u64 {
        self.number
    }

    /// The result of `parse` for the next line that is not empty; `None` at the end. After a
    /// header that cannot be used, no further line can be read.
    pub fn next_record<T>(
        &mut self,
        parse: impl FnOnce(&Fields<'_>) -> Result<T, BadRecord>,
    ) -> io::Result<Option<Result<T, BadRecord>>> {
        loop {
            let Some(is_whole) = self.next_line()? else { return Ok(None) };
            if !is_whole {
                return Ok(Some(Err(BadRecord::TooLong)));
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                return Ok(Some(Err(BadRecord::NotText)));
            };
            let text = text.trim_start_matches('\u{feff}').trim();
            if text.is_empty() {
                continue;
            }
            let is_object = text.starts_with('{');
            let format =
                *self.format.get_or_insert(if is_object { Format::Json } else { Format::Csv });
            let record = match (format, &self.header) {
                (Format::Json, _) => read_object(text, self.table, parse),
                (Format::Csv, Some(header)) => {
                    read_csv(text, header, self.table).and_then(|fields| parse(&fields))
                }
                (Format::Csv, None) => match read_header(text, self.table) {
                    Ok(header) => {
                        self.header = Some(header);
                        continue;
                    }
                    Err(bad) => Err(bad),
                },
            };
            return Ok(Some(record));
        }
    }

    /// Whether the first line is a header that cannot be used.
    pub const fn lacks_header(&self) -> bool {
        matches!(self.format, Some(Format::Csv)) && self.header.is_none()
    }

    /// Reads a line. Returns whether the whole line was kept; `None` at the end.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let max = MAX_LINE_LEN_BYTES + 1;
        if self.input.by_ref().take(max).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        // Without a line end, the line is too long, or the input has ended.
        let is_cut = |line: &[u8]| line.len() as u64 == max && !line.ends_with(b"\n");
        let is_whole = !is_cut(&self.line);
        while is_cut(&self.line) {
            self.line.clear();
            self.input.by_ref().take(max).read_until(b'\n', &mut self.line)?;
        }
        Ok(Some(is_whole))
    }
}

fn read_header(text: &str, table: &'static Table) -> Result<Vec<usize>, BadRecord> {
    let mut places = Vec::new();
    for (number, name) in (1..).zip(csv_fields(text)) {
        let place = table.place(number, name)?;
        if places.contains(&place) {
            return Err(BadRecord::TwiceColumn(table.name_at(place)));
        }
        places.push(place);
    }
    let is_missing =
        |(place, column): &(usize, &Column)| column.is_required && !places.contains(place);
    match table.columns.iter().enumerate().find(is_missing) {
        Some((_, Column { name, .. })) => Err(BadRecord::MissingColumn { name, table }),
        None => Ok(places),
    }
}

fn read_csv<'l>(
    text: &'l str,
    header: &[usize],
    table: &'static Table,
) -> Result<Fields<'l>, BadRecord> {
    let (got, expected) = (csv_fields(text).count(), header.len());
    if got != expected {
        return Err(BadRecord::FieldCount { got, expected });
    }
    let mut fields = Fields::new(table);
    for (place, field) in header.iter().zip(csv_fields(text)) {
        fields.set(*place, field)?;
    }
    Ok(fields)
}

/// The fields of a CSV line. No field of these tables holds a comma, so quotes are only
/// removed.
fn csv_fields(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|field| {
        let field = field.trim();
        field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field)
    })
}

fn read_object<T>(
    text: &str,
    table: &'static Table,
    parse: impl FnOnce(&Fields<'_>) -> Result<T, BadRecord>,
) -> Result<T, BadRecord> {
    // The parser decodes escapes into memory that is never zeroized.
    if text.contains('\\') {
        return Err(BadRecord::Other("no value needs an escape; write it without a backslash"));
    }
    let Object(members) = serde_json::from_str(text).map_err(|_| BadRecord::NotAnObject)?;
    let mut fields = Fields::new(table);
    for (number, (name, value)) in (1..).zip(&members) {
        fields.set(table.place(number, name)?, value)?;
    }
    parse(&fields)
}

/// A JSON object of numbers and strings. Each text is zeroized, also if the line is bad.
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

/// A string, or a number as text.
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
                // No column holds fractions, and the digits may be those of a key.
                Err(E::custom("a number with a fraction"))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// The report on bad lines: the first, and the number of the others.
pub struct BadLines {
    /// The unit that is counted: line or record.
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
    /// A report without a bad line, which counts in `unit`s.
    pub const fn of(unit: &'static str) -> Self {
        Self { unit, first: None, more: 0 }
    }

    pub fn add(&mut self, number: u64, why: &dyn std::fmt::Display) {
        match &self.first {
            None => self.first = Some(format!("{} {number}: {why}", self.unit)),
            Some(_) => self.more += 1,
        }
    }

    /// Counts further bad lines.
    pub const fn add_more(&mut self, more: u64) {
        self.more += more;
    }

    /// The message; `None` without a bad line.
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
