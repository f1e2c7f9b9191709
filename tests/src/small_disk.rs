//! A disk that is full when a test wants it to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system of a few megabytes, gone when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` where that is not allowed.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("no tmpfs may be mounted here; the limit on file sizes shows the same");
        }
        mounted.then_some(Self { folder })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it up but for `spare_bytes`.
    pub fn fill(&self, spare_bytes: u64) {
        let ballast = self.ballast();
        let mut len_bytes = 0u64;
        let file = fs::File::create(&ballast).expect("a file can be made");
        let zeros = vec![0; 64 << 10];
        while std::io::Write::write_all(&mut &file, &zeros).is_ok() {
            len_bytes += zeros.len() as u64;
        }
        file.set_len(len_bytes.saturating_sub(spare_bytes)).expect("a file can be cut");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Makes room again.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
