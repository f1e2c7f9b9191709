//! What is shown through the program alone: the capture, bad input, full disks,
//! and 400 violent deaths.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod ambiguous;
mod bad_calls;
mod bad_input;
mod beacon_life;
mod beacons;
mod capture;
mod clocked;
mod control;
mod control_faults;
mod control_load;
mod cose;
mod crash_decode;
mod crash_devices;
mod crash_outbox;
mod crash_provision;
mod crash_windows;
mod creation;
mod devices;
mod durability;
mod ephemeral;
mod estimate;
mod full_disk;
mod key_changes;
mod key_privacy;
mod key_sources;
mod leads;
mod lean;
mod lists;
mod measure;
mod mixed;
mod provisioning;
mod ratchet;
mod schedule;
mod schemes;
mod secrets;
mod serve;
mod serve_crash;
mod serve_faults;
mod serve_fleet;
mod serve_load;
mod serve_outputs;
mod serve_page;
mod serve_readme;
mod serve_soak;
mod serve_stations;
mod serve_systemd;
mod serve_tls;
mod settings;
mod snapshots;
mod streams;
mod suites;
mod vault;
