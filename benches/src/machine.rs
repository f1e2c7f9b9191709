//! Where a figure was taken, and what a process takes there.

use std::fs;
use std::io;
use std::path::Path;

/// The machine in one line: CPU, cores, kernel.
pub fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let has = |flag| if has_cpu_flag(flag) { "with" } else { "without" };
    format!(
        "{cpu}, {cores} cores, {} VAES, {} SHA-NI, Linux {}",
        has("vaes"),
        has("sha_ni"),
        kernel.trim()
    )
}

fn has_cpu_flag(flag: &str) -> bool {
    field("/proc/cpuinfo", "flags").is_some_and(|flags| flags.split(' ').any(|has| has == flag))
}

/// The largest resident size this process ever had, in bytes.
pub fn peak_resident_bytes() -> u64 {
    status_bytes("VmHWM")
}

/// The resident size of this process now, in bytes.
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS")
}

fn status_bytes(name: &str) -> u64 {
    let kib = field("/proc/self/status", name);
    kib.and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The first `name: value` of a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    values.next()
}

/// Bytes of all files under `folder`.
///
/// # Errors
/// What the file system says.
pub fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_is_resident() {
        // In this order: other tests of this process take memory meanwhile.
        let resident_bytes = super::resident_bytes();
        assert!(resident_bytes > 1 << 16);
        assert!(super::peak_resident_bytes() >= resident_bytes);
        assert!(super::describe().contains("cores"));
    }
}
