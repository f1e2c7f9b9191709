//! What systemd hears of the service, and the sockets that it passes.

use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hintdex_tests::program::{command, path};
use hintdex_tests::serving::{Service, write};
use hintdex_tests::{Devices, provision};

/// The next state that systemd is told and that has this name.
fn next(told: &UnixDatagram, name: &str) -> String {
    let mut text = [0; 256];
    loop {
        let len = told.recv(&mut text).expect("systemd is told");
        let text = String::from_utf8_lossy(&text[..len]).into_owned();
        if text.contains(name) {
            return text;
        }
    }
}

fn configured(folder: &Path, from: &str) -> std::path::PathBuf {
    let (fleet, config) = (folder.join("meters"), folder.join("hintdex.toml"));
    provision(&fleet, &["--devices", "100"]).done();
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\n[[station.in]]\nname = \"in\"\nfrom = {from:?}\n\
             [[station.out]]\nto = \"lines:-\"\n"
        ),
    );
    config
}

#[test]
fn systemd_hears_of_start_life_reload_and_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(folder.path(), "udp://127.0.0.1:0");
    let socket = folder.path().join("notify.sock");
    let told = UnixDatagram::bind(&socket).expect("a socket");
    told.set_read_timeout(Some(Duration::from_secs(120))).expect("a socket");
    let mut serve = command(["serve", "--config"]);
    serve.arg(&config).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    let mut service = Service::spawn(serve);
    next(&told, "READY=1");
    // A sign of life in half of the time that systemd grants, for as long as it is asked for.
    for _ in 0..3 {
        next(&told, "WATCHDOG=1");
    }
    service.signal("HUP");
    let reloading = next(&told, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    next(&told, "READY=1");
    service.signal("TERM");
    next(&told, "STOPPING=1");
    assert!(service.end().success());
}

/// systemd binds the addresses and passes the sockets; the service takes them by their addresses.
#[test]
fn sockets_that_systemd_passes_are_used() {
    let folder = tempfile::tempdir().expect("a folder");
    // The port stays bound while the service starts, so that it could not bind the port itself.
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = udp.local_addr().expect("an address");
    let config = configured(folder.path(), &format!("udp://{address}"));
    let unused = folder.path().join("unused.sock");
    let script = folder.path().join("pass.py");
    // As systemd does it: descriptors from 3 on, LISTEN_FDS, and the number of the process.
    let text = "import os, socket, sys\n\
        passed = [socket.fromfd(0, socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)]\n\
        passed[1].bind(sys.argv[1]); passed[1].listen()\n\
        copies = [os.dup(one.fileno()) for one in passed]\n\
        high = [os.dup2(copy, 30 + at) for at, copy in enumerate(copies)]\n\
        [os.dup2(one, 3 + at) for at, one in enumerate(high)]\n\
        os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[2], sys.argv[2:])\n";
    std::fs::File::create(&script)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("written");
    let mut python = Command::new("python3");
    python.arg(&script).arg(&unused).arg(path()).args(["serve", "--config"]).arg(&config);
    let passed: std::os::fd::OwnedFd = udp.try_clone().expect("a descriptor").into();
    let mut service = Service::spawn_with_input(python, passed.into());
    assert_eq!(service.address_of("in"), address);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    sender.send_to(&Devices::of_capture().packet(9, 0, b"x"), address).expect("sent");
    assert_eq!(service.next_event().expect("an event")["device"], 9);
    service.stop();
}
