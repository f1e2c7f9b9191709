//! The resident memory of a process, as the kernel reports it.

use std::fs;

/// The resident size of this process in bytes, mapped files included.
pub fn resident_bytes() -> u64 {
    field_bytes("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// The largest resident size of this process in bytes, since its start or [`forget_peak`].
pub fn peak_resident_bytes() -> u64 {
    field_bytes("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// Lets the peak begin again at the present resident size.
pub fn forget_peak() -> std::io::Result<()> {
    // proc(5): 5 resets the peak resident set size.
    fs::write("/proc/self/clear_refs", "5")
}

/// A field of a file in `/proc` that is in kB, in bytes.
pub fn field_bytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}
