//! The mark of a fleet that was restored from a backup.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hintdex_host::publish;
use hintdex_wire::{CheckValue, KeySource};
use subtle::ConstantTimeEq;

use super::manifest::Hash;
use crate::Error;

/// The mark, inside a fleet's folder.
pub(super) const RESTORED_FILE: &str = "restored";
/// The first line of the mark.
const TITLE: &str = "hintdex restored 1";

/// What the check value of a manifest covers.
pub(super) fn check_context(digest: &Hash) -> Vec<u8> {
    [b"backup:", &digest[..]].concat()
}

/// What a fleet knows of the backup that it was restored from.
///
/// See the example of [`Station::backup`](crate::Station::backup).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// When the index was copied, in seconds since 1970. What was accepted later is not known to the
    /// fleet.
    pub made_unix_s: u64,
    /// When the fleet was restored, in seconds since 1970 by the clock of that moment.
    pub restored_unix_s: u64,
    pub(super) digest: Hash,
    pub(super) check_value: CheckValue,
}

impl Restored {
    /// Writes the mark into the folder of a fleet.
    pub(super) fn store(&self, dir: &Path) -> Result<(), Error> {
        let text = format!(
            "{TITLE}\nmade {}\nrestored {}\nmanifest {}\ncheck {}\n",
            self.made_unix_s,
            self.restored_unix_s,
            hex::encode(self.digest),
            hex::encode(self.check_value)
        );
        Ok(publish(&dir.join(RESTORED_FILE), &[text.as_bytes()])?)
    }

    /// The mark of the fleet in the folder `dir`; `None` if it was not restored.
    ///
    /// # Errors
    /// [`Error::Backup`] if the mark is damaged, or if the backup was changed after the station of the
    /// fleet had written it.
    pub(crate) fn load(dir: &Path, keys: &dyn KeySource) -> Result<Option<Self>, Error> {
        let path = dir.join(RESTORED_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::io("reading the mark of a restored fleet", &path)(error));
            }
        };
        let refused = |why| Error::Backup { path: path.clone(), why };
        let damaged = "it is damaged; restore the fleet again";
        let restored = Self::parse(&text).ok_or_else(|| refused(damaged))?;
        let expected = keys.check_value(&check_context(&restored.digest));
        if !bool::from(expected.ct_eq(&restored.check_value)) {
            return Err(refused(
                "the backup was changed after it was written, or is of a fleet with another master \
                 key; restore another backup",
            ));
        }
        Ok(Some(restored))
    }

    /// The first number of the outbox after the restoring. The fleet that was backed up has gone on with the
    /// numbers behind the backup, and readers may know them. No fleet accepts a million payloads a second
    /// all the time, so no number before this one has been used.
    pub(crate) const fn first_payload(&self) -> u64 {
        self.restored_unix_s << 20
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let is_mark = lines.next()? == TITLE;
        let made_unix_s = lines.next()?.strip_prefix("made ")?.parse().ok()?;
        let restored_unix_s = lines.next()?.strip_prefix("restored ")?.parse().ok()?;
        let digest = hex::decode(lines.next()?.strip_prefix("manifest ")?).ok()?.try_into().ok()?;
        let check_value =
            hex::decode(lines.next()?.strip_prefix("check ")?).ok()?.try_into().ok()?;
        (is_mark && lines.next().is_none()).then_some(Self {
            made_unix_s,
            restored_unix_s,
            digest,
            check_value,
        })
    }
}
