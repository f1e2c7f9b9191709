//! Exports of exposure notification: `export.bin`, or the zip archive that holds it.
//!
//! The format is Google's and Apple's "Exposure Key export file format and verification": 16
//! bytes of header, then a protocol buffer `TemporaryExposureKeyExport`. Its signature is not
//! checked. An export is public, so the buffers of the crate `zip` may hold its keys.
//! Revised keys, which change a report and not a key, are not read.

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
/// The length of the buffer at first.
const FIRST_BUFFER_LEN_BYTES: usize = 1 << 16;
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

/// Reads to the end. A buffer that is full moves to a larger one, and is zeroized.
fn read_bounded(mut input: impl Read) -> Result<Zeroizing<Vec<u8>>, BadExport> {
    let mut bytes = Zeroizing::new(vec![0; FIRST_BUFFER_LEN_BYTES]);
    let mut len_bytes = 0;
    loop {
        if len_bytes > MAX_LEN_BYTES {
            return Err(BadExport::TooLong);
        }
        if len_bytes == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; 2 * len_bytes]);
            larger.split_at_mut(len_bytes).0.copy_from_slice(&bytes);
            bytes = larger;
        }
        match input.read(bytes.get_mut(len_bytes..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => len_bytes += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BadExport::Read(error)),
        }
    }
    bytes.truncate(len_bytes);
    Ok(bytes)
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

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    /// A number as a protocol buffer writes it.
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).expect("seven bits"));
        bytes
    }

    fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }

    /// An export as servers write it: times, region, batch, two keys, and a revised key.
    fn export() -> Vec<u8> {
        let day = [bytes(1, &[1; 16]), number(2, 8), number(3, 2_638_224), number(6, u64::MAX)];
        let short = [bytes(1, &[2; 16]), number(3, 2_638_225), number(4, 7), number(5, 1)];
        let time = |field: u64| [varint(field << 3 | 1), vec![7; 8]].concat();
        let parts = [
            HEADER.to_vec(),
            time(1),
            time(2),
            bytes(3, b"DE"),
            number(4, 1),
            number(5, 1),
            bytes(6, b"\x0a\x03app"),
            bytes(7, &day.concat()),
            bytes(8, &bytes(1, &[9; 16])),
            bytes(7, &short.concat()),
        ];
        parts.concat()
    }

    fn archive(name: &str, method: CompressionMethod, member: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in [("export.sig", &b"signature"[..]), (name, member)] {
            writer.start_file(name, options).expect("memory has room");
            writer.write_all(content).expect("memory has room");
        }
        writer.finish().expect("memory has room").into_inner()
    }

    #[test]
    fn an_export_is_read_as_a_file_and_in_an_archive() {
        let (stored, deflated) = (CompressionMethod::Stored, CompressionMethod::Deflated);
        for file in [
            export(),
            archive("export.bin", stored, &export()),
            archive("export.bin", deflated, &export()),
            archive("day/export.bin", deflated, &export()),
        ] {
            assert!(is_export(&file));
            let message = read(file.as_slice()).expect("an export");
            let keys: Vec<_> = keys(&message).map(|key| key.expect("a key")).collect();
            let fields =
                |key: &ExportedKey<'_>| (key.key.to_vec(), key.start_interval, key.rolling_period);
            let expected = [
                (vec![1; 16], Some(2_638_224), DEFAULT_ROLLING_PERIOD),
                (vec![2; 16], Some(2_638_225), 7),
            ];
            assert_eq!(keys.iter().map(fields).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let deflated = CompressionMethod::Deflated;
        for (file, why) in [
            (archive("sheet.xml", deflated, b"x"), "no export.bin"),
            (archive("export.bin", deflated, b"EK Export v2    "), "does not begin"),
            (archive("export.bin", deflated, &export()).split_at(200).0.to_vec(), "archive is"),
            (archive("export.bin", deflated, &vec![0; MAX_LEN_BYTES + 1]), "longer than 64 MiB"),
        ] {
            let refused = read(file.as_slice()).expect_err("no export");
            assert!(refused.to_string().contains(why), "{refused}");
        }
        // Each part of an export that ends within a field is damaged; no part panics.
        let export = export();
        let message = export.strip_prefix(&HEADER).expect("a header");
        let is_damaged = |len| keys(message.split_at(len).0).any(|key| key.is_err());
        let sound = (0..=message.len()).filter(|len| !is_damaged(*len)).count();
        assert_eq!(sound, 10, "the message has nine fields");
    }
}
