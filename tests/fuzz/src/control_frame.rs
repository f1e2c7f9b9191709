//! Any bytes as the body of a frame on a control socket: never a panic, and what is read is written as it came.
#![no_main]

use hintdex_server::fuzzing::{answer, command, command_body};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Some(arguments) = command(body) {
        // Bytes behind the last argument are ignored.
        assert!(body.starts_with(&command_body(&arguments)));
    }
    if let Some(again) = answer(body) {
        assert!(body.starts_with(&again));
    }
});
