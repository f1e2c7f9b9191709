//! The outputs of the service, each with the peer that it is for.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use hintdex_tests::mqtt::{Mosquitto, MqttClient};
use hintdex_tests::serving::{Service, base64, write};
use hintdex_tests::{Devices, provision};
use tempfile::TempDir;

fn fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("meters");
    provision(&fleet, &["--devices", "100"]).done();
    (folder, fleet)
}

/// A service with a packet in on UDP and this output.
fn served(fleet: &Path, to: &str) -> Service {
    let index = fleet.to_str().expect("text");
    Service::start(["--index", index, "--in", "udp://127.0.0.1:0", "--out", to])
}

/// Sends a packet of each device.
fn send(service: &mut Service, devices: std::ops::Range<u32>) {
    let (server, socket) =
        (service.address_of("udp"), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    for device in devices {
        let packet = Devices::of_capture().packet(device, 0, b"21.5 C");
        socket.send_to(&packet, server).expect("sent");
    }
}

fn event(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// A web server that answers with one status after the other, then with 204. Sends the body of each
/// request with its status.
fn web_server(statuses: &'static [u16]) -> (String, mpsc::Receiver<(u16, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/payloads", listener.local_addr().expect("an address"));
    let (sender, bodies) = mpsc::channel();
    thread::spawn(move || {
        let mut statuses = statuses.iter().copied();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            while let Some(body) = next_request(&mut reader) {
                let status = statuses.next().unwrap_or(204);
                let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
                let sent = reader.get_mut().write_all(answer.as_bytes());
                if sender.send((status, body)).is_err() || sent.is_err() {
                    return;
                }
            }
        }
    });
    (url, bodies)
}

fn next_request(reader: &mut BufReader<std::net::TcpStream>) -> Option<String> {
    let mut len = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

#[test]
fn a_webhook_that_fails_gets_its_payloads_again() {
    let (_folder, fleet) = fleet();
    let (url, bodies) = web_server(&[500, 503]);
    let mut service = served(&fleet, &url);
    send(&mut service, 0..5);
    let (mut done, mut failed) = (HashSet::new(), 0);
    while done.len() < 5 {
        let (status, body) = bodies.recv().expect("a request");
        let event = event(&body);
        if status == 204 {
            done.insert(event["device"].as_u64().expect("a device"));
        } else {
            failed += 1;
        }
        // What the server has refused comes again with a mark.
        assert_eq!(failed > 1 && done.len() == 1, event["again"] == true && done.len() == 1);
    }
    assert_eq!(failed, 2);
    service.stop();
}

#[test]
fn clients_of_a_socket_acknowledge_by_number() {
    let (folder, fleet) = fleet();
    let (config, socket) = (folder.path().join("hintdex.toml"), folder.path().join("out.sock"));
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\n[[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"unix:{}\"\nack = true\n",
            socket.display()
        ),
    );
    let mut service = Service::configured(&config);
    send(&mut service, 0..3);
    // The first client takes one payload and is gone without an answer.
    let mut first = BufReader::new(UnixStream::connect(&socket).expect("the service listens"));
    let mut line = String::new();
    first.read_line(&mut line).expect("a line");
    let unanswered = event(&line)["number"].as_u64().expect("a number");
    drop(first);
    // The second gets it again.
    let mut second = BufReader::new(UnixStream::connect(&socket).expect("the service listens"));
    let mut devices = HashSet::new();
    let mut first_number = None;
    while devices.len() < 3 {
        let mut line = String::new();
        second.read_line(&mut line).expect("a line");
        let event = event(&line);
        let number = event["number"].as_u64().expect("a number");
        if first_number.is_none() {
            assert_eq!((number, &event["again"]), (unanswered, &true.into()));
            first_number = Some(number);
        }
        devices.insert(event["device"].as_u64().expect("a device"));
        second.get_mut().write_all(format!("{number}\n").as_bytes()).expect("written");
    }
    service.stop();
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));
}

