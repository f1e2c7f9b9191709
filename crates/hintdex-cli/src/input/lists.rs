//! Lists: devices and beacons with their keys, as CSV or JSON.
//!
//! Every command that takes a list reads it with [`read`]. What a list may look like is in
//! docs/guide/lists.md.
//!
//! ```ignore
//! let input = lists::open(path, &call.console)?;
//! let report = lists::read(path, input, &TABLE, &options, |line_number, fields| {
//!     let device = fields.device("id")?;       // BadRecord: the line is bad, reading goes on
//!     station.change(device)?;                 // Failure: reading stops
//!     Ok(())
//! })?;
//! report.finish(path, &call.console)?;         // reports bad lines; fails without --skip-bad
//! ```

use std::io::Read;
use std::path::Path;

use clap::ValueEnum;

use super::csv::{Header, Separator};
use super::json;
use super::list_source::{Found, ListSource};
use super::secret::{SecretReader, open_secret};
use super::table::{BadRecord, Fields, Table};
use crate::console::{Console, Input};
use crate::failure::Failure;

/// Bytes that are read at a time.
const BUFFER_LEN_BYTES: usize = 1 << 16;
/// The most ignored columns that are named.
const MAX_NAMED_COLUMNS: usize = 16;
/// The most skipped lines that are reported one by one.
const MAX_REPORTED_LINES: usize = 20;

/// The fault of a JSON array without its last bracket. No line of it is at fault, so it is
/// never skipped.
const OPEN_ARRAY: &str = "the JSON array does not end; the file is cut off; nothing was imported";

/// The first bytes of a zip archive, and of the workbooks of spreadsheets.
const ZIP: &[u8] = b"PK\x03\x04";
/// The fault of an archive where a list is expected.
const NO_TEXT: &str = "a zip archive or a workbook; save the sheet as CSV; nothing was imported";

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header line with the names of the columns, then one line for each record
    Csv,
    /// JSON objects: one a line, or the members of an array
    Json,
}

/// How a list is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions {
    /// The format; `None` if the first byte decides.
    pub format: Option<Format>,
    /// Skip unknown columns, and name them on standard error. Otherwise they are a fault.
    pub ignore_extra: bool,
    /// Skip bad lines, and report them on standard error. Otherwise they fail the call.
    pub skip_bad: bool,
}

/// Why the caller of [`read`] rejects a record.
#[derive(Debug)]
pub enum Rejected {
    /// The line is bad; reading goes on.
    Line(BadRecord),
    /// The call has failed; reading stops.
    Call(Failure),
}

impl From<BadRecord> for Rejected {
    fn from(why: BadRecord) -> Self {
        Self::Line(why)
    }
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

/// Opens a list; `-` is standard input. The buffer of the list is zeroized.
pub fn open<'a>(path: &Path, console: &'a Console<'_>) -> Result<SecretReader<Input<'a>>, Failure> {
    Ok(SecretReader::new(BUFFER_LEN_BYTES, open_secret(path, console)?))
}

/// Reads a list, and calls `each` with the number of the line and the fields of each record.
/// Memory is bounded by the longest record, however long the list is.
///
/// A line that is no record, or that `each` rejects, is counted in the report, and reading
/// goes on: so the report counts all bad lines.
///
/// # Errors
/// A header that cannot be used, an array that does not end, a failed read, and what `each`
/// returns as [`Rejected::Call`].
pub fn read<R: Read>(
    path: &Path,
    mut input: SecretReader<R>,
    table: &'static Table,
    options: &ListOptions,
    mut each: impl FnMut(u64, &Fields<'_>) -> Result<(), Rejected>,
) -> Result<BadLines, Failure> {
    let failed = |error| Failure::io("reading the list", path, &error);
    if input.peek(ZIP.len()).map_err(failed)?.starts_with(ZIP) {
        return Err(Failure::data(path, &NO_TEXT));
    }
    let mut source = ListSource::new(input);
    let mut bad = BadLines::new("line", options.skip_bad);
    let mut extras = Extras { is_allowed: options.ignore_extra, ..Extras::default() };
    let first = source.skip_blank().map_err(failed)?;
    let by_first = if matches!(first, Some(b'{' | b'[')) { Format::Json } else { Format::Csv };
    let format = options.format.unwrap_or(by_first);
    let mut columns = Columns { table, declared: None, header: None };
    loop {
        let found = match format {
            Format::Csv => source.next_line(),
            Format::Json => source.next_object(),
        };
        let (line_number, rejected) = match found.map_err(failed)? {
            Found::End => break,
            Found::OpenArray => {
                return Err(Failure::data(path, &OPEN_ARRAY));
            }
            Found::Record { line_number, is_whole: false } => {
                (line_number, Some(BadRecord::TooLong.into()))
            }
            Found::CutOff { line_number } => (line_number, Some(BadRecord::CutOff.into())),
            Found::NoObject { line_number } => (line_number, Some(BadRecord::NotAnObject.into())),
            Found::Record { line_number, is_whole: true } => {
                let record = source.record();
                let read = match format {
                    Format::Json => json::fields(record, table, |name| extras.take(name)).map(Some),
                    Format::Csv => columns.fields(record, &mut extras),
                };
                let taken = match read {
                    Ok(Some(fields)) => each(line_number, &fields),
                    Ok(None) => Ok(()),
                    Err(why) => Err(why.into()),
                };
                (line_number, taken.err())
            }
        };
        match rejected {
            None => {}
            Some(Rejected::Call(failure)) => return Err(failure),
            Some(Rejected::Line(why)) => bad.add(line_number, &why),
        }
        if format == Format::Csv && columns.header.is_none() && bad.any() {
            // Without its header, no line of a list can be read.
            return Err(Failure::data(path, &bad.message().unwrap_or_default()));
        }
    }
    bad.ignored_columns = extras.names;
    Ok(bad)
}

/// The columns of a CSV list.
struct Columns {
    table: &'static Table,
    declared: Option<Separator>,
    header: Option<Header>,
}

impl Columns {
    /// The fields of a line; `None` if it is the header or declares the separator.
    fn fields<'l>(
        &mut self,
        line: &'l [u8],
        extras: &mut Extras,
    ) -> Result<Option<Fields<'l>>, BadRecord> {
        if let Some(header) = &self.header {
            return header.fields(line, self.table).map(Some);
        }
        match Separator::declared(line).filter(|_| self.declared.is_none()) {
            Some(declared) => self.declared = Some(declared),
            None => {
                let extra = |name: &str| extras.take(name);
                self.header = Some(Header::read(line, self.declared, self.table, extra)?);
            }
        }
        Ok(None)
    }
}

