//! `hintdex resolve`

use std::path::Path;

use hintdex::Durability;
use hintdex::wire::Hint;

use crate::args::ResolveArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::shown;
use crate::open;
use crate::output::write_out;

pub fn run(args: &ResolveArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open::station(&args.index, Durability::ProcessCrash, call)?;
    let snapshots = args.snapshot.iter().map(|path| call.console.path(path));
    let snapshots = snapshots.collect::<Result<Vec<_>, _>>()?;
    let snapshots: Vec<&Path> = snapshots.iter().map(AsRef::as_ref).collect();
    let scheme = station.params().scheme;
    let parse = |(number, text): (usize, &String)| {
        let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() == scheme.len_bytes());
        bytes.and_then(|bytes| Hint::read(scheme, &bytes)).ok_or_else(|| {
            // The text may be a key.
            Failure::usage(format!(
                "HINT_HEX {number}, {}, is not a hint: {scheme} hints are {} hex digits",
                shown(text),
                2 * scheme.len_bytes()
            ))
        })
    };
    let hints = (1..).zip(&args.hints).map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for (hint, devices) in args.hints.iter().zip(station.resolve_with(&snapshots, &hints)?) {
        if devices.is_empty() {
            text += &serde_json::json!({ "hint": hint, "device": null }).to_string();
            text.push('\n');
        }
        for found in devices {
            let (device, nonce, source) = (found.device().0, found.nonce, found.source.name());
            text += &serde_json::json!({ "hint": hint, "device": device, "nonce": nonce, "source": source }).to_string();
            text.push('\n');
        }
    }
    // A reader that has closed the pipe needs no more answers.
    write_out(&mut call.console.out(), &text).map(|_| ())
}
