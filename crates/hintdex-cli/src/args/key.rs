//! The sources of secrets, and the commands on the master key.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use hintdex::{KeyAccess, PassphraseCost, Protection, SecretSource};

/// The variables that name the sources of secrets.
const VARIABLES: [&str; 2] = ["HINTDEX_MASTER_KEY", "HINTDEX_PASSPHRASE"];

/// Where the secrets of a fleet come from. The options and variables name sources, never
/// secrets: the arguments and the environment of a process are no place for them.
#[derive(Debug, ClapArgs)]
pub struct SecretArgs {
    /// The source of the master key, 64 hex digits: a PATH, credential:NAME of systemd,
    /// command:WORDS run without a shell, or prompt [default: $HINTDEX_MASTER_KEY, or the key in
    /// the fleet's folder]
    #[arg(long, global = true, value_name = "SOURCE", value_parser = source())]
    pub master_key: Option<SecretSource>,
    /// The source of the passphrase of a wrapped master key, named as that of the master key
    /// [default: $HINTDEX_PASSPHRASE]
    #[arg(long, global = true, value_name = "SOURCE", value_parser = source())]
    pub passphrase: Option<SecretSource>,
}

impl SecretArgs {
    /// Takes from the environment the sources that the command line does not name.
    pub fn read_environment(&mut self) -> Result<(), String> {
        for (place, variable) in
            [&mut self.master_key, &mut self.passphrase].into_iter().zip(VARIABLES)
        {
            let Some(name) = std::env::var_os(variable).filter(|name| !name.is_empty()) else {
                continue;
            };
            if place.is_none() {
                let source = SecretSource::parse(&name);
                *place = Some(source.map_err(|why| format!("{variable}: {why}"))?);
            }
        }
        Ok(())
    }

    /// The sources of the secrets.
    pub fn access(&self) -> KeyAccess {
        let (master_key, passphrase) = (self.master_key.clone(), self.passphrase.clone());
        KeyAccess { master_key, passphrase, ..KeyAccess::default() }
    }
}

/// Reads the name of a source.
pub fn source() -> impl TypedValueParser<Value = SecretSource> {
    OsStringValueParser::new().try_map(|name| SecretSource::parse(&name))
}

/// How a fleet's folder keeps the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// In the clear, readable by its owner alone
    File,
    /// Wrapped under a passphrase
    Passphrase,
    /// Not at all: each command reads it from --master-key
    External,
}

impl KeyKind {
    /// The protection of this kind. The error names the option that is missing.
    pub fn protection(
        self,
        passphrase: Option<&SecretSource>,
        master_key: Option<&SecretSource>,
        options: [&str; 2],
    ) -> Result<Protection, String> {
        let needed = |source: Option<&SecretSource>, kind, option| {
            source.cloned().ok_or_else(|| format!("{kind} needs {option} SOURCE"))
        };
        let [passphrase_option, master_key_option] = options;
        Ok(match self {
            Self::File => Protection::File,
            Self::Passphrase => Protection::Passphrase {
                source: needed(passphrase, "passphrase", passphrase_option)?,
                cost: PassphraseCost::default(),
            },
            Self::External => {
                Protection::External { source: needed(master_key, "external", master_key_option)? }
            }
        })
    }
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Change how the fleet's folder keeps the master key; devices stay as they are
    #[command(
        after_help = "Example: hintdex key rewrap --index fleet --to passphrase --new-passphrase prompt"
    )]
    Rewrap(RewrapArgs),
    /// Report how the fleet's folder keeps the master key; never the key
    #[command(after_help = "Example: hintdex key show --index fleet")]
    Show(KeyShowArgs),
}

#[derive(Debug, ClapArgs)]
pub struct RewrapArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// How the folder keeps the master key from now on
    #[arg(long, value_enum)]
    pub to: KeyKind,
    /// For passphrase: the source of the new passphrase
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub new_passphrase: Option<SecretSource>,
    /// For external: the source that holds the master key already
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub new_master_key: Option<SecretSource>,
}

#[derive(Debug, ClapArgs)]
pub struct KeyShowArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// Print one JSON object instead of a line
    #[arg(long)]
    pub json: bool,
}
