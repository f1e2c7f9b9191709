//! Keys as people have them: CSV with a header, or JSON lines.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{Registration, Rule, Scheme};
use serde_json::Value;
use zeroize::Zeroizing;

use super::args::Format;

/// The longest line that is read.
const MAX_LINE_LEN_BYTES: u64 = 4096;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Key,
    K,
    ClockOffset,
    Measured,
    StartInterval,
}

impl Column {
    const ALL: [Self; 6] =
        [Self::Id, Self::Key, Self::K, Self::ClockOffset, Self::Measured, Self::StartInterval];

    const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Key => "key",
            Self::K => "k",
            Self::ClockOffset => "clock_offset_s",
            Self::Measured => "measured_s",
            Self::StartInterval => "start_interval",
        }
    }

    /// The columns that a scheme needs.
    const fn needed(scheme: Scheme) -> &'static [Self] {
        match scheme {
            Scheme::EddystoneEid => &[Self::Id, Self::Key, Self::K, Self::ClockOffset],
            Scheme::Gaen => &[Self::Id, Self::Key, Self::StartInterval],
            Scheme::BleRpa => &[Self::Id, Self::Key],
        }
    }

    /// The column called `name`, if the scheme has one.
    fn of(scheme: Scheme, name: &str) -> Result<Self, BadRow> {
        let name = if name == "irk" && scheme == Scheme::BleRpa { "key" } else { name };
        let known = Self::ALL.into_iter().find(|column| {
            let may = *column == Self::Measured && scheme == Scheme::EddystoneEid;
            column.name() == name && (may || Self::needed(scheme).contains(column))
        });
        known.ok_or_else(|| BadRow::UnknownColumn { name: name.to_owned(), scheme })
    }
}

/// Why a line is no beacon.
#[derive(Debug, PartialEq, Eq)]
pub enum BadRow {
    TooLong,
    NotText,
    NotAnObject,
    UnknownColumn { name: String, scheme: Scheme },
    TwiceColumn(&'static str),
    MissingColumn { name: &'static str, scheme: Scheme },
    Cells { got: usize, expected: usize },
    KeyLength(usize),
    KeyNotHex,
    Exponent(String),
    Number { name: &'static str, text: String },
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = |scheme: &Scheme| {
            let names: Vec<_> =
                Column::needed(*scheme).iter().map(|column| column.name()).collect();
            format!("{scheme} needs {}", names.join(","))
        };
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LINE_LEN_BYTES} bytes"),
            Self::NotText => f.write_str("not UTF-8 text"),
            Self::NotAnObject => f.write_str("not a JSON object of numbers and strings"),
            Self::UnknownColumn { name, scheme } => {
                write!(f, "unknown column {:?}; {}", short(name), needed(scheme))
            }
            Self::TwiceColumn(name) => write!(f, "column {name} is there twice; remove one"),
            Self::MissingColumn { name, scheme } => {
                write!(f, "no column {name}; {}", needed(scheme))
            }
            Self::Cells { got, expected } => {
                write!(f, "{got} values where the header has {expected} columns")
            }
            // A key is never shown, not even a wrong one.
            Self::KeyLength(digits) => {
                write!(f, "the key has {digits} hex digits, it needs 32 (16 bytes)")
            }
            Self::KeyNotHex => f.write_str("the key is not hex"),
            Self::Exponent(text) => write!(f, "k {:?} is out of range; it is 0 to 15", short(text)),
            Self::Number { name, text } => {
                write!(f, "{name} {:?} is no whole number in its range", short(text))
            }
        }
    }
}

/// The beginning of what was given, for a message.
fn short(text: &str) -> String {
    text.chars().take(24).collect()
}

/// The cells of a line, by column.
#[derive(Default)]
struct Cells<'l>([Option<&'l str>; Column::ALL.len()]);

impl<'l> Cells<'l> {
    fn set(&mut self, column: Column, text: &'l str) -> Result<(), BadRow> {
        match self.0.get_mut(column as usize) {
            Some(place @ None) => {
                *place = Some(text);
                Ok(())
            }
            _ => Err(BadRow::TwiceColumn(column.name())),
        }
    }

