//! CSV: the separator, the header, and the cells of a line.
//!
//! The splitter is small and our own: it copies no cell, so the one buffer of the line holds
//! every key, and is zeroized.

use super::secret::shown;
use super::table::{BadRecord, Fields, Table, Text};

/// What separates the cells of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    Byte(u8),
    /// A run of spaces and tabs. There are no empty cells.
    Spaces,
}

impl Separator {
    /// Every separator. Of two that fit a header equally well, the first is chosen.
    const ALL: [Self; 4] = [Self::Byte(b','), Self::Byte(b';'), Self::Byte(b'\t'), Self::Spaces];

    /// The separator that a spreadsheet names in a line of its own: `sep=;`.
    pub fn declared(line: &[u8]) -> Option<Self> {
        let line = trim(line);
        let line =
            line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
        let name = line.strip_prefix(b"sep=").or_else(|| line.strip_prefix(b"SEP="))?;
        Self::ALL.into_iter().find(|separator| match separator {
            Self::Byte(byte) => name == [*byte],
            Self::Spaces => name == b" ",
        })
    }

    /// The separator with which most names of a header are columns of the table.
    fn of(header: &[u8], table: &Table) -> Self {
        let known = |separator: &Self| {
            let cells = Cells::new(header, *separator).filter_map(Result::ok);
            cells.filter(|cell| table.place(cell).is_some()).count()
        };
        // The last of several maxima is returned.
        Self::ALL.into_iter().rev().max_by_key(known).unwrap_or(Self::Spaces)
    }

    const fn is_between(self, byte: u8) -> bool {
        match self {
            Self::Byte(separator) => byte == separator,
            Self::Spaces => matches!(byte, b' ' | b'\t'),
        }
    }

    /// Whether a byte around a cell is no part of it.
    const fn is_around(self, byte: u8) -> bool {
        byte == b' ' || byte == b'\t' && !matches!(self, Self::Byte(b'\t'))
    }
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// The cells of a line, without the spaces and the quotation marks around them. A doubled
/// quotation mark in a quoted cell stays doubled: no value has one.
struct Cells<'l> {
    /// `None` after the last cell.
    rest: Option<&'l [u8]>,
    separator: Separator,
}

impl<'l> Cells<'l> {
    const fn new(line: &'l [u8], separator: Separator) -> Self {
        Self { rest: Some(line), separator }
    }

    fn skip_spaces<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let end = text.iter().position(|byte| !self.separator.is_around(*byte));
        text.get(end.unwrap_or(text.len())..).unwrap_or_default()
    }

    /// The content of a quoted cell, and the text after it.
    fn quoted(text: &'l [u8]) -> Option<(&'l [u8], &'l [u8])> {
        let mut at = 0;
        loop {
            at += text.get(at..)?.iter().position(|byte| *byte == b'"')?;
            if text.get(at + 1) != Some(&b'"') {
                return Some((text.get(..at)?, text.get(at + 1..)?));
            }
            at += 2;
        }
    }
}

impl<'l> Iterator for Cells<'l> {
    type Item = Result<&'l [u8], BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let text = self.skip_spaces(rest);
        if text.is_empty() && self.separator == Separator::Spaces {
            return None;
        }
        let is_between = |byte: &u8| self.separator.is_between(*byte);
        if let Some(text) = text.strip_prefix(b"\"") {
            let Some((cell, after)) = Self::quoted(text) else {
                return Some(Err(BadRecord::Quotes));
            };
            let rest = self.skip_spaces(after);
            self.rest = match (rest.split_first(), self.separator) {
                (None, _) => None,
                (Some(_), Separator::Spaces) if rest.len() < after.len() => Some(rest),
                (Some((first, rest)), Separator::Byte(_)) if is_between(first) => Some(rest),
                _ => return Some(Err(BadRecord::Quotes)),
            };
            return Some(Ok(trim(cell)));
        }
        let end = text.iter().position(is_between).unwrap_or(text.len());
        let (cell, rest) = text.split_at(end);
        self.rest = rest.split_first().map(|(_, rest)| rest);
        Some(Ok(trim(cell)))
    }
}

/// The header of a CSV list.
pub struct Header {
    separator: Separator,
    /// For each cell of a line, its column; `None` if it is ignored.
    places: Vec<Option<usize>>,
}

impl Header {
    /// Reads a header. `extra` is called with each unknown name, and returns whether the
    /// column may be ignored.
    pub fn read(
        line: &[u8],
        declared: Option<Separator>,
        table: &'static Table,
        mut extra: impl FnMut(&str) -> bool,
    ) -> Result<Self, BadRecord> {
        let separator = declared.unwrap_or_else(|| Separator::of(line, table));
        let mut names = Cells::new(line, separator).collect::<Result<Vec<_>, _>>()?;
        while names.last().is_some_and(|name| name.is_empty()) {
            names.pop();
        }
        let any_known = names.iter().any(|name| table.place(name).is_some());
        let mut places = Vec::new();
        for (number, name) in (1..).zip(names) {
            let place = table.place(name);
            match place {
                Some(known) if places.contains(&place) => {
                    return Err(BadRecord::TwiceColumn(table.name_at(known)));
                }
                Some(_) => {}
                None => {
                    let name = shown(&String::from_utf8_lossy(name));
                    if !extra(&name) {
                        return Err(BadRecord::UnknownColumn { number, name, table, any_known });
                    }
                }
            }
            places.push(place);
        }
        let is_missing = |place: usize| !places.contains(&Some(place));
        let mut columns = table.columns.iter().enumerate();
        match columns.find(|(place, column)| column.is_required && is_missing(*place)) {
            Some((_, column)) => Err(BadRecord::MissingColumn { name: column.name, table }),
            None => Ok(Self { separator, places }),
        }
    }

    /// The fields of a line.
    pub fn fields<'l>(
        &self,
        line: &'l [u8],
        table: &'static Table,
    ) -> Result<Fields<'l>, BadRecord> {
        let mut fields = Fields::new(table);
        let mut got = 0;
        for (at, cell) in Cells::new(line, self.separator).enumerate() {
            let cell = cell?;
            // Empty cells behind the last column are trailing separators.
            got = if at < self.places.len() || !cell.is_empty() { at + 1 } else { got };
            if let Some(Some(place)) = self.places.get(at) {
                let text = str::from_utf8(cell).map_err(|_| BadRecord::NotText)?;
                fields.set(*place, Text::Plain(text))?;
            }
        }
        let expected = self.places.len();
        if got == expected { Ok(fields) } else { Err(BadRecord::FieldCount { got, expected }) }
    }
}
