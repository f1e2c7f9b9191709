//! What is synced, and in which order, by the system calls: this test runs itself under
//! `strace`.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hintdex_host::{Draft, DraftFolder, FileError, create_private_folders, publish};

/// Where the traced child finds its folder and the name of its work.
const FOLDER: &str = "HINTDEX_HOST_SYNCS_FOLDER";
const WORK: &str = "HINTDEX_HOST_SYNCS_WORK";

fn work(name: &str, folder: &Path) -> Result<(), FileError> {
    let target = folder.join("target");
    match name {
        "publish" => publish(&target, &[b"new"]),
        "publish_new" => {
            let mut draft = Draft::beside(&target)?;
            draft.write(b"new")?;
            draft.publish_new().map(drop)
        }
        "folder" => DraftFolder::beside(&target)?.publish(),
        "folders" => create_private_folders(&target.join("deep")),
        other => unreachable!("{other} is no work"),
    }
}

/// The child: does its work and writes the error, and whether the file is in place.
#[test]
#[ignore = "run by the tests below, under strace"]
fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let name = env::var(WORK).expect("the parent says what");
    let outcome = match work(&name, &folder) {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{}|{}|{error}", error.is_published(), error.doing()),
    };
    fs::write(folder.join("outcome"), outcome).expect("written");
}

/// The traced calls of the child that name its folder, and its outcome.
fn traced(name: &str, folder: &Path, inject: Option<&str>) -> (Vec<String>, String) {
    let log = folder.join("log");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "4096"]);
    strace.args(["-e", "trace=fsync,rename,renameat,renameat2,mkdir,link,linkat"]);
    strace.args(inject.map(|inject| format!("--inject={inject}")));
    strace.arg("-o").arg(&log).arg(env::current_exe().expect("this test"));
    strace.args(["--exact", "child", "--ignored", "--test-threads=1"]);
    strace.env(FOLDER, folder).env(WORK, name);
    let output = strace.output().expect("strace is installed (make setup)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let calls = fs::read_to_string(&log).expect("a log");
    let of_folder = calls.lines().filter(|call| call.contains(&folder.display().to_string()));
    let outcome = fs::read_to_string(folder.join("outcome")).expect("an outcome");
    (of_folder.map(str::to_owned).collect(), outcome)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().canonicalize().expect("a path");
    (kept, folder)
}

/// The place of the first call of which `is_it` is true.
fn place(calls: &[String], is_it: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().position(|call| is_it(call));
    found.unwrap_or_else(|| unreachable!("no such call in {calls:#?}"))
}

#[test]
fn a_file_is_synced_then_named_then_its_folder_is_synced() {
    for name in ["publish", "publish_new"] {
        let (_kept, folder) = folder();
        let (calls, outcome) = traced(name, &folder, None);
        assert_eq!(outcome, "done");
        let draft = place(&calls, |call| call.contains("fsync(") && call.contains(".making>)"));
        let named = place(&calls, |call| {
            (call.contains("rename") || call.contains("link")) && call.contains("/target\"")
        });
        let of_folder = format!("<{}>)", folder.display());
        let synced = place(&calls, |call| call.contains("fsync(") && call.contains(&of_folder));
        assert!(draft < named && named < synced, "{calls:#?}");
    }
}

#[test]
fn the_names_of_folders_are_synced() {
    let (_kept, folder) = folder();
    let (calls, _) = traced("folder", &folder, None);
    let named = place(&calls, |call| call.contains("rename") && call.contains("/target\""));
    let of_folder = format!("<{}>)", folder.display());
    let synced = place(&calls, |call| call.contains("fsync(") && call.contains(&of_folder));
    assert!(named < synced, "{calls:#?}");
    let (_kept, folder) = self::folder();
    let (calls, _) = traced("folders", &folder, None);
    for made in [folder.join("target"), folder.join("target/deep")] {
        let quoted = format!("\"{}\"", made.display());
        let made_at = place(&calls, |call| call.contains("mkdir(") && call.contains(&quoted));
        let parent = format!("<{}>)", made.parent().expect("it has one").display());
        let is_synced = |call: &String| call.contains("fsync(") && call.contains(&parent);
        assert!(calls.iter().skip(made_at).any(is_synced), "{calls:#?}");
    }
}

/// The first sync fails: the old file stays. The second fails: the new file is in place.
#[test]
fn a_failed_sync_is_reported_for_what_it_is() {
    for (nth, is_published, doing) in
        [(1, false, "syncing"), (2, true, "syncing the folder of the new file")]
    {
        for name in ["publish", "publish_new"] {
            let (_kept, folder) = folder();
            let (_, outcome) = traced(name, &folder, Some(&format!("fsync:error=EIO:when={nth}")));
            assert!(outcome.starts_with(&format!("{is_published}|{doing}|")), "{outcome}");
            assert!(outcome.contains("Input/output error"), "{outcome}");
            assert_eq!(outcome.contains("readers see the new file"), is_published, "{outcome}");
            assert_eq!(folder.join("target").exists(), is_published);
            let names = fs::read_dir(&folder).expect("a folder").flatten();
            let is_draft = |name: &str| name.ends_with(".making");
            assert!(
                !names.map(|entry| entry.file_name()).any(|name| is_draft(&name.to_string_lossy()))
            );
        }
    }
}
