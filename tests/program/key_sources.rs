//! Master keys from every source, and every protection in a fleet's folder: what is right opens
//! the fleet, and what is wrong is refused with its remedy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hintdex_tests::Devices;
use hintdex_tests::program::{run_with, verify};

use crate::vault::{CREDENTIAL, PLAIN, Vault, WORDS};

#[test]
fn a_fleet_decodes_under_a_key_from_every_source() {
    for (created, opened, kind) in [
        ("|--master-key|{}/the.key", PLAIN, "file"),
        ("|--master-key|{}/the.key", "|--master-key|{}/the.key", "file"),
        ("|--master-key|{}/the.key|--protect|external", "|--master-key|{}/the.key", "external"),
        (CREDENTIAL, CREDENTIAL, "external"),
        (CREDENTIAL, "|--master-key|command:cat {}/the.key", "external"),
        ("|--master-key|command:cat {}/the.key", "|--master-key|{}/the.key", "external"),
        ("|--master-key|credential:the.key|--protect|file", PLAIN, "file"),
        ("|--master-key|{}/the.key|--passphrase|{}/words", WORDS, "passphrase"),
        (
            "|--master-key|{}/the.key|--passphrase|credential:words",
            "|--passphrase|command:cat {}/words",
            "passphrase",
        ),
        // The key itself opens a fleet whose passphrase is lost.
        ("|--master-key|{}/the.key|--passphrase|{}/words", CREDENTIAL, "passphrase"),
    ] {
        let mut vault = Vault::new();
        vault.provision(created).done();
        assert_eq!(vault.kind(), kind, "{created}");
        vault.all_send(opened);
        vault.all_send(opened);
        let expected = if kind == "external" { "master.place" } else { "master.key" };
        assert_eq!(vault.key_files(), [expected], "{created}");
        let mode = fs::metadata(vault.fleet.join(expected)).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        // The environment names sources as the options do.
        let mut command = vault.command("verify|{}/fleet");
        for (option, variable) in
            [("--master-key", "HINTDEX_MASTER_KEY"), ("--passphrase", "HINTDEX_PASSPHRASE")]
        {
            if let Some((_, source)) = opened.split_once(&format!("{option}|")) {
                command.env(variable, source.replace("{}", &vault.path("")));
            }
        }
        run_with(command, "").done();
    }
}

#[test]
fn every_command_that_opens_a_fleet_takes_the_sources() {
    let vault = Vault::new();
    vault.provision(&format!("{WORDS}|--master-key|{{}}/the.key")).done();
    let hint = hex::encode(&Devices::of_capture().packet(3, 0, b"?")[..16]);
    for call in [
        "verify|{}/fleet",
        "inspect|{}/fleet",
        "decode|--index|{}/fleet|/dev/null",
        "roll|--index|{}/fleet",
        "rebuild|--index|{}/fleet|--out|{}/some.hdx",
        "verify|{}/some.hdx|--index|{}/fleet",
        &format!("resolve|--index|{{}}/fleet|{hint}"),
        "provision|--index|{}/fleet|--devices|1|--first-device|500",
    ] {
        vault.run(call).refused(2, &["wrapped under a passphrase", "--passphrase"]);
        let opened = vault.run(&format!("{call}{WORDS}")).done();
        assert!(!opened.stderr.contains("note"), "{}", opened.stderr);
    }
}

#[test]
fn wrong_secrets_are_refused_with_their_remedy() {
    let vault = Vault::new();
    vault.provision(&format!("{WORDS}|--master-key|{{}}/the.key")).done();
    vault.write("another.key", &"7".repeat(64));
    vault.write("short.key", "0011");
    vault.write("empty", "");
    vault.write("long", &"x".repeat(2000));
    let call = |more: &str| vault.run(&format!("decode|--index|{{}}/fleet|/dev/null{more}"));
    call("").refused(2, &["master.key", "wrapped", "--passphrase", "HINTDEX_PASSPHRASE"]);
    for (more, code, words) in [
        ("|--passphrase|{}/others", 2, &["master.key", "does not unwrap", "--master-key"][..]),
        ("|--passphrase|command:cat {}/words {}/words", 2, &["does not unwrap"]),
        ("|--passphrase|{}/nothing", 1, &["cannot be opened", "not the passphrase itself"]),
        ("|--passphrase|{}/empty", 1, &["empty", "yields nothing"]),
        ("|--passphrase|{}/long", 1, &["long", "more than 1024 bytes"]),
        ("|--passphrase|credential:none", 1, &["the credential none", "No such file"]),
        ("|--passphrase|command:false", 1, &["the command false failed", "exit status: 1"]),
        ("|--passphrase|command:/no/such", 1, &["/no/such", "cannot be started"]),
        ("|--passphrase|command:yes", 1, &["more than 1024 bytes"]),
        ("|--passphrase|command:", 2, &["--passphrase", "followed by a command"]),
        ("|--passphrase|credential:a/b", 2, &["--passphrase", "without a path"]),
        ("|--master-key|{}/another.key", 2, &["the master key is not the one of this index"]),
        ("|--master-key|{}/short.key", 2, &["short.key", "too short", "64 hex digits"]),
        ("|--master-key|credential:short.key", 2, &["credential:short.key", "64 hex digits"]),
        ("|--master-key|command:cat {}/words", 2, &["command:cat", "not a master key"]),
    ] {
        call(more).refused(code, words);
    }
    // Without a service there are no credentials.
    let mut bare = vault.command("verify|{}/fleet|--passphrase|credential:words");
    bare.env_remove("CREDENTIALS_DIRECTORY");
    run_with(bare, "").refused(1, &["$CREDENTIALS_DIRECTORY is not set", "LoadCredential="]);
    let mut bad = vault.command("verify|{}/fleet");
    bad.env("HINTDEX_PASSPHRASE", "credential:");
    run_with(bad, "").refused(2, &["HINTDEX_PASSPHRASE", "a credential is named"]);
    // The fleet is as it was.
    call(WORDS).done();
    // A fleet without a key names where the key was.
    let rewrap = "key|rewrap|--index|{}/fleet|--to|external|--new-master-key|credential:the.key";
    vault.run(&format!("{rewrap}{WORDS}")).done();
    call("").refused(2, &["master.place", "credential:the.key", "--master-key"]);
    call("|--master-key|{}/another.key").refused(2, &["not the one of this index"]);
    fs::write(vault.fleet.join("master.place"), "?").expect("it can be written");
    call("").refused(2, &["master.place", "not readable", "--master-key"]);
    call(CREDENTIAL).done();
    // Neither is there.
    fs::remove_file(vault.fleet.join("master.place")).expect("it is there");
    call("").refused(1, &["master.key", "No such file"]);
    assert_eq!(vault.kind(), "missing");
    vault.run(&format!("key|rewrap|--index|{{}}/fleet|--to|file{CREDENTIAL}")).done();
    call("").done();
    call("|--master-key|{}/another.key").refused(2, &["the fleet has this master key"]);
}

