//! Every file of a fleet is published the same way: private, synced before the rename, its
//! folder synced after it. The system calls of the program show the order, and each sync is
//! made to fail once.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hintdex_tests::program::{command, provision, run, run_with};
use hintdex_tests::{Devices, Outcome, decode, trace};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The calls that a publication is made of.
const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,link,linkat";

/// Runs the program with `options` of `strace`; its outcome and the calls above.
fn traced(options: &[&str], args: &[&OsStr], input: &str, log: &Path) -> (Outcome, Vec<String>) {
    trace::traced(CALLS, options, args, input, log)
}

/// The files that a trace published, each with its draft and both of its syncs.
fn published(calls: &[String]) -> Vec<PathBuf> {
    let is_sync = |call: &str, path: &Path| {
        call.contains("sync(") && call.contains(&format!("<{}>)", path.display()))
    };
    let mut targets = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let quoted: Vec<&str> = call.split('"').collect();
        let (true, [_, from, _, to, ..]) = (call.ends_with("= 0"), quoted.as_slice()) else {
            continue;
        };
        // A successor was published under its first name.
        let is_published = from.ends_with("-next.hdx");
        if !from.ends_with(".making") && !is_published {
            continue;
        }
        let (from, to) = (Path::new(from), Path::new(to));
        let folder = to.parent().expect("a full path");
        let is_folder = to.is_dir();
        assert!(
            is_folder || is_published || calls[..at].iter().any(|call| is_sync(call, from)),
            "{} was not synced before it was published:\n{calls:#?}",
            to.display()
        );
        assert!(
            calls[at..].iter().any(|call| is_sync(call, folder)),
            "{} was not synced after {} was published:\n{calls:#?}",
            folder.display(),
            to.display()
        );
        targets.push(to.to_owned());
    }
    targets
}

/// No file or folder below `folder` is anybody else's.
fn assert_private(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & !wanted, 0, "{} has mode {mode:04o}", path.display());
        assert!(!path.to_string_lossy().ends_with(".making"), "{}", path.display());
        if path.is_dir() {
            assert_private(&path);
        }
    }
}

#[test]
fn every_published_file_is_private_and_synced_before_and_after_its_rename() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let log = root.join("log");
    let (work, packets) = (root.join("work"), Devices::of_capture().line(1, 0, b"x"));
    fs::create_dir(&work).expect("a folder");
    fs::set_permissions(&work, Permissions::from_mode(0o700)).expect("a mode");
    let [fleet, beacons, file] =
        ["fleet", "beacons", "fleet.hdx"].map(|name| work.join(name).display().to_string());
    let import = format!(
        "id,hint_key,dev_key\n7,{KEY},{}\n",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    );
    let identity = format!("id,irk\n1,{KEY}\n");
    let calls: [(&[&str], &str, &[&str]); 6] = [
        (
            &["provision", "--devices", "3", "--index", &fleet],
            "",
            &["index", "master.key", "snapshot-next.hdx", "snapshot.hdx"],
        ),
        (
            &["provision", "--keys", "-", "--index", &fleet],
            &import,
            &["device.keys", "snapshot-next.hdx", "snapshot.hdx"],
        ),
        (&["roll", "--index", &fleet], "", &["snapshot-next.hdx", "snapshot.hdx"]),
        (&["rebuild", "--index", &fleet, "--out", &file], "", &["fleet.hdx"]),
        (&["decode", "--index", &fleet], &packets, &[]),
        (
            &["import-keys", "--scheme", "ble-rpa", "-", "--beacons", &beacons],
            &identity,
            &["beacons.keys"],
        ),
    ];
    for (args, input, wanted) in calls {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let (outcome, calls) = traced(&[], &args, input, &log);
        outcome.done();
        let mut names: Vec<_> = published(&calls)
            .iter()
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, wanted, "{args:?}\n{calls:#?}");
        assert_private(&work);
    }
    // The resolver makes its record of windows, and a window, before it makes the clocks.
    let heard = format!("{{\"id\":\"{KEY}\",\"unix_s\":1764000000}}\n");
    let args = ["identify", "--beacons", &beacons, "--now", "1764000000"].map(OsStr::new);
    let (_, calls) = traced(&[], &args, &heard, &log);
    published(&calls);
    assert_private(&work);
}

