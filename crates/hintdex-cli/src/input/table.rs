//! The columns of a list, and the fields of a record by column.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

use super::id_text::{BadId, GivenId, read_id, whole};
use super::key_text::{BadKey, read_key};
use super::secret::shown;

/// The longest line or object that is read, in bytes.
pub const MAX_RECORD_LEN_BYTES: usize = 4096;

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// Further names of the column.
    pub also: &'static [&'static str],
    pub is_required: bool,
}

impl Column {
    /// The device or the beacon of a record.
    pub const ID: Self = Self::required("id").or(&["device_id", "dev_eui", "deveui", "eui"]);

    pub const fn required(name: &'static str) -> Self {
        Self { name, also: &[], is_required: true }
    }

    pub const fn optional(name: &'static str) -> Self {
        Self { name, also: &[], is_required: false }
    }

    /// The same column with further names, in lower case with `_` between words.
    pub const fn or(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
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
    /// The index of the column called `name`, in any case and with `-` or a space for `_`.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        let plain = |byte: &u8| match byte {
            b'-' | b' ' => b'_',
            byte => byte.to_ascii_lowercase(),
        };
        let is_it = |known: &&str| name.iter().map(plain).eq(known.bytes());
        self.columns.iter().position(|column| is_it(&column.name) || column.also.iter().any(is_it))
    }

    pub fn name_at(&self, place: usize) -> &'static str {
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

/// Why a line or an object is no record. The text of a field is described and never quoted:
/// any text in a list of keys may be a key, also if the header is missing or a column has
/// shifted.
#[derive(Debug)]
pub enum BadRecord {
    TooLong,
    NotText,
    NotAnObject,
    /// A quotation mark that does not end, or text behind the one that ends.
    Quotes,
    /// An object begins before the last one has ended.
    CutOff,
    UnknownColumn {
        number: usize,
        /// The name, as a message may [show](shown) it.
        name: String,
        table: &'static Table,
        /// Whether another column of the same header or object is known.
        any_known: bool,
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
    Key {
        name: &'static str,
        why: BadKey,
        len_bytes: usize,
    },
    Id {
        name: &'static str,
        /// The field, as a message may [show](shown) it.
        given: String,
        why: BadId,
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
    /// A record that cannot be stored: the message of the library, which quotes no key.
    Refused(String),
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_RECORD_LEN_BYTES} bytes"),
            Self::NotText => f.write_str("not UTF-8 text; save the list as UTF-8 or as UTF-16"),
            Self::NotAnObject => f.write_str("not a JSON object of numbers and strings"),
            Self::Quotes => {
                f.write_str("a quotation mark has no partner; close it at the end of its field")
            }
            Self::CutOff => f.write_str("the JSON object does not end; close it with }"),
            Self::UnknownColumn { number, name, table, any_known } => {
                let remedy = if *any_known {
                    "remove the column, or skip it with --ignore-extra"
                } else {
                    "write the names of the columns into the first line"
                };
                write!(f, "unknown column {name} in place {number}; {}; {remedy}", table.known())
            }
            Self::TwiceColumn(name) => write!(f, "column {name} occurs twice; remove one"),
            Self::MissingColumn { name, table } => {
                write!(f, "no column {name}; {}", table.required())
            }
            Self::FieldCount { got, expected } => {
                write!(f, "{got} values where the header has {expected} columns")
            }
            Self::Key { name, why, len_bytes } => write_key_fault(f, name, why, *len_bytes),
            Self::Id { name, given, why } => match why {
                BadId::Other => write!(
                    f,
                    "{name} {given} is no device id; write 0 to 4294967295, or an EUI of 16 hex \
                     digits"
                ),
                BadId::TwoReadings => write!(
                    f,
                    "{name} {given} is a number or an EUI; write the number without zeros in \
                     front, or the EUI with a dash after each pair of digits"
                ),
                BadId::ShortAddress => write!(
                    f,
                    "{name} {given} is an address of 48 bits; write a number, or an EUI of 64 bits"
                ),
            },
            Self::Number { name, given } => {
                write!(f, "{name} {given} is not a whole number in its range")
            }
            Self::Range { name, given, allowed } => {
                write!(f, "{name} {given} is out of range; it is {allowed}")
            }
            Self::Other(why) => f.write_str(why),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

fn write_key_fault(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    why: &BadKey,
    len_bytes: usize,
) -> fmt::Result {
    let digits_needed = 2 * len_bytes;
    match why {
        BadKey::Length { digits } => write!(
            f,
            "the {name} has {digits} hex digits, it needs {digits_needed} ({len_bytes} bytes)"
        ),
        BadKey::Other { given, base64_len_bytes } => {
            let as_base64 = base64_len_bytes
                .map_or_else(String::new, |len_bytes| format!(", as base64 {len_bytes} bytes"));
            write!(
                f,
                "the {name} is not hex but {given}{as_base64}; it needs {digits_needed} hex \
                 digits, or base64 of {len_bytes} bytes"
            )
        }
        BadKey::Zero => write!(f, "the {name} is all zeros; give the device a random key"),
    }
}

/// The text of a field.
pub enum Text<'l> {
    /// As it stands in the input.
    Plain(&'l str),
    /// Decoded from a JSON string with escapes.
    Decoded(Zeroizing<String>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Decoded(text) => text,
        }
    }
}

/// The fields of a record, by column.
pub struct Fields<'l> {
    table: &'static Table,
    texts: Vec<Option<Text<'l>>>,
}

impl<'l> Fields<'l> {
    pub fn new(table: &'static Table) -> Self {
        Self { table, texts: table.columns.iter().map(|_| None).collect() }
    }

    pub fn set(&mut self, place: usize, text: Text<'l>) -> Result<(), BadRecord> {
        match self.texts.get_mut(place) {
            Some(field @ None) => {
                *field = Some(text);
                Ok(())
            }
            _ => Err(BadRecord::TwiceColumn(self.table.name_at(place))),
        }
    }

    /// The text of a column; `None` if the record has no such field.
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.table.columns.iter().position(|column| column.name == name)?;
        self.texts.get(place)?.as_deref()
    }

    /// The text of a column; `None` if the record has no such field, or an empty one.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|text| !text.is_empty())
    }

    /// The text of a required column.
    pub fn require(&self, name: &'static str) -> Result<&str, BadRecord> {
        self.get(name).ok_or(BadRecord::MissingColumn { name, table: self.table })
    }

    /// The number in a required column.
    pub fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, BadRecord> {
        let text = self.require(name)?;
        whole(text).parse().map_err(|_| BadRecord::Number { name, given: shown(text) })
    }

    /// The number in an optional column; `None` if the field is missing or empty.
    pub fn optional_number<N: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<N>, BadRecord> {
        self.filled(name).map(|_| self.number(name)).transpose()
    }

    /// The device in a required column.
    pub fn device(&self, name: &'static str) -> Result<GivenId, BadRecord> {
        let text = self.require(name)?;
        read_id(text).map_err(|why| BadRecord::Id { name, given: shown(text), why })
    }

    /// The key in a required column, in [any form](read_key). A key of zeros is rejected: it
    /// was never written.
    pub fn key<const LEN: usize>(
        &self,
        name: &'static str,
    ) -> Result<Zeroizing<[u8; LEN]>, BadRecord> {
        let text = self.require(name)?;
        read_key(text).map_err(|why| BadRecord::Key { name, why, len_bytes: LEN })
    }
}