#[test]
fn files_that_others_can_read_are_noted() {
    let vault = Vault::new();
    let expose = |name: &str| {
        let path = vault.root.join(name);
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("it is ours");
    };
    expose("the.key");
    expose("words");
    let made = vault.provision(&format!("{WORDS}|--master-key|{{}}/the.key")).done();
    for name in ["the.key", "words"] {
        let note = format!("{name}: other users have access (mode 0644), and it holds a secret");
        assert!(made.stderr.contains(&note), "{}", made.stderr);
    }
    let opened = vault.run(&format!("verify|{{}}/fleet{WORDS}")).done();
    assert!(opened.stderr.contains("chmod 600"), "{}", opened.stderr);
}

#[test]
fn every_damaged_byte_of_a_wrapped_key_is_refused_in_one_line() {
    let mut vault = Vault::new();
    vault.provision(&format!("{WORDS}|--master-key|{{}}/the.key")).done();
    let file = vault.fleet.join("master.key");
    let sound = fs::read(&file).expect("it is there");
    assert_eq!(sound.len(), 96);
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        fs::write(&file, bytes).expect("it can be written");
        let refused = vault.run(&format!("verify|{{}}/fleet{WORDS}"));
        // Without its first bytes it is no wrapped key, and no text of a key, either.
        let code = if at < 8 { 2 } else { 1 };
        refused.refused(code, &["master.key"]);
        let words = ["not a master key", "is damaged; restore", "update hintdex"];
        assert!(words.iter().any(|word| refused.stderr.contains(word)), "{}", refused.stderr);
    }
    for len in [0, 1, 8, 10, 95] {
        fs::write(&file, &sound[..len]).expect("it can be written");
        let refused = vault.run(&format!("verify|{{}}/fleet{WORDS}"));
        assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
    }
    // The key itself mends it.
    vault.run(&format!("key|rewrap|--index|{{}}/fleet|--to|file{CREDENTIAL}")).done();
    vault.all_send(PLAIN);
}

#[test]
fn a_fleet_of_hkdf_keys_hears_its_own_devices_only() {
    let vault = Vault::new();
    let provision = "|--master-key|{}/the.key|--derivation|hkdf";
    vault.provision(provision).done();
    let (hmac, hkdf) = (Devices::of_capture(), Devices::of_capture_by_hkdf());
    let verdicts = |nonce: u64| -> Vec<String> {
        let lines = [hkdf.line(7, nonce, b"?"), hmac.line(7, nonce, b"?"), hmac.line(8, 99, b"?")];
        let command = vault.command("decode|--index|{}/fleet");
        let said = run_with(command, lines.concat()).done().verdicts();
        said.into_iter().map(|said| said.verdict).collect()
    };
    assert_eq!(verdicts(0), ["accepted", "unknown", "unknown"]);
    vault.run("roll|--index|{}/fleet").done();
    assert_eq!(verdicts(1), ["accepted", "unknown", "unknown"]);
    verify(&vault.fleet);
    let shown = vault.run("inspect|{}/fleet").done().stdout;
    assert!(shown.contains("derived with hkdf"), "{shown}");
    vault.run("key|rewrap|--index|{}/fleet|--to|passphrase|--new-passphrase|{}/words").done();
    vault.run(&format!("key|rewrap|--index|{{}}/fleet|--to|file{WORDS}")).done();
    assert_eq!(verdicts(2), ["accepted", "unknown", "unknown"]);
    // The derivation is the fleet's.
    let more = "|--first-device|500|--derivation|";
    vault.provision(&format!("{more}hmac")).refused(2, &["derivation hkdf", "omit these"]);
    vault.provision(&format!("{more}sha1")).refused(2, &["--derivation", "hmac, hkdf"]);
    vault.provision(&format!("{more}hkdf")).done();
}
