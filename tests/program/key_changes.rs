//! Changes of the protection of a master key: the verdicts stay, a crash leaves the old protection
//! or the new, and the old bytes go.

use std::ffi::OsStr;
use std::fs;

use hintdex_tests::Capture;
use hintdex_tests::program::verify;
use hintdex_tests::trace::{ends_before, traced};

use crate::vault::{CREDENTIAL, PLAIN, Vault, WORDS};

/// Each protection to each, twice: the devices and their states stay.
#[test]
fn every_change_of_the_protection_keeps_the_verdicts() {
    let mut vault = Vault::new();
    vault.provision("|--master-key|{}/the.key").done();
    let file = ("--to|file", PLAIN, "file");
    let words = ("--to|passphrase|--new-passphrase|{}/words", WORDS, "passphrase");
    let others = (
        "--to|passphrase|--new-passphrase|command:cat {}/others",
        "|--passphrase|{}/others",
        "passphrase",
    );
    let credential = ("--to|external|--new-master-key|credential:the.key", CREDENTIAL, "external");
    let path =
        ("--to|external|--new-master-key|{}/the.key", "|--master-key|{}/the.key", "external");
    let mut access = PLAIN;
    for (to, opens, kind) in [
        file, words, others, words, credential, path, credential, words, file, credential, file,
        words, path, others, file,
    ] {
        vault.all_send(access);
        vault.run(&format!("key|rewrap|--index|{{}}/fleet|{to}{access}")).done();
        assert_eq!(vault.kind(), kind);
        assert_eq!(vault.key_files().len(), 1, "{to}: {:?}", vault.key_files());
        access = opens;
        vault.all_send(access);
    }
    let kept = fs::read_to_string(vault.fleet.join("master.key")).expect("it is there");
    assert_eq!(kept.trim(), Capture::master_key_hex());
    verify(&vault.fleet);
}

/// A source that reads the key of this folder would have nothing to read afterwards.
#[test]
fn a_key_is_not_left_to_a_source_that_needs_the_folder() {
    let mut vault = Vault::new();
    vault.provision("|--master-key|{}/the.key").done();
    vault.write("another.key", &"7".repeat(64));
    for source in ["{}/fleet/master.key", "command:cat {}/fleet/master.key", "{}/another.key"] {
        let call = format!("key|rewrap|--index|{{}}/fleet|--to|external|--new-master-key|{source}");
        let refused = vault.run(&call);
        assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
        assert_eq!(vault.key_files(), ["master.key"], "{source}");
        vault.all_send(PLAIN);
    }
}

#[test]
fn a_change_needs_its_source_and_provision_does_not_change_a_protection() {
    let vault = Vault::new();
    vault.provision("|--protect|passphrase").refused(2, &["--protect", "--passphrase SOURCE"]);
    vault.provision("|--protect|external").refused(2, &["--protect", "--master-key SOURCE"]);
    assert!(!vault.fleet.exists());
    vault.run("key|show|--index|{}/fleet").refused(2, &["no index here"]);
    vault.provision("").done();
    let rewrap = "key|rewrap|--index|{}/fleet|--to";
    vault.run(&format!("{rewrap}|passphrase")).refused(2, &["--to", "--new-passphrase SOURCE"]);
    vault.run(&format!("{rewrap}|external")).refused(2, &["--to", "--new-master-key SOURCE"]);
    vault.run(&format!("{rewrap}|nowhere")).refused(2, &["nowhere", "--to"]);
    let more = "|--first-device|500|--protect|passphrase|--passphrase|{}/words";
    vault.provision(more).refused(2, &["--protect", "in the clear", "key rewrap"]);
    vault.provision("|--first-device|500|--protect|file").done();
}

/// Each change, killed at each of these calls: the old protection or the new one, and no third
/// thing once the fleet was opened.
#[test]
fn a_change_that_is_killed_at_any_step_leaves_the_old_protection_or_the_new() {
    let mut vault = Vault::new();
    vault.provision("|--master-key|{}/the.key").done();
    let key = vault.path("the.key");
    let words = vault.path("words");
    let to_file = vec!["--to", "file", "--master-key", &key];
    let to_words = vec!["--to", "passphrase", "--new-passphrase", &words, "--master-key", &key];
    let to_elsewhere = vec!["--to", "external", "--new-master-key", &key, "--master-key", &key];
    let both = "|--master-key|{}/the.key|--passphrase|{}/words";
    let (mut kills, mut before) = (0, "file".to_owned());
    for (to, after) in [(&to_words, "passphrase"), (&to_elsewhere, "external"), (&to_file, "file")]
    {
        for call in ["linkat", "rename", "unlink", "fsync"] {
            for nth in 1.. {
                let named = ["key", "rewrap", "--index"].map(OsStr::new).into_iter();
                let args = named.chain([vault.fleet.as_os_str()]);
                let ended = ends_before(call, nth, args.chain(to.iter().map(OsStr::new)));
                vault.all_send(both);
                let (kind, files) = (vault.kind(), vault.key_files());
                assert_eq!(files.len(), 1, "{after}, {call} {nth}: {files:?}");
                assert!(kind == before || kind == after, "{kind}, {call} {nth}");
                if ended {
                    assert_eq!(kind, after);
                    break;
                }
                kills += 1;
                assert!(nth < 200, "{call} without an end");
            }
        }
        before = after.to_owned();
    }
    assert!(kills > 30, "{kills} kills only");
    let kept = fs::read_to_string(vault.fleet.join("master.key")).expect("it is there");
    assert_eq!(kept.trim(), Capture::master_key_hex());
}

/// The bytes of the old file are zeros before its last name goes.
#[test]
fn the_old_file_is_overwritten_before_it_is_removed() {
    let vault = Vault::new();
    vault.provision("|--master-key|{}/the.key").done();
    let log = vault.root.join("log");
    for to in [vec!["--to", "passphrase", "--new-passphrase"], vec!["--to", "file", "--passphrase"]]
    {
        let words = vault.path("words");
        let args = ["key", "rewrap", "--index"].map(OsStr::new).into_iter();
        let args = args.chain([vault.fleet.as_os_str()]).chain(to.iter().map(OsStr::new));
        let args = args.chain([OsStr::new(&words)]);
        let (outcome, calls) = traced("write,fsync,unlink,rename", &[], args, "", &log);
        outcome.done();
        let of_old: Vec<&str> = calls
            .iter()
            .filter(|line| line.contains("master.key.old"))
            .map(|line| line.split_once(' ').map_or("", |(_, call)| call.trim()))
            .collect();
        let [write, sync, unlink] = of_old.as_slice() else { panic!("{calls:#?}") };
        assert!(write.starts_with("write(") && write.contains("\\0\\0\\0\\0"), "{write}");
        assert!(sync.starts_with("fsync(") && unlink.starts_with("unlink("), "{sync} {unlink}");
        let digits = Capture::master_key_hex();
        let hex_in_calls = calls.iter().filter(|line| line.contains(&digits)).count();
        let to_file = usize::from(to[1] == "file");
        assert_eq!(hex_in_calls, to_file, "the key is written in the clear where it was asked for");
    }
}
