//! A station as a service: packets in from gateways, payloads out at least once, and commands of
//! other processes while the station runs.
#![forbid(unsafe_code)]

pub mod control;
