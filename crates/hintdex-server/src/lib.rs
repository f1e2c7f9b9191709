//! A station as a service: packets in from gateways, payloads out at least once, and commands of
//! other processes while the station runs.
//!
//! [`serve`] runs the stations of a [`Config`] until the process is told to end. The engine below
//! is synchronous: each station of the configuration has one thread that decodes, and inputs,
//! outputs and the page are tasks of one runtime around it.
#![forbid(unsafe_code)]

pub mod control;

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

pub use config::{
    Broker, CallConfig, Config, Defaults, FileRotation, FixedConfig, Input, InputKind, LogConfig,
    MqttAccess, Output, OutputKind, PayloadForm, StationConfig,
};
pub use error::ServeError;
pub use fleets::{EuisOf, ListenOn, OpenFleet};
pub use service::{Service, serve};
