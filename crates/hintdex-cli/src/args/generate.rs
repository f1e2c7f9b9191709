//! The command lines of `generate`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use clap_complete::Shell;

#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Write a man page for the program and for each command
    Man(ManArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ManArgs {
    /// The folder of the pages; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}
