//! Any bytes as a datagram of Semtech's packet forwarder, and as a line of packets: never a panic, and the
//! packets that are read are read again from a datagram, or a line, that holds them and nothing else.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hintdex_server::fuzzing::{datagram, line};
use libfuzzer_sys::fuzz_target;

/// The head of PUSH_DATA: version, token, identifier, gateway.
const HEAD: [u8; 12] = [2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7];

fuzz_target!(|input: &[u8]| {
    if let Some((packet, time_ms)) = line(input) {
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        let again = match time_ms {
            None => hex,
            Some(time_ms) => format!("{hex},{}.{:03}", time_ms / 1_000, time_ms % 1_000),
        };
        // Times behind the year 33658 have too many digits for a number of seconds.
        if time_ms.is_none_or(|time_ms| time_ms < 1_000_000_000_000_000) {
            assert_eq!(line(again.as_bytes()), Some((packet, time_ms)));
        }
    }
    // As it came, and as the body of a sound head.
    for bytes in [input.to_vec(), [&HEAD[..], input].concat()] {
        let Some(packets) = datagram(&bytes) else { continue };
        // A packet in base64 is a third longer than its bytes: what is read is shorter than what came.
        let len_bytes: usize = packets.iter().map(Vec::len).sum();
        assert!(len_bytes <= bytes.len());
        let member = |packet: &Vec<u8>| format!(r#"{{"data":"{}"}}"#, STANDARD.encode(packet));
        let members: Vec<String> = packets.iter().map(member).collect();
        let body = format!(r#"{{"rxpk":[{}]}}"#, members.join(","));
        assert_eq!(datagram(&[&HEAD[..], body.as_bytes()].concat()), Some(packets));
    }
});
