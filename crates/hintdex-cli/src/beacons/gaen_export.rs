//! Exports of exposure notification: `export.bin`, or the zip archive that holds it.
//!
//! The format is Google's and Apple's "Exposure Key export file format and verification": 16
//! bytes of header, then a protocol buffer `TemporaryExposureKeyExport`. Its signature is not
//! checked. Revised keys, which change a report and not a key, are not read.

use std::fmt;
use std::io::{self, Cursor, Read};

use zeroize::Zeroizing;
use zip::ZipArchive;

/// The first bytes of `export.bin`.
const HEADER: [u8; 16] = *b"EK Export v1    ";
/// The first bytes of a zip archive.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// The most bytes that are read of a file, and of an archive's member: two million keys.
const MAX_LEN_BYTES: usize = 64 << 20;
/// The field of `TemporaryExposureKeyExport` that holds keys.
const KEYS: u64 = 7;
/// The rolling period of a key that states none.
const DEFAULT_ROLLING_PERIOD: u64 = 144;

/// The length of the first bytes that [`is_export`] needs.
pub const FIRST_LEN_BYTES: usize = HEADER.len();

/// Whether a file with these first bytes is an export or an archive.
pub fn is_export(first: &[u8]) -> bool {
    first.starts_with(&HEADER) || first.starts_with(&ZIP)
}

/// A daily key of an export, as it is written there.
#[derive(Debug, Default)]
pub struct ExportedKey<'e> {
    pub key: &'e [u8],
    pub start_interval: Option<u64>,
    pub rolling_period: u64,
}

/// Why a file is no export.
#[derive(Debug)]
pub enum BadExport {
    Read(io::Error),
    TooLong,
    Zip,
    /// An archive without `export.bin`.
    NoExport,
    /// `export.bin` begins with other bytes.
    NoHeader,
    /// The message ends early, or is no protocol buffer.
    Damaged,
}

impl fmt::Display for BadExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "reading failed: {error}"),
            Self::TooLong => {
                write!(f, "longer than {} MiB; split the export", MAX_LEN_BYTES >> 20)
            }
            Self::Zip => f.write_str(
                "the zip archive is damaged, encrypted, or packed otherwise than by deflate",
            ),
            Self::NoExport => f.write_str(
                "the zip archive holds no export.bin; of a spreadsheet, save the sheet as CSV",
            ),
            Self::NoHeader => f.write_str("export.bin does not begin with \"EK Export v1\""),
            Self::Damaged => f.write_str("export.bin is damaged or cut off; download it again"),
        }
    }
}

/// Reads an export, or the export in an archive. Returns the message behind the header.
///
/// The buffers are allocated at their greatest length, because a buffer that grows leaves
/// copies of keys on the heap. Only the pages that are written take memory.
pub fn read(input: impl Read) -> Result<Zeroizing<Vec<u8>>, BadExport> {
    let file = read_bounded(input)?;
    let mut export = if file.starts_with(&ZIP) { unzip(&file)? } else { file };
    if !export.starts_with(&HEADER) {
        return Err(BadExport::NoHeader);
    }
    export.drain(..HEADER.len());
    Ok(export)
}

fn unzip(archive: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadExport> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(|_| BadExport::Zip)?;
    let is_export = |name: &[u8]| name.rsplit(|byte| *byte == b'/').next() == Some(b"export.bin");
    let place = archive.file_names_raw().position(is_export).ok_or(BadExport::NoExport)?;
    read_bounded(archive.by_index(place).map_err(|_| BadExport::Zip)?)
}

fn read_bounded(input: impl Read) -> Result<Zeroizing<Vec<u8>>, BadExport> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN_BYTES + 1));
    input.take(MAX_LEN_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(BadExport::Read)?;
    if bytes.len() > MAX_LEN_BYTES { Err(BadExport::TooLong) } else { Ok(bytes) }
}

/// The keys of an export's message, in their order. A key is a message of its own: its
/// content is checked by the caller.
pub fn keys(message: &[u8]) -> impl Iterator<Item = Result<ExportedKey<'_>, BadExport>> {
    Members(message).filter_map(|member| match member {
        Err(damaged) => Some(Err(damaged)),
        Ok((KEYS, Value::Bytes(key))) => Some(exported_key(key)),
        Ok(_) => None,
    })
}

fn exported_key(message: &[u8]) -> Result<ExportedKey<'_>, BadExport> {
    let mut key = ExportedKey { rolling_period: DEFAULT_ROLLING_PERIOD, ..ExportedKey::default() };
    for member in Members(message) {
        match member? {
            (1, Value::Bytes(bytes)) => key.key = bytes,
            (3, Value::Number(start)) => key.start_interval = Some(start),
            (4, Value::Number(intervals)) => key.rolling_period = intervals,
            _ => {}
        }
    }
    Ok(key)
}

/// The fields of a protocol buffer. Ends after a fault.
struct Members<'m>(&'m [u8]);

enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// A value of fixed length. No field that is read has one.
    Fixed,
}

impl<'m> Members<'m> {
    fn next_member(&mut self) -> Option<(u64, Value<'m>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let len_bytes = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.bytes(len_bytes)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn bytes(&mut self, len_bytes: usize) -> Option<&'m [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len_bytes)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number of at most 64 bits, seven a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl<'m> Iterator for Members<'m> {
    type Item = Result<(u64, Value<'m>), BadExport>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let member = self.next_member();
        if member.is_none() {
            self.0 = &[];
        }
        Some(member.ok_or(BadExport::Damaged))
    }
}
