//! `hintdex key`

use hintdex::{Durability, KeptKey, Station};
use serde_json::json;

use crate::args::{KeyShowArgs, RewrapArgs};
use crate::call::Call;
use crate::control::in_use;
use crate::failure::Failure;

/// `hintdex key rewrap`
pub fn rewrap(args: &RewrapArgs, call: &Call<'_>) -> Result<(), Failure> {
    let (passphrase, master_key) = (args.new_passphrase.as_ref(), args.new_master_key.as_ref());
    let options = ["--new-passphrase", "--new-master-key"];
    let protection = args.to.protection(passphrase, master_key, options);
    let protection = protection.map_err(|why| Failure::usage(format!("--to {why}")))?;
    let (access, options) = (call.run.secrets.access(), call.run.station(Durability::Sync));
    for exposed in access.exposed().into_iter().chain(protection.exposed()) {
        call.console.report(&format!("note: {exposed}"));
    }
    let clock = call.run.time.clock();
    let rewrapped = Station::rewrap_key(&args.index, &access, &protection, &options, clock);
    rewrapped.map_err(|error| in_use(&args.index, error))?;
    let kept = describe(&Station::kept_key(&args.index)?);
    call.console.report(&format!("{}: {kept}", args.index.display()));
    Ok(())
}

/// `hintdex key show`
pub fn show(args: &KeyShowArgs, call: &Call<'_>) -> Result<(), Failure> {
    let kept = Station::kept_key(&args.index)?;
    let text = match args.json {
        true => format!("{}\n", to_json(&kept)),
        false => format!("{}: {}\n", args.index.display(), describe(&kept)),
    };
    call.console.print(&text)
}

/// The protection of a master key, in words.
pub fn describe(kept: &KeptKey) -> String {
    match kept {
        KeptKey::File => "the folder keeps the master key in the clear".to_owned(),
        KeptKey::Passphrase(cost) => format!(
            "the folder keeps the master key wrapped under a passphrase: Argon2id with {} MiB, {} \
             passes and {} lanes, AES-SIV",
            cost.memory_kib >> 10,
            cost.passes,
            cost.lanes
        ),
        KeptKey::External(Some(place)) => {
            format!("the folder keeps no master key; its place was {place}")
        }
        KeptKey::External(None) => {
            "the folder keeps no master key; the record of its place is damaged".to_owned()
        }
        _ => "the folder keeps no master key; give it with --master-key, and keep it with \
              hintdex key rewrap"
            .to_owned(),
    }
}

/// The protection of a master key, as members of an object.
pub fn to_json(kept: &KeptKey) -> serde_json::Value {
    match kept {
        KeptKey::File => json!({ "kind": "file" }),
        KeptKey::Passphrase(cost) => json!({
            "kind": "passphrase",
            "kdf": "argon2id",
            "memory_kib": cost.memory_kib,
            "passes": cost.passes,
            "lanes": cost.lanes,
            "cipher": "aes-siv",
        }),
        KeptKey::External(place) => json!({ "kind": "external", "place": place }),
        _ => json!({ "kind": "missing" }),
    }
}
