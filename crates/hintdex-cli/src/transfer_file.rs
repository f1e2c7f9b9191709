//! Exports: files of JSON lines whose last line authenticates all lines before it
//! (docs/format/device-export.md and docs/format/beacon-export.md).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use hintdex_host::Draft;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// The longest line of an export.
const MAX_LINE_LEN_BYTES: u64 = 1 << 16;

/// The last line of an export.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    /// The number of the lines between the first and the last.
    keys: u64,
    /// 16 bytes in hex: the check value of the SHA-256 of all lines before.
    check: String,
}

/// An export that is being written. An existing file is replaced as a whole.
pub struct ExportWriter {
    path: PathBuf,
    draft: Draft,
    digest: Sha256,
    lines: u64,
}

impl ExportWriter {
    /// Begins the file `path` with this header.
    pub fn create(path: &Path, header: &impl Serialize) -> Result<Self, Failure> {
        let draft = Draft::beside(path).map_err(|error| Failure::data(path, &error))?;
        let path = path.to_owned();
        let mut writer = Self { path, draft, digest: Sha256::new(), lines: 0 };
        writer.put(header)?;
        Ok(writer)
    }

    /// Writes a line.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        self.lines += 1;
        self.put(line)
    }

    /// Ends the file with the check value of the digest of its lines.
    pub fn publish(mut self, check: impl FnOnce(&[u8]) -> String) -> Result<(), Failure> {
        let check = check(&self.digest.clone().finalize());
        self.put(&Trailer { keys: self.lines, check })?;
        let Self { path, draft, .. } = self;
        draft.publish().map_err(|error| Failure::data(&path, &error))
    }

    fn put(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::data(&self.path, error);
        let mut line = serde_json::to_string(line).map_err(|error| failed(&error))?;
        line.push('\n');
        self.digest.update(line.as_bytes());
        self.draft.write(line.as_bytes()).map_err(|error| failed(&error))
    }
}

/// Reads a whole export. `take` receives the number and the text of every line but the last.
///
/// # Errors
/// What `take` returns, and an export that was cut off, or whose last line does not have the
/// check value: `wrong_check` says what to do then.
pub fn read_export(
    path: &Path,
    mut take: impl FnMut(u64, &str) -> Result<(), String>,
    check: impl FnOnce(&[u8]) -> String,
    wrong_check: &str,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("reading the export", path, &error);
    let bad = |line: u64, why: &str| {
        Failure::data(path, &format!("line {line}: {why}; nothing was imported"))
    };
    let mut input = BufReader::new(File::open(path).map_err(failed)?);
    let (mut digest, mut text, mut line) = (Sha256::new(), String::new(), 1);
    loop {
        text.clear();
        let read = input.by_ref().take(MAX_LINE_LEN_BYTES).read_line(&mut text).map_err(failed)?;
        if read == 0 {
            return Err(bad(line, "the export ends without its last line; it was cut off"));
        }
        if line > 1
            && let Ok(trailer) = serde_json::from_str::<Trailer>(&text)
        {
            // The first line is the header.
            let is_whole = trailer.keys == line - 2;
            return match is_whole && trailer.check == check(&digest.finalize()) {
                true => Ok(()),
                false => Err(bad(line, wrong_check)),
            };
        }
        take(line, &text).map_err(|why| bad(line, &why))?;
        digest.update(text.as_bytes());
        line += 1;
    }
}
