//! Small inputs that went wrong once, made by an independent script, and the master key
//! of their fleets.

use std::fs;
use std::path::PathBuf;

/// The file with the master key of the cases' fleets.
pub fn master_key_file() -> PathBuf {
    file("master.key")
}

/// The master secret of the cases' fleets: the bytes from 0 to 31.
pub fn master_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let text = fs::read_to_string(master_key_file()).expect("a file of the cases");
    hex::decode_to_slice(text.trim(), &mut secret).expect("64 hex digits");
    secret
}

/// The packets of a case, a line of hex each.
pub fn packets(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(file(name)).expect("a file of the cases");
    text.lines().map(|line| hex::decode(line.trim()).expect("hex")).collect()
}

/// A file of the cases.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/cases").join(name)
}