#[test]
fn a_sync_that_fails_is_reported_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (fleet, file, log) = (root.join("fleet"), root.join("fleet.hdx"), root.join("log"));
    provision(&fleet, &["--devices", "300"]).done();
    let rebuild = |horizon: &str, options: &[&str]| {
        let args = ["rebuild", "--threads", "1", "--horizon", horizon, "--index"].map(OsStr::new);
        let args: Vec<&OsStr> = args
            .into_iter()
            .chain([fleet.as_os_str(), "--out".as_ref(), file.as_os_str()])
            .collect();
        traced(options, &args, "", &log).0
    };
    rebuild("10", &[]).done();
    let old = fs::read(&file).expect("a snapshot");
    let (mut kept, mut in_doubt) = (0, 0);
    let root_text = root.display().to_string();
    // Each thread counts its own calls; only the publication syncs the folder of the file.
    let first_of_folder = ["-P", &root_text, "-e", "inject=fsync:error=EIO:when=1"];
    for nth in 0.. {
        fs::write(&file, &old).expect("the old file can be put back");
        let inject = format!("inject=fsync:error=EIO:when={nth}");
        let options: &[&str] = if nth == 0 { &first_of_folder } else { &["-e", &inject] };
        let outcome = rebuild("20", options);
        let drafts = fs::read_dir(&root).expect("a folder").flatten();
        let drafts =
            drafts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".making"));
        assert_eq!(drafts.count(), 0, "a draft was left behind");
        if outcome.code == Some(0) {
            break;
        }
        let is_old = fs::read(&file).expect("a snapshot") == old;
        let said_new = outcome.stderr.contains("readers see the new file");
        assert_eq!(said_new, !is_old, "{}", outcome.stderr);
        outcome.refused(1, &["Input/output error"]);
        (kept, in_doubt) = (kept + usize::from(is_old), in_doubt + usize::from(!is_old));
    }
    assert!(kept >= 1 && in_doubt == 1, "{kept} kept, {in_doubt} in doubt");
}

#[test]
fn a_failed_registration_leaves_no_file_with_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (beacons, log) = (root.join("beacons"), root.join("log"));
    let keys = format!("id,irk\n1,{KEY}\n");
    let mut refused = 0;
    for nth in 1.. {
        let args = ["import-keys", "--scheme", "ble-rpa", "-", "--beacons"].map(OsStr::new);
        let args: Vec<&OsStr> = args.into_iter().chain([beacons.as_os_str()]).collect();
        let inject = format!("inject=fsync:error=ENOSPC:when={nth}");
        let (outcome, _) = traced(&["-e", &inject], &args, &keys, &log);
        if outcome.code == Some(0) {
            break;
        }
        refused += 1;
        let secret = hex::decode(KEY).expect("hex digits");
        for entry in fs::read_dir(&beacons).into_iter().flatten().flatten() {
            let content = fs::read(entry.path()).expect("a file");
            let is_published = outcome.stderr.contains("readers see the new file");
            let has_key = content.windows(16).any(|part| part == secret);
            assert!(!has_key || is_published, "{} has the key", entry.path().display());
        }
        let _ = fs::remove_dir_all(&beacons);
    }
    assert!(refused >= 2, "{refused} refused");
}

#[test]
fn files_that_others_can_read_are_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("fleet.hdx"));
    provision(&fleet, &["--devices", "10"]).done();
    let rebuild = ["rebuild".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    let rebuilt = run(rebuild.into_iter().chain(["--out".as_ref(), file.as_os_str()])).done();
    assert!(!rebuilt.stderr.contains("chmod"), "{}", rebuilt.stderr);
    let open = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    };
    open(&file, 0o644);
    for args in [["verify".as_ref(), file.as_os_str()], ["inspect".as_ref(), file.as_os_str()]] {
        let said = run_with(command(args), "").done().stderr;
        assert!(said.contains(&format!("chmod 600 {}", file.display())), "{said}");
    }
    let snapshot = file.display().to_string();
    let said = decode(&fleet, &["--snapshot", &snapshot], "00\n").stderr;
    assert!(said.contains(&format!("chmod 600 {snapshot}")), "{said}");
    open(&fleet.join("master.key"), 0o640);
    open(&fleet, 0o755);
    for name in ["verify", "inspect"] {
        let said = run_with(command([name.as_ref(), fleet.as_os_str()]), "").done().stderr;
        assert!(said.contains(&format!("chmod 700 {}", fleet.display())), "{said}");
        assert!(said.contains(&format!("chmod 600 {}", fleet.join("master.key").display())));
    }
}

#[test]
fn a_snapshot_replaces_nothing_but_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("fleet.hdx"));
    let link = folder.path().join("link.hdx");
    provision(&fleet, &["--devices", "10"]).done();
    fs::write(&file, "somebody's").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    for (out, why) in [(link.as_path(), "symbolic link"), (Path::new("/dev/null"), "regular file")]
    {
        let args = ["rebuild".as_ref(), "--index".as_ref(), fleet.as_os_str()];
        let outcome = run(args.into_iter().chain(["--out".as_ref(), out.as_os_str()]));
        outcome.refused(2, &[why, "give the path"]);
    }
    assert_eq!(fs::read(&file).expect("readable"), b"somebody's");
}