    fn get(&self, column: Column) -> Option<&'l str> {
        self.0.get(column as usize).copied().flatten()
    }

    fn need(&self, column: Column, scheme: Scheme) -> Result<&'l str, BadRow> {
        self.get(column).ok_or(BadRow::MissingColumn { name: column.name(), scheme })
    }

    fn number<N: std::str::FromStr>(&self, column: Column, scheme: Scheme) -> Result<N, BadRow> {
        let text = self.need(column, scheme)?;
        let bad = || BadRow::Number { name: column.name(), text: text.to_owned() };
        text.parse().map_err(|_| bad())
    }

    fn registration(&self, scheme: Scheme, now_unix_s: u64) -> Result<Registration, BadRow> {
        let device = DeviceId(self.number(Column::Id, scheme)?);
        let digits = self.need(Column::Key, scheme)?;
        let mut key = Zeroizing::new([0; 16]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|error| match error {
            hex::FromHexError::InvalidHexCharacter { .. } => BadRow::KeyNotHex,
            _ => BadRow::KeyLength(digits.chars().count()),
        })?;
        let rule = match scheme {
            Scheme::EddystoneEid => Rule::EddystoneEid {
                k: self.exponent()?,
                clock_offset_s: self.number(Column::ClockOffset, scheme)?,
                measured_unix_s: match self.get(Column::Measured) {
                    Some(_) => self.number(Column::Measured, scheme)?,
                    None => now_unix_s,
                },
            },
            Scheme::Gaen => {
                Rule::Gaen { start_interval: self.number(Column::StartInterval, scheme)? }
            }
            Scheme::BleRpa => Rule::BleRpa,
        };
        Ok(Registration { device, key: HintKey::from_bytes(*key), rule })
    }

    fn exponent(&self) -> Result<RotationExponent, BadRow> {
        let text = self.need(Column::K, Scheme::EddystoneEid)?;
        let k = text.parse().ok().and_then(RotationExponent::new);
        k.ok_or_else(|| BadRow::Exponent(text.to_owned()))
    }
}

/// Reads registrations line by line.
pub struct Rows<R> {
    input: BufReader<R>,
    scheme: Scheme,
    now_unix_s: u64,
    /// What the lines are, once it is known.
    format: Option<Format>,
    /// The columns of a CSV, once its header is read.
    header: Option<Vec<Column>>,
    line: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<R: Read> Rows<R> {
    pub fn new(input: R, scheme: Scheme, format: Option<Format>, now_unix_s: u64) -> Self {
        let (input, line) = (BufReader::with_capacity(1 << 16, input), Zeroizing::default());
        Self { input, scheme, now_unix_s, format, header: None, line, number: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub const fn line_number(&self) -> u64 {
        self.number
    }

    /// What the next line that is not empty holds; nothing at the end. After a header
    /// that cannot be used nothing can be told of other lines.
    pub fn next_row(&mut self) -> io::Result<Option<Result<Registration, BadRow>>> {
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
                (Format::Json, _) => read_object(text, self.scheme, self.now_unix_s),
                (Format::Csv, Some(header)) => {
                    read_cells(text, header, self.scheme, self.now_unix_s)
                }
                (Format::Csv, None) => match read_header(text, self.scheme) {
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

fn read_header(text: &str, scheme: Scheme) -> Result<Vec<Column>, BadRow> {
    let mut columns = Vec::new();
    for name in cells(text) {
        let column = Column::of(scheme, name)?;
        if columns.contains(&column) {
            return Err(BadRow::TwiceColumn(column.name()));
        }
        columns.push(column);
    }
    match Column::needed(scheme).iter().find(|needed| !columns.contains(needed)) {
        Some(missing) => Err(BadRow::MissingColumn { name: missing.name(), scheme }),
        None => Ok(columns),
    }
}

fn read_cells(
    text: &str,
    header: &[Column],
    scheme: Scheme,
    now_unix_s: u64,
) -> Result<Registration, BadRow> {
    let (got, expected) = (cells(text).count(), header.len());
    if got != expected {
        return Err(BadRow::Cells { got, expected });
    }
    let mut row = Cells::default();
    for (column, cell) in header.iter().zip(cells(text)) {
        row.set(*column, cell)?;
    }
    row.registration(scheme, now_unix_s)
}

/// The cells of a line. None of ours holds a comma, so quotes are only taken off.
fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
    })
}

fn read_object(text: &str, scheme: Scheme, now_unix_s: u64) -> Result<Registration, BadRow> {
    let object: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|_| BadRow::NotAnObject)?;
    let texts = object.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((Column::of(scheme, name)?, Zeroizing::new(text.clone()))),
        Value::Number(number) => {
            Ok((Column::of(scheme, name)?, Zeroizing::new(number.to_string())))
        }
        _ => Err(BadRow::NotAnObject),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let mut row = Cells::default();
    for (column, text) in &texts {
        row.set(*column, text)?;
    }
    row.registration(scheme, now_unix_s)
}
