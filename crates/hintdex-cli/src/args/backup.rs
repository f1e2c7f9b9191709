//! The command lines of backups.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use hintdex::SecretSource;

use super::key::source;

#[derive(Debug, ClapArgs)]
pub struct BackupArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// The folder of the backup, which must not exist; or a file, if the name ends in .tar
    #[arg(long, value_name = "PATH")]
    pub to: PathBuf,
    /// An earlier backup of the fleet on the same file system: files that have not changed are linked
    /// from there and take no room
    #[arg(long, value_name = "PATH")]
    pub base: Option<PathBuf>,
    #[command(flatten)]
    pub key: BackupKeyArgs,
}

/// How the backup keeps a master key that the fleet keeps in the clear.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct BackupKeyArgs {
    /// Wrap the master key under a passphrase from this source: a PATH, credential:NAME,
    /// command:WORDS or prompt
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub backup_passphrase: Option<SecretSource>,
    /// Leave the master key out: a restored fleet takes it from this source, which is read and compared
    /// now
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub key_from: Option<SecretSource>,
    /// Keep the master key in the clear
    #[arg(long)]
    pub clear_key: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RestoreArgs {
    /// The folder or the .tar file that hintdex backup has written
    #[arg(long, value_name = "PATH")]
    pub from: PathBuf,
    /// The folder of the fleet, which must not exist or be empty
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
}
