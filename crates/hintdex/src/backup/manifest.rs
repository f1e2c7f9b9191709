//! The manifest of a backup: which files it has, with their lengths and hashes.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use hintdex_wire::CheckValue;
use sha2::{Digest, Sha256};

/// The SHA-256 of a file.
pub(super) type Hash = [u8; 32];

/// The first line of a manifest.
const TITLE: &str = "hintdex backup 1";
/// The longest manifest that is read: some hundred thousand files.
pub(super) const MAX_LEN_BYTES: u64 = 64 << 20;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BackupFile {
    /// The path inside the fleet's folder.
    pub(super) path: PathBuf,
    pub(super) len_bytes: u64,
    pub(super) hash: Hash,
}

/// The contents of a manifest.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub(super) fleet_id: [u8; 16],
    pub(super) made_unix_s: u64,
    pub(super) files: Vec<BackupFile>,
}

impl Manifest {
    /// The text of the manifest without its last line.
    fn body(&self) -> String {
        let mut text =
            format!("{TITLE}\nfleet {}\nmade {}\n", hex::encode(self.fleet_id), self.made_unix_s);
        for BackupFile { path, len_bytes, hash } in &self.files {
            // Writing to a string never fails.
            let _ = writeln!(text, "{} {len_bytes} {}", hex::encode(hash), path.display());
        }
        text
    }

    /// The hash that the check value of the fleet covers.
    pub(super) fn digest(&self) -> Hash {
        Sha256::digest(self.body()).into()
    }

    /// The text of the manifest. Its last line shows that the fleet's station has written it.
    pub(super) fn to_text(&self, check_value: &CheckValue) -> String {
        format!("{}check {}\n", self.body(), hex::encode(check_value))
    }

    /// Reads a manifest and its check value.
    ///
    /// # Errors
    /// Why the text is no manifest.
    #[doc(hidden)]
    pub fn parse(text: &str) -> Result<(Self, CheckValue), &'static str> {
        let mut lines = text.strip_suffix('\n').ok_or("its end is missing")?.split('\n');
        match lines.next() {
            Some(TITLE) => {}
            Some(other) if other.starts_with("hintdex backup ") => {
                return Err("a later version of hintdex wrote it; use that version");
            }
            _ => return Err("it is no manifest of a backup"),
        }
        let bad = "a line of it is damaged";
        let mut value = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let fleet_id = value("fleet ").and_then(array).ok_or(bad)?;
        let made_unix_s = value("made ").and_then(|text| text.parse().ok()).ok_or(bad)?;
        let mut files: Vec<BackupFile> = Vec::new();
        for line in lines.by_ref() {
            if let Some(check) = line.strip_prefix("check ") {
                let check = array(check).ok_or(bad)?;
                let is_last = lines.next().is_none();
                let manifest = Self { fleet_id, made_unix_s, files };
                // Every manifest has one spelling.
                return match is_last && manifest.to_text(&check) == text {
                    true => Ok((manifest, check)),
                    false => Err(bad),
                };
            }
            files.push(read_file(line).ok_or(bad)?);
        }
        Err("its end is missing")
    }
}

fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn read_file(line: &str) -> Option<BackupFile> {
    let (hash, rest) = line.split_once(' ')?;
    let (len_bytes, path) = rest.split_once(' ')?;
    let path = PathBuf::from(path);
    is_inside(&path).then_some(())?;
    Some(BackupFile { path, len_bytes: len_bytes.parse().ok()?, hash: array(hash)? })
}

/// Whether a path stays inside the folder that it is relative to.
pub(super) fn is_inside(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file =
            |path: &str, byte| BackupFile { path: path.into(), len_bytes: 1_000, hash: [byte; 32] };
        let files = vec![file("device.keys", 1), file("index/000012.sst", 2)];
        Manifest { fleet_id: [7; 16], made_unix_s: 1_764_000_000, files }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written() {
        let text = manifest().to_text(&[9; 16]);
        assert_eq!(Manifest::parse(&text), Ok((manifest(), [9; 16])));
    }

    #[test]
    fn a_damaged_manifest_is_refused_or_has_another_digest() {
        let text = manifest().to_text(&[9; 16]);
        for len_bytes in 0..text.len() {
            let cut = text.get(..len_bytes).expect("ASCII");
            assert!(Manifest::parse(cut).is_err(), "{len_bytes}");
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let Ok((read, check)) = Manifest::parse(&changed) else { continue };
            assert!(read.digest() != manifest().digest() || check != [9; 16], "{at}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_refused() {
        for path in ["../key", "/etc/passwd", "index/../../key", "", "."] {
            let mut outside = manifest();
            outside.files.iter_mut().for_each(|file| file.path = path.into());
            assert!(Manifest::parse(&outside.to_text(&[9; 16])).is_err(), "{path}");
        }
        let mut odd = manifest();
        odd.files.iter_mut().for_each(|file| file.path = "a name with spaces".into());
        assert_eq!(Manifest::parse(&odd.to_text(&[9; 16])), Ok((odd, [9; 16])));
    }
}
