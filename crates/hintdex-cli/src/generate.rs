//! `hintdex generate`: man pages and completions, from the command line itself.

use std::fs;

use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs, GenerateCommand, ManArgs};
use crate::call::Call;
use crate::failure::Failure;

pub fn run(command: &GenerateCommand, call: &Call<'_>) -> Result<(), Failure> {
    match command {
        GenerateCommand::Man(args) => man(args, call),
        GenerateCommand::Completions(args) => completions(args, call),
    }
}

fn completions(args: &CompletionsArgs, call: &Call<'_>) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "hintdex", &mut script);
    call.console.print(&String::from_utf8_lossy(&script))
}

fn man(args: &ManArgs, call: &Call<'_>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("writing a man page", &args.out, &error);
    fs::create_dir_all(&args.out).map_err(failed)?;
    clap_mangen::generate_to(Args::command(), &args.out).map_err(failed)?;
    call.console.print(&format!("wrote the man pages to {}\n", args.out.display()))
}
