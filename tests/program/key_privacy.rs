//! Secrets stay with the process: no echo, no core dump, nothing in arguments and environments.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use hintdex_tests::Capture;
use hintdex_tests::program::run_with;
use hintdex_tests::trace::traced;

use crate::vault::Vault;

/// A terminal, and somebody who types when asked.
fn typed(args: &[&str], answers: &[&str]) -> (bool, String) {
    let program = hintdex_tests::program::path().to_str().expect("text");
    let line = [&[program], args].concat().join(" ");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("script of util-linux is installed");
    let (mut input, mut output) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (mut shown, mut answers) = (String::new(), answers.iter());
    let mut byte = [0];
    while output.read(&mut byte).is_ok_and(|read| read > 0) {
        shown.push(char::from(byte[0]));
        // A question is at the beginning of a line, and ends so.
        let line = shown.rsplit('\n').next().unwrap_or_default();
        let is_question = line.starts_with("passphrase") || line.starts_with("new passphrase");
        if is_question && line.ends_with(": ") {
            let answer = answers.next().expect("a question too many");
            input.write_all(answer.as_bytes()).and_then(|()| input.flush()).expect("it reads");
        }
    }
    drop(input);
    (child.wait().expect("it ends").success(), shown)
}

#[test]
fn a_passphrase_is_asked_for_without_echo() {
    let vault = Vault::new();
    let fleet = vault.fleet.to_str().expect("text");
    let provision = ["provision", "--index", fleet, "--devices", "3", "--passphrase", "prompt"];
    let (is_done, shown) = typed(&provision, &["tulip field\n", "tulip fjeld\n"]);
    assert!(!is_done && shown.contains("differ"), "{shown}");
    let (is_done, shown) =
        typed(&provision, &["tulip field\n", "tulip feeld\x7f\x7f\x7f\x7field\n"]);
    assert!(is_done, "{shown}");
    let verify = ["verify", fleet, "--passphrase", "prompt"];
    for (answer, expected) in [
        ("tulip field\n", Some("sound")),
        ("nothing\x15tulip field\n", Some("sound")),
        ("tulip\n", None),
        ("tulip\x03", Some("cancelled")),
        ("\x04", Some("cancelled")),
    ] {
        let (is_done, shown) = typed(&verify, &[answer]);
        assert_eq!(is_done, expected == Some("sound"), "{shown}");
        assert!(expected.is_none_or(|word| shown.contains(word)), "{shown}");
        assert!(!shown.contains("tulip"), "the passphrase was echoed: {shown}");
    }
    // Without a terminal nobody can answer.
    let mut without = Command::new("setsid");
    without.arg("-w").arg(hintdex_tests::program::path()).args(verify);
    run_with(without, "").refused(1, &["needs a terminal", "credential:NAME"]);
}

/// Keys are out of reach before a key is read.
#[test]
fn core_dumps_are_forbidden_before_a_key_is_read() {
    let vault = Vault::new();
    vault.provision("|--master-key|{}/the.key").done();
    let log = vault.root.join("log");
    let args = ["verify".as_ref(), vault.fleet.as_os_str()];
    let (outcome, calls) = traced("prctl,prlimit64,setrlimit,openat", &[], args, "", &log);
    outcome.done();
    let at = |words: &[&str]| {
        let is_it = |line: &String| words.iter().all(|word| line.contains(word));
        calls.iter().position(is_it).unwrap_or_else(|| panic!("no {words:?} in {calls:#?}"))
    };
    let read = at(&["openat", "master.key"]);
    assert!(at(&["prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE", "= 0"]) < read);
    assert!(at(&["RLIMIT_CORE", "rlim_cur=0, rlim_max=0"]) < read);
    // A debugger is let in where its user says so.
    let log_of = |calls: &[String]| calls.iter().any(|line| line.contains("PR_SET_DUMPABLE"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=prctl", "-o"]).arg(&log);
    strace.arg(hintdex_tests::program::path()).args(args).env("HINTDEX_DUMPABLE", "1");
    run_with(strace, "").done();
    let text = fs::read_to_string(&log).expect("a log");
    assert!(!log_of(&text.lines().map(str::to_owned).collect::<Vec<_>>()), "{text}");
}

/// Names of sources are all that arguments and environment hold, of commands that are run, too.
#[test]
fn no_secret_is_in_arguments_or_environments() {
    let vault = Vault::new();
    let shell = "cat /proc/$PPID/environ /proc/$PPID/cmdline /proc/self/environ >{}/seen; \
                 cat {}/the.key";
    vault.write("look.sh", &shell.replace("{}", &vault.path("")));
    let source = format!("command:sh {}", vault.path("look.sh"));
    let mut command = vault.command("provision|--index|{}/fleet|--devices|3");
    run_with(
        {
            command
                .env("HINTDEX_MASTER_KEY", &source)
                .env("HINTDEX_PASSPHRASE", vault.path("words"));
            command
        },
        "",
    )
    .done();
    let seen = fs::read(vault.root.join("seen")).expect("it was written");
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("HINTDEX_MASTER_KEY=command:sh"), "{seen}");
    for secret in [Capture::master_key_hex().as_str(), "seven words"] {
        assert!(!seen.contains(secret), "{seen}");
    }
    assert!(is_private(&vault.fleet.join("master.key")));
}

fn is_private(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 == 0)
}
