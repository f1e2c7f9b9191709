//! `hintdex generate`: man pages and completions, from the command line itself.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

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
    let mut program = Args::command();
    program.build();
    let pages = write_pages(&args.out, &program, "hintdex").map_err(failed)?;
    call.console.print(&format!("wrote {pages} pages to {}\n", args.out.display()))
}

/// Writes the page of a command and those of its own commands. Returns how many.
fn write_pages(folder: &Path, command: &clap::Command, name: &str) -> std::io::Result<usize> {
    let mut page = Vec::new();
    // Pages have the name of the whole command, as those of git.
    let title = command.clone().name(name.to_owned()).bin_name(name.replace('-', " "));
    Man::new(title).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    let mut pages = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        if inner.get_name() != "help" {
            pages += write_pages(folder, inner, &format!("{name}-{}", inner.get_name()))?;
        }
    }
    Ok(pages)
}
