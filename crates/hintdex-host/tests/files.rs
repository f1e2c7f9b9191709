//! Private, whole, one owner: what the files of a fleet are promised to be. That they are
//! synced, and in which order, is shown by the system calls of the program
//! (`tests/program/durability.rs`).
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hintdex_host::{
    Draft, DraftFolder, Exposed, FolderLock, LockError, create_private_folders, is_draft, publish,
    remove_folder, remove_folder_at_once, sweep_drafts,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_published_file_is_private_and_whole_and_leaves_no_draft() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    fs::write(&path, "old").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a loose file");
    let mut draft = Draft::beside(&path).expect("a draft");
    draft.write(b"....new").expect("written");
    draft.seek(0).expect("moved");
    draft.write(b"all ").expect("written");
    assert_eq!(fs::read(&path).expect("readable"), b"old", "readers see the old file");
    assert_eq!(names(folder.path()).len(), 2);
    let waiting = names(folder.path()).remove(0);
    assert!(waiting.starts_with(".keys.") && is_draft(waiting.as_ref()), "{waiting}");
    assert!(!is_draft("keys.making".as_ref()) && !is_draft(".keys".as_ref()));
    assert_eq!(mode(&folder.path().join(waiting)), 0o600, "the draft is private from its birth");
    draft.publish().expect("published");
    assert_eq!(fs::read(&path).expect("readable"), b"all new");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["keys"]);
    publish(&path, &[b"a", b"", b"bc"]).expect("published");
    assert_eq!(fs::read(&path).expect("readable"), b"abc");
    assert_eq!((mode(&path), names(folder.path()).len()), (0o600, 1));
}

#[test]
fn a_draft_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    let mut draft = Draft::beside(&path).expect("a draft");
    draft.write(b"secret").expect("written");
    drop(draft);
    drop(DraftFolder::beside(&path).expect("a draft"));
    assert_eq!(names(folder.path()), [""; 0]);
    // Neither does one that cannot be renamed: a folder has come in its way.
    let draft = Draft::beside(&path).expect("a draft");
    fs::create_dir(&path).expect("a folder");
    let refused = draft.publish().expect_err("a folder is no file");
    assert!(!refused.is_published());
    assert_eq!(names(folder.path()), ["keys"]);
}

#[test]
fn a_file_that_is_there_is_not_replaced_by_publish_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("master.key");
    let new = |text: &[u8]| {
        let mut draft = Draft::beside(&path).expect("a draft");
        draft.write(text).expect("written");
        draft.publish_new()
    };
    let kept = new(b"first").expect("published");
    kept.try_lock().expect("a published file is not locked");
    let refused = new(b"second").expect_err("the name is taken");
    assert_eq!((refused.kind(), refused.is_published()), (ErrorKind::AlreadyExists, false));
    assert!(refused.to_string().starts_with(&path.display().to_string()), "{refused}");
    assert_eq!(fs::read(&path).expect("readable"), b"first");
    assert_eq!((mode(&path), names(folder.path()).len()), (0o600, 1));
}

#[test]
fn only_a_regular_file_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "kept").expect("written");
    let link = folder.path().join("link");
    symlink(&file, &link).expect("a link");
    let dangling = folder.path().join("dangling");
    symlink(folder.path().join("none"), &dangling).expect("a link");
    for (path, why) in [
        (link.as_path(), "symbolic link"),
        (dangling.as_path(), "symbolic link"),
        (folder.path(), "not a regular file"),
        (Path::new("/dev/null"), "not a regular file"),
    ] {
        let refused = Draft::beside(path).expect_err("no regular file").to_string();
        assert!(refused.contains(why) && refused.contains("give the path"), "{refused}");
    }
    assert_eq!(fs::read(&file).expect("readable"), b"kept");
    assert_eq!(names(folder.path()), ["dangling", "file", "link"]);
}

