//! The figures that were accepted, in a file that is checked in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::Failure;
use crate::counter::Count;

/// The file, from the root of the repository.
pub const FILE: &str = "benches/perf/expected.tsv";

/// How far a count may be from the one that was accepted.
const MARGIN: f64 = 0.03;

/// What was accepted.
#[derive(Debug, Default)]
pub struct Expected {
    counts: BTreeMap<String, Count>,
    tools: Vec<String>,
}

/// How a count compares with what was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is what it was, by so much of it.
    Same(f64),
    /// It takes more.
    Grew(f64),
    /// It takes less.
    Fell(f64),
    /// It computes something else.
    OtherWork,
    /// Nothing was accepted for it.
    New,
}

impl Verdict {
    /// Whether somebody has to do something about it.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Grew(_) | Self::OtherWork | Self::New)
    }

    /// Whether it became better than what was accepted.
    pub const fn fell(self) -> bool {
        matches!(self, Self::Fell(_))
    }

    /// A row of the table.
    pub fn row(self, name: &str, now: Count) -> String {
        let (accepted, change) = match self {
            Self::Same(share) => (share, ""),
            Self::Grew(share) => (share, "  GREW"),
            Self::Fell(share) => (share, "  fell"),
            Self::OtherWork => return format!("{name:<34} computes something else: ACCEPT IT"),
            Self::New => return format!("{name:<34} {:>29}  NEW: ACCEPT IT", now.instructions),
        };
        let before = now.instructions as f64 / (1.0 + accepted);
        let percent = accepted * 100.0;
        format!("{name:<34} {before:>14.0} {:>14} {percent:>+8.2} %{change}", now.instructions)
    }
}

impl Expected {
    /// Reads the file; nothing was accepted if there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no such file.
    pub fn read() -> Result<Self, Failure> {
        let path = path();
        match path.is_file() {
            true => Self::parse(&fs::read_to_string(&path)?),
            false => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let mut expected = Self::default();
        for line in text.lines() {
            if let Some(tool) = line.strip_prefix("# by ") {
                expected.tools.push(tool.to_owned());
            } else if !line.starts_with('#') {
                let (name, count) =
                    parse_row(line).ok_or_else(|| format!("{FILE}: no row: {line}"))?;
                expected.counts.insert(name, count);
            }
        }
        Ok(expected)
    }

    /// Writes the file anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(counts: &[(&str, Count)], tools: &[String]) -> Result<(), Failure> {
        let mut text =
            String::from("# path\tinstructions\thash of the result; by make perf-accept\n");
        for tool in tools {
            writeln!(text, "# by {tool}")?;
        }
        for (name, Count { instructions, result }) in counts {
            writeln!(text, "{name}\t{instructions}\t{result:016x}")?;
        }
        Ok(fs::write(path(), text)?)
    }

    /// How `now` compares with what was accepted for `name`.
    pub fn judge(&self, name: &str, now: Count) -> Verdict {
        let Some(accepted) = self.counts.get(name) else { return Verdict::New };
        let share = now.instructions as f64 / accepted.instructions as f64 - 1.0;
        match share {
            _ if now.result != accepted.result => Verdict::OtherWork,
            _ if share > MARGIN => Verdict::Grew(share),
            _ if share < -MARGIN => Verdict::Fell(share),
            _ => Verdict::Same(share),
        }
    }

    /// The paths it has figures of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(String::as_str)
    }

    /// Tools that are not those the figures were taken with.
    pub fn other_tools(&self, now: &[String]) -> Vec<String> {
        let others = self.tools.iter().zip(now).filter(|(then, now)| then != now);
        others.map(|(then, now)| format!("accepted with {then}, this is {now}")).collect()
    }
}

fn parse_row(line: &str) -> Option<(String, Count)> {
    let mut parts = line.split('\t');
    let (name, instructions, result) = (parts.next()?, parts.next()?, parts.next()?);
    let count = Count {
        instructions: instructions.parse().ok().filter(|count| *count > 0)?,
        result: u64::from_str_radix(result, 16).ok()?,
    };
    Some((name.to_owned(), count))
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("expected.tsv")
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn growth_fails_and_less_is_told() {
        let expected = Expected::parse("# by rustc 1\nfind\t1000\t00000000000000aa\n");
        let expected = expected.expect("a row");
        let judge = |instructions, result| expected.judge("find", Count { instructions, result });
        assert!(matches!(judge(1029, 0xaa), Verdict::Same(_)));
        assert!(matches!(judge(1031, 0xaa), Verdict::Grew(_)) && judge(1031, 0xaa).is_bad());
        assert!(judge(969, 0xaa).fell() && !judge(969, 0xaa).is_bad());
        assert!(judge(1000, 0xab).is_bad());
        assert!(expected.judge("other", Count { instructions: 1, result: 0 }).is_bad());
        assert_eq!(expected.other_tools(&["rustc 1".into()]), Vec::<String>::new());
        assert_eq!(expected.other_tools(&["rustc 2".into()]).len(), 1);
    }

    #[test]
    fn what_is_no_row_is_named() {
        for bad in ["find", "find\t0\t0", "find\tx\t0", "find\t1"] {
            assert!(Expected::parse(bad).expect_err("no row").to_string().contains(bad));
        }
    }
}
