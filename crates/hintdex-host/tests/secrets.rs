//! Sources of secrets, and what their errors say.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hintdex_host::{Exposed, MAX_SECRET_LEN_BYTES, SecretSource};

fn source(name: &str) -> SecretSource {
    SecretSource::parse(name.as_ref()).expect("the name of a source")
}

fn refused(name: &str, words: &[&str]) {
    let text = source(name).read("master key").expect_err("it is refused").to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn names_of_sources_are_read() {
    assert_eq!(source("prompt"), SecretSource::Prompt);
    assert_eq!(source("./prompt"), SecretSource::File("./prompt".into()));
    assert_eq!(source("credential:a-b.c"), SecretSource::Credential("a-b.c".into()));
    let words = ["pass", "show", "fleet"].map(str::to_owned).to_vec();
    assert_eq!(source("command:pass  show\tfleet "), SecretSource::Command(words));
    assert_eq!(source("Credential:x"), SecretSource::File("Credential:x".into()));
    for bad in ["", "credential:", "credential:a/b", "credential:..", "command:", "command:  "] {
        let why = SecretSource::parse(bad.as_ref()).expect_err("it is refused");
        assert!(!why.is_empty(), "{bad}");
    }
    for name in ["the.key", "credential:the-key", "command:cat the.key", "prompt"] {
        assert!(!format!("{:?}", source(name)).contains("the"), "{name}");
    }
}

#[test]
fn files_are_read_as_they_are_and_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("the.key");
    let name = path.to_str().expect("text");
    for text in [&b"x"[..], b" a b \r\n", &[0xff; MAX_SECRET_LEN_BYTES]] {
        fs::write(&path, text).expect("it can be written");
        assert_eq!(source(name).read("passphrase").expect("it is there").as_slice(), text);
    }
    fs::write(&path, [1; MAX_SECRET_LEN_BYTES + 1]).expect("it can be written");
    refused(name, &["the.key", "more than 1024 bytes"]);
    fs::write(&path, "").expect("it can be written");
    refused(name, &["the.key", "yields nothing"]);
    refused(folder.path().to_str().expect("text"), &["cannot be read"]);
    // A path that is not there may be the key: it is described.
    let missing = folder.path().join("00112233445566778899");
    refused(missing.to_str().expect("text"), &["cannot be opened", "No such file", "not the"]);
    let text = source(missing.to_str().expect("text")).read("x").expect_err("no").to_string();
    assert!(!text.contains("0011"), "{text}");
    refused("prompt:x", &["cannot be opened", "credential:NAME"]);
}

#[test]
fn a_missing_credential_names_the_remedy() {
    // The tests of this crate do not run as a service.
    assert!(std::env::var_os("CREDENTIALS_DIRECTORY").is_none());
    refused("credential:station-key", &["station-key", "$CREDENTIALS_DIRECTORY", "LoadCredential"]);
    refused("credential:00112233445566", &["(14 characters)"]);
}

#[test]
fn failures_of_commands_name_the_program_alone() {
    refused("command:false token-of-the-user", &["the command false failed", "exit status: 1"]);
    refused("command:/no/such/program x", &["/no/such/program", "cannot be started"]);
    refused("command:true", &["the command true yields nothing"]);
    refused("command:yes", &["more than 1024 bytes"]);
    let error = source("command:false token-of-the-user").read("x").expect_err("it fails");
    assert!(!format!("{error} {error:?}").contains("token"), "{error:?}");
}

#[test]
fn files_of_secrets_that_others_can_read_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("the.key");
    fs::write(&path, "x").expect("it can be written");
    let from_file = source(path.to_str().expect("text"));
    for (mode, is_exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        let found = from_file.exposed();
        assert_eq!(found.is_some(), is_exposed, "{mode:o}");
        let says = |found: &Exposed| found.to_string().contains("it holds a secret; close it");
        assert!(found.as_ref().is_none_or(says), "{found:?}");
    }
    assert!(source("command:true").exposed().is_none() && source("prompt").exposed().is_none());
}