#[test]
fn abandoned_drafts_are_removed_and_those_at_work_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let [path, other] = ["fleet.hdx", "other.hdx"].map(|name| folder.path().join(name));
    let at_work = Draft::beside(&path).expect("a draft");
    let abandoned = folder.path().join(".fleet.hdx.AbC123.making");
    let of_another = folder.path().join(".other.hdx.AbC123.making");
    for draft in [&abandoned, &of_another] {
        fs::write(draft, "half").expect("written");
    }
    let beside = [".fleet.hdx..making", ".fleet.hdx.a-b.making", "fleet.hdx.a.making"];
    for name in beside {
        fs::write(folder.path().join(name), "somebody's").expect("written");
    }
    let second = Draft::beside(&path).expect("a draft");
    assert!(!abandoned.exists() && of_another.exists());
    assert!(beside.iter().all(|name| folder.path().join(name).exists()));
    second.publish().expect("published");
    at_work.publish().expect("the first draft was not disturbed");
    Draft::beside(&other).expect("a draft").publish().expect("published");
    assert!(!of_another.exists());
}

#[test]
fn a_sweep_removes_what_nobody_finishes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at_work = Draft::beside(&folder.path().join("fleet.hdx")).expect("a draft");
    fs::create_dir_all(folder.path().join(".index.aaa.making/inside")).expect("a folder");
    fs::write(folder.path().join(".keys.bbb.making"), "half").expect("written");
    for kept in ["keys.making", ".keys"] {
        fs::write(folder.path().join(kept), "kept").expect("written");
    }
    sweep_drafts(folder.path());
    at_work.publish().expect("a draft at work is left alone");
    assert_eq!(names(folder.path()), [".keys", "fleet.hdx", "keys.making"]);
}

#[test]
fn folders_are_private_and_take_the_place_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a/b");
    create_private_folders(&deep).expect("made");
    create_private_folders(&deep).expect("there already");
    assert_eq!((mode(&deep), mode(&folder.path().join("a"))), (0o700, 0o700));
    let target = deep.join("index");
    let draft = DraftFolder::beside(&target).expect("a draft");
    assert_eq!(mode(draft.path()), 0o700);
    fs::write(draft.path().join("CURRENT"), "x").expect("written");
    draft.publish().expect("published");
    assert_eq!(names(&deep), ["index"]);
    let second = DraftFolder::beside(&target).expect("a draft");
    let refused = second.publish().expect_err("the name is taken");
    assert_eq!(refused.kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!((names(&deep), names(&target)), (vec!["index".into()], vec!["CURRENT".into()]));
    remove_folder_at_once(&target).expect("removed");
    assert_eq!(names(&deep), [""; 0]);
    remove_folder_at_once(&target).expect_err("nothing to remove");
    remove_folder(&target).expect("nothing to remove");
    assert_eq!(names(&deep), [""; 0]);
    let file = folder.path().join("file");
    File::create(&file).expect("made");
    create_private_folders(&file.join("below")).expect_err("a file is in the way");
    create_private_folders(&file).expect_err("a file is in its place");
    remove_folder(&file).expect_err("it is no folder");
    assert!(file.is_file());
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = FolderLock::take(folder.path(), "fleet.lock").expect("free");
    assert!(matches!(FolderLock::take(folder.path(), "fleet.lock"), Err(LockError::Held)));
    assert_eq!(mode(&folder.path().join("fleet.lock")), 0o600);
    drop(lock);
    FolderLock::take(folder.path(), "fleet.lock").expect("free again");
    let none = folder.path().join("none");
    assert!(matches!(FolderLock::take(&none, "fleet.lock"), Err(LockError::File(_))));
}

#[test]
fn what_others_may_read_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet.hdx");
    fs::write(&path, "x").expect("written");
    let with = |mode| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        Exposed::find(&path)
    };
    assert_eq!(with(0o600), None);
    assert_eq!(with(0o400), None);
    for mode in [0o640, 0o604, 0o602, 0o610, 0o644] {
        let warning = with(mode).expect("exposed").to_string();
        assert!(warning.contains(&format!("{mode:04o}")), "{warning}");
        assert!(warning.ends_with(&format!("chmod 600 {}", path.display())), "{warning}");
    }
    assert_eq!(Exposed::find(&folder.path().join("none")), None);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).expect("a mode");
    let warning = Exposed::find(folder.path()).expect("exposed").to_string();
    assert!(warning.contains("chmod 700"), "{warning}");
    let found: Vec<String> =
        Exposed::find_in(folder.path()).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "the folder and the file: {found:?}");
    assert_eq!(found.first(), Some(&warning));
}
