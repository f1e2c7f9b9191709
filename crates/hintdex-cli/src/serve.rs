//! `hintdex serve`

use std::collections::HashMap;
use std::path::Path;

use hintdex_server::control::{ControlError, Listener};
use hintdex_server::{CallConfig, Config, Defaults, OpenFleet, ServeError, Service, serve};

use crate::args::{RunArgs, ServeArgs};
use crate::control;
use crate::failure::Failure;
use crate::id_map::IdMap;

pub fn run(args: &ServeArgs, run: &RunArgs) -> Result<(), Failure> {
    let defaults = Defaults {
        access: run.secrets.access(),
        memory_bytes: run.memory,
        threads: run.threads.map(std::num::NonZeroUsize::get),
    };
    let config = match &args.config {
        Some(path) => Config::read(path, &defaults),
        None => Config::of_call(
            &CallConfig {
                folders: args.index.clone(),
                inputs: args.inputs.clone(),
                outputs: args.outputs.clone(),
                web: args.web.clone(),
            },
            &defaults,
        ),
    };
    let clock = run.time.clock();
    let path = args.config.clone();
    let service = |config| Service { config, path, defaults, clock, euis_of, listen_on };
    config.and_then(|config| serve(service(config))).map_err(failure)
}

fn euis_of(folder: &Path) -> Result<HashMap<u32, u64>, String> {
    IdMap::open(folder).map(|map| map.euis()).map_err(|failure| failure.to_string())
}

fn listen_on(fleet: OpenFleet) -> Result<Listener, ControlError> {
    let OpenFleet { folder, group, number, changes } = fleet;
    control::listen("serve", control::Fleet { folder, group, number, changes })
}

fn failure(error: ServeError) -> Failure {
    if error.is_usage() {
        Failure::usage(error.to_string())
    } else {
        Failure::failed(error.to_string())
    }
}
