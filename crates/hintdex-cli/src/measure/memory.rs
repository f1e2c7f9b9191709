//! The memory of this process, by the system's accounting.
//!
//! `/proc/self/status` has the resident size and its peak (proc(5)), `smaps_rollup` the
//! proportional size, and `smaps` the resident part of one mapped file. Only the block cache,
//! a part of the anonymous memory, is the store's own count.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::machine::field;

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Resident when the process began, before it opened anything.
    pub before_bytes: u64,
    /// Resident now (`VmRSS`).
    pub resident_bytes: u64,
    /// The peak of the resident size (`VmHWM`).
    pub peak_resident_bytes: u64,
    /// The anonymous part: heap, stacks and copied pages (`RssAnon`).
    pub anonymous_bytes: u64,
    /// The part that maps files, including the program itself (`RssFile`).
    pub file_bytes: u64,
    /// The resident size with shared pages divided among their processes (`Pss`).
    pub proportional_bytes: u64,
    /// The mapping of the snapshot, and its resident part.
    pub mapped_bytes: u64,
    pub mapped_resident_bytes: u64,
    /// The block cache and the write buffers, by the store's count.
    pub block_cache_bytes: u64,
}

impl Memory {
    /// The memory of this process now. `mapped` is the file whose mapping is counted by itself.
    ///
    /// # Errors
    /// `/proc` does not have these files.
    pub fn now(before_bytes: u64, mapped: Option<&Path>) -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let (mapped_bytes, mapped_resident_bytes) = match mapped {
            Some(path) => mapping(&fs::read_to_string("/proc/self/smaps")?, &path.canonicalize()?),
            None => (0, 0),
        };
        Ok(Self {
            before_bytes,
            resident_bytes: kib_of(&status, "VmRSS"),
            peak_resident_bytes: kib_of(&status, "VmHWM"),
            anonymous_bytes: kib_of(&status, "RssAnon"),
            file_bytes: kib_of(&status, "RssFile"),
            proportional_bytes: kib_of(&rollup, "Pss"),
            mapped_bytes,
            mapped_resident_bytes,
            block_cache_bytes: 0,
        })
    }
}

/// The resident size of this process now.
pub fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| kib_of(&status, "VmRSS"))
}

/// The processor time of all threads of this process.
pub fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The bytes that were read from a disk for this process (`read_bytes` of `/proc/self/io`).
pub fn read_from_disk_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    field(&text, "read_bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

/// A value in kB, converted to bytes.
fn kib_of(text: &str, name: &str) -> u64 {
    let kib = field(text, name).and_then(|value| value.trim_end_matches(" kB").parse().ok());
    kib.map_or(0, |kib: u64| kib << 10)
}

/// The mapped bytes of `path`, and how many of them are resident.
fn mapping(smaps: &str, path: &Path) -> (u64, u64) {
    let name = path.to_string_lossy();
    let (mut inside, mut sums) = (false, (0, 0));
    for line in smaps.lines() {
        // The first line of a mapping has its addresses; the others are `name: value`.
        let is_head = line.split(' ').next().is_some_and(|first| first.contains('-'));
        inside = if is_head { line.ends_with(name.as_ref()) } else { inside };
        if inside && !is_head {
            sums.0 += kib_of(line, "Size");
            sums.1 += kib_of(line, "Rss");
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Memory, mapping};

    #[test]
    fn this_process_is_resident() -> std::io::Result<()> {
        let memory = Memory::now(0, None)?;
        assert!(memory.resident_bytes > 1 << 16);
        assert!(memory.peak_resident_bytes >= memory.resident_bytes);
        assert!(memory.anonymous_bytes + memory.file_bytes <= memory.resident_bytes);
        Ok(())
    }

    #[test]
    fn a_mapping_is_found_among_others() {
        let smaps = "7f00-7f01 r--p 00000000 08:01 7   /fleet/a.hdx\nSize:    8 kB\nRss:     4 kB\n\
                     7f02-7f03 r--p 00000000 08:01 8   /fleet/b.hdx\nSize:   16 kB\nRss:    12 kB\n";
        assert_eq!(mapping(smaps, Path::new("/fleet/a.hdx")), (8 << 10, 4 << 10));
        assert_eq!(mapping(smaps, Path::new("/fleet/c.hdx")), (0, 0));
    }
}
