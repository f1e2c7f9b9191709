//! The command line of `serve`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// The configuration file (docs/examples/hintdex.toml); in place of the other options
    #[arg(long, value_name = "FILE", conflicts_with_all = ["index", "inputs", "outputs", "web"])]
    pub config: Option<PathBuf>,
    /// The folder of the fleet; given up to 16 times for several fleets that hear the same packets
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub index: Vec<PathBuf>,
    /// Where packets come from, once for each: semtech-udp://0.0.0.0:1700, udp://ADDRESS,
    /// lines:- for standard input, unix:PATH, mqtt://HOST/TOPIC, or chirpstack://HOST
    #[arg(long = "in", value_name = "URL", required_unless_present = "config")]
    pub inputs: Vec<String>,
    /// Where payloads go, once for each: lines:- for standard output, file:PATH, unix:PATH,
    /// mqtt://HOST, or a URL of http or https for a webhook
    #[arg(long = "out", value_name = "URL", required_unless_present = "config")]
    pub outputs: Vec<String>,
    /// The address of the page, the metrics and the health checks, like 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub web: Option<String>,
}
