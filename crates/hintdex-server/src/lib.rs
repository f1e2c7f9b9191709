//! A station as a service: packets in from gateways, payloads out at least once, and commands of
//! other processes while the station runs.
//!
//! [`serve`] runs the stations of a [`Config`] until the process is told to end. The engine below
//! is synchronous: each station of the configuration has one thread that decodes, and inputs,
//! outputs and the page are tasks of one runtime around it.
//!
//! ```no_run
//! use std::collections::HashMap;
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use hintdex::{KeyAccess, SystemClock};
//! use hintdex_server::control::{Answer, ControlError, Listener};
//! use hintdex_server::{CallConfig, Config, Defaults, EuisOf, ListenOn, OpenFleet};
//! use hintdex_server::{ServeError, Service, serve};
//!
//! let defaults =
//!     Defaults { access: KeyAccess::default(), memory_bytes: 256 << 20, threads: None };
//! let call = CallConfig {
//!     folders: vec!["fleet".into()],
//!     inputs: vec!["semtech-udp://0.0.0.0:1700".into()],
//!     outputs: vec!["lines:-".into()],
//!     web: Some("127.0.0.1:8080".into()),
//! };
//! let config = Config::of_call(&call, &defaults)?;
//!
//! // The fleet has no EUIs, and the station runs no commands of other processes.
//! let euis_of: EuisOf = |_: &Path| Ok(HashMap::new());
//! let listen_on: ListenOn = |fleet: OpenFleet| -> Result<Listener, ControlError> {
//!     let refused = Some("this service runs no commands".to_owned());
//!     Listener::start(&fleet.folder, "serve", move |_| Answer {
//!         code: 2,
//!         failure: refused.clone(),
//!     })
//! };
//! let clock = Arc::new(SystemClock);
//! let service = Service { config, path: None, defaults, clock, euis_of, listen_on };
//! serve(service)?; // until SIGTERM
//! # Ok::<(), ServeError>(())
//! ```
#![forbid(unsafe_code)]

pub mod control;
#[doc(hidden)]
pub mod fuzzing;

mod backoff;
mod base64_text;
mod config;
mod decoder;
mod error;
mod event;
mod fleets;
mod gather;
mod heard;
mod input;
mod log;
mod metrics;
mod mqtt;
mod outbox;
mod output;
mod service;
mod sockets;
mod station;
mod stop;
mod supervisor;
mod uplink;
mod watch;
mod web;

pub use config::{CallConfig, Config, Defaults};
pub use error::ServeError;
pub use fleets::{EuisOf, ListenOn, OpenFleet};
pub use service::{Service, serve};
