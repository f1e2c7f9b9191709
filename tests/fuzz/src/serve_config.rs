//! Any text as the configuration of the service, and as the manifest of a backup: never a panic. What is wrong
//! is said in one line.
#![no_main]

use std::path::Path;

use hintdex::{KeyAccess, Manifest};
use hintdex_server::{Config, Defaults};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Manifest::parse(text);
    let defaults =
        Defaults { access: KeyAccess::default(), memory_bytes: 256 << 20, threads: None };
    if let Err(why) = Config::parse(text, Path::new(""), &defaults) {
        assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
    }
});