/// A client that never reads is disconnected; the other one loses nothing by it.
#[test]
fn a_client_that_does_not_read_costs_the_others_no_payload() {
    let (folder, fleet) = fleet();
    let (config, path) = (folder.path().join("hintdex.toml"), folder.path().join("out.sock"));
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 0\n\
             [[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"unix:{}\"\ntimeout_s = 1\n",
            path.display()
        ),
    );
    let mut service = Service::configured(&config);
    // It takes what its buffer holds, and no more.
    let stalled = UnixStream::connect(&path).expect("the service listens");
    let mut reader = BufReader::new(UnixStream::connect(&path).expect("the service listens"));
    let (server, socket) =
        (service.address_of("udp"), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let mut numbers = Vec::new();
    // Each payload is as long as a packet may have, so that the buffer of the other is full soon.
    for packet in 0..400_u64 {
        let device = u32::try_from(packet % 100).expect("few");
        let bytes = Devices::of_capture().packet(device, packet / 100, &[7; 1_900]);
        socket.send_to(&bytes, server).expect("sent");
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let event = event(&line);
        assert_eq!(event["device"], device);
        if event["again"] != true {
            numbers.push(event["number"].as_u64().expect("a number"));
        }
    }
    assert_eq!(numbers.len(), 400);
    drop(stalled);
    service.stop();
}

#[test]
fn packets_come_from_a_broker_and_payloads_go_to_it() {
    let (folder, fleet) = fleet();
    let port = Mosquitto::free_port();
    let config = folder.path().join("hintdex.toml");
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\n\
             [[station.in]]\nfrom = \"mqtt://127.0.0.1:{port}/radio/+/up\"\n\
             payload = \"base64:/data\"\n\
             [[station.in]]\nfrom = \"chirpstack://127.0.0.1:{port}\"\n\
             [[station.out]]\nto = \"mqtt://127.0.0.1:{port}\"\n"
        ),
    );
    // The broker is not there yet.
    let mut service = Service::configured(&config);
    service.wait_for("no broker");
    let broker = Mosquitto::start(folder.path(), port);
    let mut client = MqttClient::connect(broker.port, "subscriber");
    client.subscribe("application/meters/device/+/event/up");
    service.wait_for_another("subscribed to the topics", 2);
    let mut sender = MqttClient::connect(broker.port, "publisher");
    let packet = |device| base64(&Devices::of_capture().packet(device, 0, b"21.5 C"));
    let json = format!(r#"{{"data":"{}"}}"#, packet(1));
    sender.publish("radio/7/up", json.as_bytes());
    let chirpstack = format!(
        r#"{{"phyPayload":"{}","rxInfo":{{"gatewayId":"0016c001f153a14c","rssi":-36}}}}"#,
        packet(2)
    );
    sender.publish("gateway/0016c001f153a14c/event/up", chirpstack.as_bytes());
    let mut heard = HashSet::new();
    while heard.len() < 2 {
        let (topic, message) = client.next_message();
        let event = event(std::str::from_utf8(&message).expect("text"));
        let device = event["device"].as_u64().expect("a device");
        assert_eq!(topic, format!("application/meters/device/{device}/event/up"));
        let gateway = event["receptions"][0]["gateway"].as_str().expect("a gateway").to_owned();
        let expected = if device == 1 { "radio/7/up" } else { "0016c001f153a14c" };
        assert_eq!(gateway, expected);
        heard.insert(device);
    }
    service.stop();
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));
}

#[test]
fn payloads_wait_while_the_broker_is_gone() {
    let (folder, fleet) = fleet();
    let port = Mosquitto::free_port();
    let broker = Mosquitto::start(folder.path(), port);
    let mut service = served(&fleet, &format!("mqtt://127.0.0.1:{port}/out/{{fleet}}/{{device}}"));
    let mut client = MqttClient::connect(port, "subscriber");
    client.subscribe("out/#");
    send(&mut service, 0..1);
    assert_eq!(client.next_message().0, "out/meters/0");
    drop(broker);
    // The first payload may meet the connection as it ends.
    send(&mut service, 1..20);
    service.wait_for("payloads wait");
    let _broker = Mosquitto::start(folder.path(), port);
    let mut client = MqttClient::connect(port, "subscriber");
    client.subscribe("out/#");
    service.wait_for("payloads are handed out again");
    // Those that were handed out before this client had subscribed are acknowledged by the broker;
    // the service ends with nothing left.
    service.stop();
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));
}
