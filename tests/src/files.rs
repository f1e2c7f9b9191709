//! Folders copied, and files found in them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A new folder in memory where the system has one, else on the disk: for tests that make
/// and open many fleets, none of which asks what a disk keeps.
pub fn folder_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// Copies a folder and every file and folder in it, with the permissions of each.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    let permissions = fs::metadata(from).expect("the folder is there").permissions();
    fs::set_permissions(to, permissions).expect("they can be set");
    for entry in fs::read_dir(from).expect("the folder can be listed") {
        let entry = entry.expect("the folder can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type is known").is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().expect("its type is known").is_file() {
            // The socket that a killed station has left is nobody's.
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// Replaces a folder by a copy of another.
pub fn replace_folder(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("the folder can be removed");
    }
    copy_folder(from, to);
}

/// The files of a folder whose names `wanted` takes, in the order of their names.
pub fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.is_file())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
        .collect();
    paths.sort();
    paths
}

/// The store's write-ahead log that was begun last.
pub fn newest_log(fleet: &Path) -> PathBuf {
    let logs = files(&fleet.join("index"), |name| name.ends_with(".log"));
    logs.last().expect("an open index has a log").clone()
}

/// The number of the window that was made last, declared or not: the store names
/// every family it makes in its manifest.
pub fn newest_window(fleet: &Path) -> u64 {
    let manifests = files(&fleet.join("index"), |name| name.starts_with("MANIFEST-"));
    let bytes = fs::read(manifests.last().expect("a store has a manifest")).expect("a file");
    let names = bytes.windows(14).filter_map(|window| {
        let digits = std::str::from_utf8(window.strip_prefix(b"hints-")?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    });
    names.max().unwrap_or(0)
}

/// What a folder takes on the disk, in bytes: whole blocks, as `du` counts them.
pub fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let bytes = |path: PathBuf| {
        if path.is_dir() {
            return disk_bytes(&path);
        }
        512 * fs::metadata(path).expect("a file has a size").blocks()
    };
    entries.map(|entry| bytes(entry.expect("the folder can be listed").path())).sum()
}
