//! `hintdex cose open`

use std::io::{self, BufRead, BufReader};

use hintdex::HopError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::CoseOpenArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::{open as open_input, shown};
use crate::open;
use crate::output::write_out;

/// The longest line: a payload of 64 KiB in hex, and what stands around it.
const MAX_LINE_LEN_BYTES: u64 = 1 << 18;

/// A line of `decode --output cose`.
#[derive(Deserialize)]
struct VerdictLine {
    cose: Option<String>,
}

pub fn open(args: &CoseOpenArgs, call: &Call<'_>) -> Result<(), Failure> {
    let key = open::hop_key(&args.hop_key, &call.console)?;
    let mut fleet_id = [0; 16];
    hex::decode_to_slice(&args.fleet, &mut fleet_id).map_err(|_| {
        let given = shown(&args.fleet);
        Failure::usage(format!(
            "--fleet {given}: the id of a fleet is 32 hex digits; hintdex inspect --json names it"
        ))
    })?;
    let failed = |error: io::Error| Failure::io("reading messages", &args.file, &error);
    let mut input = BufReader::new(open_input(&args.file)?);
    let (mut output, mut line) = (io::stdout().lock(), Vec::new());
    let (mut opened, mut refused) = (0_u64, 0_u64);
    for number in 1_u64.. {
        line.clear();
        let mut bounded = io::Read::take(&mut input, MAX_LINE_LEN_BYTES);
        if bounded.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let Some(message) = message_of(&line) else { continue };
        let text = match message.and_then(|message| key.open(&fleet_id, &message)) {
            Ok(payload) => {
                opened += 1;
                let (device, generation) = (payload.sender.device.0, payload.sender.generation);
                let (nonce, payload) = (payload.nonce, hex::encode(payload.payload));
                json!({ "line": number, "device": device, "generation": generation,
                        "nonce": nonce, "payload": payload })
            }
            Err(why) => {
                refused += 1;
                json!({ "line": number, "reason": why.to_string() })
            }
        };
        if !write_out(&mut output, &format!("{text}\n"))? {
            return Ok(());
        }
    }
    if opened == 0 {
        let why = format!("no message was opened, {refused} were refused");
        return Err(Failure::data(&args.file, &why));
    }
    eprintln!("hintdex: {opened} opened, {refused} refused");
    Ok(())
}

/// The message of a line; `None` for an empty line and for another verdict.
fn message_of(line: &[u8]) -> Option<Result<Vec<u8>, HopError>> {
    let text = line.trim_ascii();
    if text.is_empty() {
        return None;
    }
    let hex_text = match serde_json::from_slice::<VerdictLine>(text) {
        Ok(VerdictLine { cose }) => cose?.into_bytes(),
        Err(_) if serde_json::from_slice::<Value>(text).is_ok_and(|value| value.is_object()) => {
            return Some(Err(HopError::Malformed));
        }
        Err(_) => text.to_vec(),
    };
    Some(hex::decode(hex_text).map_err(|_| HopError::Malformed))
}
