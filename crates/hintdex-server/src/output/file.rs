//! Lines to files that are rotated by size and by age.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hintdex_host::{replace, sync_folder_of};

use super::sink::{Failed, Sink};
use crate::config::FileRotation;
use crate::event::Event;

/// A file of lines. A payload is acknowledged when its line is synced to the disk.
///
/// A file that is long or old is renamed to `NAME.1`, the one before to `NAME.2`, and so on.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    rotation: FileRotation,
    file: File,
    len_bytes: u64,
    begun: SystemTime,
}

impl Lines {
    /// Opens the file to append, or creates it for its owner alone.
    pub fn open(path: &Path, rotation: FileRotation) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        // The name of a new file is durable before a payload in it is acknowledged.
        sync_folder_of(path).map_err(io::Error::other)?;
        let metadata = file.metadata()?;
        let begun = if metadata.len() == 0 { SystemTime::now() } else { metadata.modified()? };
        let lines =
            Self { path: path.to_owned(), rotation, len_bytes: metadata.len(), begun, file };
        lines.end_last_line()
    }

    /// A crash may have cut the last line; the next begins on a line of its own.
    fn end_last_line(mut self) -> io::Result<Self> {
        use std::os::unix::fs::FileExt as _;
        let mut last = *b"\n";
        if self.len_bytes > 0 {
            File::open(&self.path)?.read_exact_at(&mut last, self.len_bytes - 1)?;
        }
        if last != *b"\n" {
            self.file.write_all(b"\n")?;
            self.len_bytes += 1;
        }
        Ok(self)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let age = self.begun.elapsed().unwrap_or(Duration::ZERO);
        let is_long = self.len_bytes + text.len() as u64 > self.rotation.max_len_bytes;
        if self.len_bytes > 0 && (is_long || age > self.rotation.max_age) {
            self.rotate()?;
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What was written of the text is taken back: the next attempt writes all of it.
            self.file.set_len(self.len_bytes)?;
            return Err(error);
        }
        self.len_bytes += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if !self.path.exists() {
            // Another program has moved the file.
            *self = Self::open(&self.path, self.rotation)?;
            return Ok(());
        }
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.rotation.keep).rev() {
            if name(number).exists() {
                replace(&name(number), &name(number + 1)).map_err(io::Error::other)?;
            }
        }
        if self.rotation.keep > 0 {
            replace(&self.path, &name(1)).map_err(io::Error::other)?;
        } else {
            fs::remove_file(&self.path)?;
        }
        *self = Self::open(&self.path, self.rotation)?;
        Ok(())
    }
}

impl Sink for Lines {
    /// Each part costs a sync.
    const MAX_EVENTS: usize = 1_024;

    async fn hand_out(&mut self, events: &[Event]) -> Result<(), Failed> {
        let mut text = String::new();
        for event in events {
            text.push_str(&event.text);
            text.push('\n');
        }
        tokio::task::block_in_place(|| self.write(&text)).map_err(|error| {
            Failed::after(0, format!("writing {} failed: {error}", self.path.display()))
        })
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("payloads.jsonl");
        let rotation =
            FileRotation { max_len_bytes: 10, max_age: Duration::from_secs(3_600), keep: 2 };
        let mut lines = Lines::open(&path, rotation).expect("a file");
        for text in ["1234567\n", "2\n", "3\n", "42345678\n", "5234567\n"] {
            lines.write(text).expect("written");
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("payloads.jsonl").as_deref(), Some("5234567\n"));
        assert_eq!(read("payloads.jsonl.1").as_deref(), Some("42345678\n"));
        assert_eq!(read("payloads.jsonl.2").as_deref(), Some("3\n"));
        assert_eq!(read("payloads.jsonl.3"), None);
    }

    #[test]
    fn a_file_that_another_program_has_moved_is_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("payloads.jsonl");
        let rotation =
            FileRotation { max_len_bytes: 4, max_age: Duration::from_secs(3_600), keep: 2 };
        let mut lines = Lines::open(&path, rotation).expect("a file");
        lines.write("123\n").expect("written");
        #[expect(clippy::disallowed_methods, reason = "as an operator does")]
        fs::rename(&path, folder.path().join("moved")).expect("moved");
        lines.write("456\n").expect("written");
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("456\n"));
        assert!(!folder.path().join("payloads.jsonl.1").exists());
    }

    #[test]
    fn a_line_that_a_crash_cut_stays_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("payloads.jsonl");
        fs::write(&path, "{\"cut").expect("written");
        let rotation =
            FileRotation { max_len_bytes: 1_000, max_age: Duration::from_secs(3_600), keep: 2 };
        let mut lines = Lines::open(&path, rotation).expect("a file");
        lines.write("whole\n").expect("written");
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("{\"cut\nwhole\n"));
    }
}
