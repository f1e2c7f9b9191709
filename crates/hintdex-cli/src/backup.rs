//! `hintdex backup` and `hintdex restore`

use std::time::Instant;

use hintdex::{BackupOptions, Durability, PassphraseCost, Protection, Station};

use crate::args::{BackupArgs, RestoreArgs};
use crate::call::Call;
use crate::failure::Failure;
use crate::open;
use crate::progress;
use crate::unix_time::time_text;

pub fn backup(args: &BackupArgs, call: &Call<'_>) -> Result<(), Failure> {
    let started = Instant::now();
    let station = open::station(&args.index, Durability::ProcessCrash, call)?;
    let base = args.base.as_deref().map(|base| call.console.path(base)).transpose()?;
    let options = BackupOptions { base, key: key_of(args, call)? };
    let bar = progress::bytes(&call.console, "copying");
    let report = progress::reporter(&bar);
    let to = call.console.path(&args.to)?;
    let written = station.backup(&to, &options, Some(&report)).map_err(with_options)?;
    bar.finish_and_clear();
    call.console.print(&format!(
        "wrote {}: {} files, {} bytes, {} of them linked from the earlier backup, as of {}, in {:.2} s\n",
        args.to.display(),
        written.files,
        written.bytes,
        written.linked_bytes,
        time_text(written.made_unix_s),
        started.elapsed().as_secs_f64(),
    ))
}

/// How the backup keeps the master key, if the call says so.
fn key_of(args: &BackupArgs, call: &Call<'_>) -> Result<Option<Protection>, Failure> {
    let cost = PassphraseCost::default();
    Ok(match &args.key {
        key if key.clear_key => Some(Protection::File),
        key => match (&key.backup_passphrase, &key.key_from) {
            (Some(source), _) => {
                Some(Protection::Passphrase { source: call.console.secret(source)?, cost })
            }
            (None, Some(source)) => {
                Some(Protection::External { source: call.console.secret(source)? })
            }
            (None, None) => None,
        },
    })
}

/// The failure of a backup, with the options that state how it keeps the key.
fn with_options(error: hintdex::Error) -> Failure {
    let is_of_key = error.to_string().contains("state how the backup keeps the key");
    let failure = Failure::from(error);
    match is_of_key {
        true => failure.and("--backup-passphrase SOURCE, --key-from SOURCE or --clear-key"),
        false => failure,
    }
}

pub fn restore(args: &RestoreArgs, call: &Call<'_>) -> Result<(), Failure> {
    let started = Instant::now();
    let bar = progress::bytes(&call.console, "restoring");
    let restored = Station::restore(&args.from, &args.index, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let made = time_text(restored.made_unix_s);
    call.console.print(&format!(
        "restored {} as of {made} in {:.2} s\n",
        args.index.display(),
        started.elapsed().as_secs_f64()
    ))?;
    match open::station(&args.index, Durability::ProcessCrash, call) {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.and("the files are restored, and the fleet does not open")),
    }
}