/// Unknown columns that are ignored.
#[derive(Default)]
struct Extras {
    is_allowed: bool,
    /// Their names, as a message may show them.
    names: Vec<String>,
}

impl Extras {
    /// Notes an unknown column. Returns whether it may be ignored.
    fn take(&mut self, name: &str) -> bool {
        if self.is_allowed
            && self.names.len() < MAX_NAMED_COLUMNS
            && !self.names.iter().any(|known| known == name)
        {
            self.names.push(name.to_owned());
        }
        self.is_allowed
    }
}

/// The report on bad lines.
#[derive(Debug)]
pub struct BadLines {
    /// The unit that is counted: line, record or key.
    unit: &'static str,
    is_skipped: bool,
    /// The first bad lines: one, or with `is_skipped` up to [`MAX_REPORTED_LINES`].
    first: Vec<String>,
    count: u64,
    /// The unknown columns that were skipped, as a message may show them.
    ignored_columns: Vec<String>,
}

impl BadLines {
    /// A report without a bad line, which counts in `unit`s. Whether bad lines are skipped.
    pub const fn new(unit: &'static str, is_skipped: bool) -> Self {
        Self { unit, is_skipped, first: Vec::new(), count: 0, ignored_columns: Vec::new() }
    }

    pub fn add(&mut self, number: u64, why: &dyn std::fmt::Display) {
        let room = if self.is_skipped { MAX_REPORTED_LINES } else { 1 };
        if self.first.len() < room {
            self.first.push(format!("{} {number}: {why}", self.unit));
        }
        self.count += 1;
    }

    /// Counts further bad lines.
    pub const fn add_more(&mut self, more: u64) {
        self.count += more;
    }

    pub const fn any(&self) -> bool {
        self.count > 0
    }

    /// The bad lines beside the first `shown`.
    fn more(&self, shown: usize) -> Option<String> {
        match self.count.saturating_sub(shown as u64) {
            0 => None,
            1 => Some(format!("1 more {} is bad", self.unit)),
            more => Some(format!("{more} more {}s are bad", self.unit)),
        }
    }

    /// The message of a call that fails for its bad lines; `None` without a bad line.
    pub fn message(&self) -> Option<String> {
        let first = self.first.first()?;
        let more = self.more(1).map_or_else(String::new, |more| format!("; {more}"));
        Some(format!("{first}{more}; nothing was imported"))
    }

    /// Reports the skipped columns on standard error, and fails if a line is bad. If bad lines are
    /// skipped, reports them as well, and returns their number.
    ///
    /// # Errors
    /// A line is bad, and bad lines are not skipped.
    pub fn finish(&self, path: &Path, console: &Console<'_>) -> Result<u64, Failure> {
        if !self.ignored_columns.is_empty() {
            let names = self.ignored_columns.join(", ");
            console.report(&format!("note: {}: ignored columns: {names}", path.display()));
        }
        if let Some(message) = self.message().filter(|_| !self.is_skipped) {
            return Err(Failure::data(path, &message));
        }
        for line in self.first.iter().cloned().chain(self.more(self.first.len())) {
            console.report(&format!("{}: {line}; skipped", path.display()));
        }
        Ok(self.count)
    }
}
