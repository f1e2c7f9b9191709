//! A fleet, and the files that the sources of its secrets read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use hintdex_tests::program::{command, run_with};
use hintdex_tests::{Capture, Devices, Outcome};

/// The number of its devices.
pub const DEVICES: u32 = 40;

/// A folder with a fleet, and the files that the sources read.
pub struct Vault {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub fleet: PathBuf,
    /// The nonce of the next packet of every device.
    nonce: u64,
}

impl Vault {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let vault = Self { _folder: folder, fleet: root.join("fleet"), root, nonce: 0 };
        vault.write("the.key", &format!("{}\n", Capture::master_key_hex()));
        vault.write("words", "seven words that nobody guesses\n");
        vault.write("others", "other words that nobody guesses");
        vault
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    }

    pub fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().expect("text").to_owned()
    }

    /// A call in which `{}` stands for the vault's folder, credentials included.
    pub fn command(&self, args: &str) -> Command {
        let root = self.root.to_str().expect("text");
        let mut command = command(args.split('|').map(|word| word.replace("{}", root)));
        command.env("CREDENTIALS_DIRECTORY", &self.root);
        command
    }

    #[track_caller]
    pub fn run(&self, args: &str) -> Outcome {
        run_with(self.command(args), Vec::new())
    }

    pub fn provision(&self, more: &str) -> Outcome {
        self.run(&format!("provision|--index|{{}}/fleet|--devices|{DEVICES}{more}"))
    }

    /// What `key show` says.
    #[track_caller]
    pub fn kind(&self) -> String {
        let shown = self.run("key|show|--json|--index|{}/fleet").done().stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["kind"].as_str().expect("a kind").to_owned()
    }

    /// Each device's last packet is a replay, and its next one is accepted.
    #[track_caller]
    pub fn all_send(&mut self, access: &str) {
        let devices = Devices::of_capture();
        let nonces = [self.nonce.checked_sub(1), Some(self.nonce)];
        let lines: String = nonces
            .into_iter()
            .flatten()
            .flat_map(|nonce| (0..DEVICES).map(move |device| (device, nonce)))
            .map(|(device, nonce)| devices.line(device, nonce, b"?"))
            .collect();
        let said = run_with(self.command(&format!("decode|--index|{{}}/fleet{access}")), lines);
        for said in said.done().verdicts() {
            let (_, nonce) = said.sender.expect("every packet is authentic");
            let expected = if nonce == self.nonce { "accepted" } else { "replay" };
            assert_eq!(said.verdict, expected, "{access}");
        }
        self.nonce += 1;
    }

    /// The names in the fleet's folder that are about the master key.
    pub fn key_files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.fleet).expect("a folder");
        let names = names.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("text"));
        let mut names: Vec<_> = names.filter(|name| name.contains("master")).collect();
        names.sort();
        names
    }
}

pub const PLAIN: &str = "";
pub const WORDS: &str = "|--passphrase|{}/words";
pub const CREDENTIAL: &str = "|--master-key|credential:the.key";
