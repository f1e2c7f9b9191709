//! The options of every command that reads a list.

use clap::Args as ClapArgs;

use crate::input::lists::{Format, ListOptions};

/// How the lines of a list are taken.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct ListArgs {
    /// Skip columns of the list that are unknown, and name them on standard error
    #[arg(long)]
    pub ignore_extra: bool,
    /// Skip bad lines of the list, report them on standard error, and take the others
    #[arg(long)]
    pub skip_bad: bool,
}

impl ListArgs {
    /// The options with these settings, for a list in `format` or in the format that its first
    /// byte shows.
    pub const fn options(self, format: Option<Format>) -> ListOptions {
        let Self { ignore_extra, skip_bad } = self;
        ListOptions { format, ignore_extra, skip_bad }
    }
}
