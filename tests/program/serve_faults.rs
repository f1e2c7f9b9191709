//! The service while what it stands on fails: disks that are full, messages that are too long, datagrams of
//! any kind, configurations that cannot be, and clients of the page that only wait.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex_tests::mqtt::{Mosquitto, MqttClient};
use hintdex_tests::serving::{Forwarder, Service, base64, get, rxpk, write};
use hintdex_tests::small_disk::SmallDisk;
use hintdex_tests::{Devices, Random, decode, provision};

fn provisioned(folder: &Path, devices: u32) -> PathBuf {
    let fleet = folder.join("meters");
    provision(&fleet, &["--devices", &devices.to_string()]).done();
    fleet
}

fn configured(folder: &Path, fleet: &Path, rest: &str) -> PathBuf {
    let config = folder.join("hintdex.toml");
    write(&config, &format!("web = \"127.0.0.1:0\"\n[[station]]\nindex = [{fleet:?}]\n{rest}"));
    config
}

const UDP: &str = "[[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n";
const LINES: &str = "[[station.out]]\nto = \"lines:-\"\n";

fn senders(text: &str) -> Vec<(u64, u64)> {
    let event = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
    let number = |event: &serde_json::Value, name: &str| event[name].as_u64().expect("a number");
    text.lines()
        .filter(|line| line.ends_with('}'))
        .map(event)
        .map(|event| (number(&event, "device"), number(&event, "nonce")))
        .collect()
}

/// Sends packets of a nonce of the devices until each of them is accepted.
fn send_all(service: &mut Service, devices: u32, nonce: u64, accepted: u64) {
    let server = service.address_of("udp");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for device in 0..devices {
        let packet = Devices::of_capture().packet(device, nonce, b"21.5 C");
        socket.send_to(&packet, server).expect("sent");
    }
    service.wait_for_status("accepted", |status| {
        status["stations"][0]["accepted"].as_u64() >= Some(accepted)
    });
}

#[test]
fn payloads_wait_while_the_disk_of_their_file_is_full() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(folder.path(), 200);
    let file = disk.path().join("payloads.jsonl");
    let out = format!("[[station.out]]\nto = \"file:{}\"\n", file.display());
    let config = configured(folder.path(), &fleet, &format!("{UDP}{out}"));
    let mut service = Service::configured(&config);
    send_all(&mut service, 200, 0, 200);
    // Room for a part of a line, not for all of them.
    disk.fill(4 << 10);
    send_all(&mut service, 200, 1, 400);
    let line = service.wait_for("payloads wait");
    assert!(line.contains("payloads.jsonl") && line.contains("No space left"), "{line}");
    disk.free();
    service.wait_for("payloads are handed out again");
    assert!(service.has_ended_with("every payload was handed out"), "{:#?}", service.seen);
    let told = senders(&std::fs::read_to_string(&file).expect("text"));
    let once: HashSet<(u64, u64)> = told.iter().copied().collect();
    assert_eq!((told.len(), once.len()), (400, 400), "each payload is in the file once");
}

/// A full disk under the index ends the service with one line; what was accepted before is handed out after
/// the next start, and nothing is accepted twice.
#[test]
fn a_service_whose_index_has_no_room_ends_and_goes_on() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(disk.path(), 2_000);
    let file = folder.path().join("payloads.jsonl");
    let out = format!("[[station.out]]\nto = \"file:{}\"\n", file.display());
    let config = configured(folder.path(), &fleet, &format!("{UDP}{out}"));
    let mut service = Service::configured(&config);
    // Before the disk is full, some are accepted: how many are after that depends on the first batch alone.
    send_all(&mut service, 200, 0, 200);
    disk.fill(32 << 10);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = service.address_of("udp");
    let (mut nonce, mut random) = (1, Random::new(3));
    let status = loop {
        for device in 0..2_000 {
            let packet = Devices::of_capture().packet(device, nonce, &random.bytes(40));
            let _ = socket.send_to(&packet, server);
        }
        nonce += 1;
        if let Some(status) = service.has_ended() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(1));
    let last = service.seen.last().expect("a line");
    assert!(last.contains("No space left") && last.starts_with("hintdex: "), "{last}");
    disk.free();
    let mut service = Service::configured(&config);
    assert!(service.has_ended_with("every payload was handed out"), "{:#?}", service.seen);
    let told = senders(&std::fs::read_to_string(&file).expect("text"));
    let once: HashSet<(u64, u64)> = told.iter().copied().collect();
    assert!(once.len() >= 200, "{}", once.len());
    // What is a replay now was accepted then, and so handed out.
    let lines: String = (0..2_000)
        .flat_map(|device| (0..nonce).map(move |nonce| (device, nonce)))
        .map(|(device, nonce)| Devices::of_capture().line(device, nonce, b"any"))
        .collect();
    let said = decode(&fleet, &["--outbox", "off"], lines).done().verdicts();
    let lost: Vec<_> = said
        .iter()
        .filter(|said| said.verdict == "replay")
        .filter_map(|said| said.sender)
        .filter(|(device, nonce)| !once.contains(&(u64::from(*device), *nonce)))
        .collect();
    assert!(lost.is_empty(), "accepted and not handed out: {lost:?}");
}

