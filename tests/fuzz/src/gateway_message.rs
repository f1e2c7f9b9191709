//! Any bytes as a message of MQTT, in each form: never a panic, and no packet is longer than its message.
//!
//! Input: the number of the form, then the message.
#![no_main]

use hintdex_server::fuzzing::{MESSAGE_FORMS, message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((form, bytes)) = input.split_first() else { return };
    let form = form % MESSAGE_FORMS;
    let Some(packet) = message(form, bytes) else { return };
    assert!(packet.len() <= bytes.len());
    let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    match form {
        1 => assert_eq!(packet, bytes),
        2 | 4 => {
            assert_eq!(message(2, hex.as_bytes()).as_ref(), Some(&packet));
            let json = format!(r#"[{{"data":"{hex}"}}]"#);
            assert_eq!(message(4, json.as_bytes()), Some(packet));
        }
        _ => {}
    }
});
