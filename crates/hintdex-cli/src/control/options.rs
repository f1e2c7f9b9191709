//! Options that apply when a fleet is opened, and so not to a station that runs.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// The options of opening, by the names of their arguments.
const OF_OPENING: [&str; 13] = [
    "memory",
    "threads",
    "master_key",
    "passphrase",
    "station_key",
    "span",
    "window_lead",
    "before",
    "after",
    "max_drift",
    "now",
    "full",
    "evaluations",
];

/// The options of opening that `rebuild` uses for the snapshot that it writes.
const OF_REBUILD: [&str; 2] = ["memory", "evaluations"];

/// The options of a command line that a running station ignores: `--memory, --now`.
pub fn ignored(matches: &ArgMatches) -> String {
    let (mut innermost, mut is_rebuild) = (matches, false);
    while let Some((name, inner)) = innermost.subcommand() {
        is_rebuild |= name == "rebuild";
        innermost = inner;
    }
    let is_ignored = |name: &&str| {
        OF_OPENING.contains(name)
            && !(is_rebuild && OF_REBUILD.contains(name))
            && innermost.value_source(name) == Some(ValueSource::CommandLine)
    };
    let names = innermost.ids().map(clap::Id::as_str).filter(is_ignored);
    let names: Vec<String> = names.map(|name| format!("--{}", name.replace('_', "-"))).collect();
    names.join(", ")
}