#[test]
fn datagrams_of_any_kind_are_counted_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(folder.path(), 100);
    let semtech = "[[station.in]]\nfrom = \"semtech-udp://127.0.0.1:0\"\n";
    let config = configured(folder.path(), &fleet, &format!("{UDP}{semtech}{LINES}"));
    let mut service = Service::configured(&config);
    let (udp, semtech) = (service.address_of("udp"), service.address_of("semtech-udp"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut random = Random::new(64);
    let push = |json: &[u8]| {
        [b"\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x07".as_slice(), json].concat()
    };
    // A datagram has 65,507 bytes at most.
    let nested = [vec![b'['; 32_000], vec![b']'; 32_000]].concat();
    let longs = [random.bytes(65_507), push(&random.bytes(65_000)), push(&nested)];
    let texts: [&[u8]; 6] = [
        b"",
        b"{\"rxpk\":",
        b"{\"rxpk\":[{\"data\":\"\\ud800\"}]}",
        b"{\"rxpk\":{\"data\":1}}",
        b"{\"rxpk\":[null,7,[],{\"data\":\"////\",\"rssi\":1e999}]}",
        b"\xff\xfe{}",
    ];
    for datagram in longs.into_iter().chain(texts.map(push)) {
        socket.send_to(&datagram, udp).expect("sent");
        socket.send_to(&datagram, semtech).expect("sent");
    }
    // Behind all that, a packet on each way.
    let packet = |device| Devices::of_capture().packet(device, 0, b"x");
    socket.send_to(&packet(1), udp).expect("sent");
    Forwarder::new(semtech, 7).push(&rxpk(&base64(&packet(2)), -50, ""));
    let mut heard: Vec<u64> = (0..2)
        .map(|_| service.next_event().expect("an event")["device"].as_u64().expect("a number"))
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, [1, 2]);
    let (_, metrics) = get(service.web(), "/metrics");
    let malformed = |input: &str| -> u64 {
        let line =
            format!("hintdex_malformed_inputs_total{{station=\"station\",input=\"{input}\"}} ");
        let value = metrics.lines().find_map(|text| text.strip_prefix(&line));
        value.expect("a counter").parse().expect("a number")
    };
    // The random bytes, and those longer than any packet; of Semtech's, each but the one with members.
    assert!(malformed("udp") >= 3, "{metrics}");
    assert!(malformed("semtech-udp") >= 8, "{metrics}");
    service.stop();
}

/// A message that is too long would come again in each session; the input gives the session up and goes on.
#[test]
fn a_message_that_is_too_long_does_not_stop_an_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(folder.path(), 100);
    let broker = Mosquitto::start(folder.path(), Mosquitto::free_port());
    let from = format!("[[station.in]]\nfrom = \"mqtt://127.0.0.1:{}/up\"\n", broker.port);
    let config = configured(folder.path(), &fleet, &format!("{from}{LINES}"));
    let mut service = Service::configured(&config);
    service.wait_for("subscribed to the topics");
    let mut publisher = MqttClient::connect(broker.port, "publisher");
    publisher.publish("up", &vec![7; 300 << 10]);
    let line = service.wait_for("longer than 256 KiB");
    assert!(line.contains("given up"), "{line}");
    service.wait_for_another("subscribed to the topics", 2);
    publisher.publish("up", &Devices::of_capture().packet(5, 0, b"x"));
    assert_eq!(service.next_event().expect("an event")["device"], 5);
    service.stop();
}

#[test]
fn a_reload_that_cannot_be_leaves_the_station_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(folder.path(), 100);
    let path = folder.path().join("first.sock");
    let first = format!("[[station.in]]\nname = \"first\"\nfrom = \"unix:{}\"\n", path.display());
    let config = configured(folder.path(), &fleet, &format!("{UDP}{first}{LINES}"));
    let mut service = Service::configured(&config);
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    // The new configuration lacks an input and has one whose port is taken.
    let second = format!("[[station.in]]\nname = \"second\"\nfrom = \"udp://{taken}\"\n");
    configured(folder.path(), &fleet, &format!("{UDP}{second}{LINES}"));
    service.signal("HUP");
    let line = service.wait_for("the present configuration stays");
    assert!(line.contains("second") && line.contains("another port"), "{line}");
    let line = Devices::of_capture().line(3, 0, b"x");
    let mut client = std::os::unix::net::UnixStream::connect(&path).expect("the input is there");
    std::io::Write::write_all(&mut client, line.as_bytes()).expect("written");
    assert_eq!(service.next_event().expect("an event")["device"], 3);
    service.stop();
}

/// Clients that only hold their connections take every place; the next one gets its page when one of them goes.
#[test]
fn the_page_has_places_for_so_many_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = provisioned(folder.path(), 10);
    let config = configured(folder.path(), &fleet, &format!("{UDP}{LINES}"));
    let mut service = Service::configured(&config);
    let web = service.web();
    let mut idle: Vec<TcpStream> =
        (0..64).map(|_| TcpStream::connect(web).expect("a place")).collect();
    let mut next = TcpStream::connect(web).expect("the kernel takes it");
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut next, request.as_bytes()).expect("sent");
    next.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let mut byte = [0];
    assert!(next.read(&mut byte).is_err(), "there is no place");
    idle.pop();
    next.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    next.read_exact(&mut byte).expect("an answer");
    assert_eq!(&byte, b"H");
    drop(idle);
    service.stop();
}
