//! The service: packets from gateways in, each payload out once, and what it refuses.

use std::collections::{HashMap, HashSet};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use hintdex_tests::program::{Outcome, command, inspect, run_with};
use hintdex_tests::serving::{Forwarder, Service, base64, get, rxpk, write};
use hintdex_tests::{Devices, Random, provision, run};
use tempfile::TempDir;

/// A fleet of a thousand devices under the capture's key, in a folder of its own.
fn fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("meters");
    provision(&fleet, &["--devices", "1000"]).done();
    (folder, fleet)
}

/// A call of `serve` with an input and an output.
fn call<'a>(fleet: &'a Path, from: &'a str, to: &'a str) -> Vec<&'a str> {
    vec!["--index", fleet.to_str().expect("text"), "--in", from, "--out", to]
}

fn serve(args: &[&str], input: &str) -> Outcome {
    run_with(command(["serve"].iter().chain(args)), input)
}

fn sender(event: &serde_json::Value) -> (u64, u64) {
    let number = |name: &str| event[name].as_u64().expect("a number");
    (number("device"), number("nonce"))
}

#[test]
fn lines_come_in_and_payloads_go_out() {
    let (_folder, fleet) = fleet();
    let devices = Devices::of_capture();
    let lines: Vec<String> =
        (0..300).map(|device| hex::encode(devices.packet(device, 1, b"21.5 C"))).collect();
    // A forged packet, a line that is none, and a copy.
    let input = format!("{}\n{}00\nzz\n{}\n", lines.join("\n"), lines[0], lines[7]);
    let outcome = serve(&call(&fleet, "lines:-", "lines:-"), &input).done();
    let events: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let senders: HashSet<(u64, u64)> = events.iter().map(sender).collect();
    assert_eq!((events.len(), senders), (300, (0..300).map(|device| (device, 1)).collect()));
    for event in &events {
        assert_eq!(
            (&event["payload"], &event["fleet"]),
            (&"32312e352043".into(), &"meters".into())
        );
        assert!(event.get("again").is_none());
    }
    assert!(outcome.stderr.contains("no packet: not pairs of hex digits"), "{}", outcome.stderr);
    // The outbox is empty: a second run repeats nothing, and the nonces are taken.
    let again = serve(&call(&fleet, "lines:-", "lines:-"), &input).done();
    assert_eq!(again.stdout, "");
}

#[test]
fn each_payload_goes_out_once_with_every_gateway_that_heard_it() {
    let (folder, fleet) = fleet();
    let config = folder.path().join("hintdex.toml");
    // Packets are held until the service stops, however slow the machine is.
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 60000\n\
             [[station.in]]\nfrom = \"semtech-udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"lines:-\"\n"
        ),
    );
    let mut service = Service::configured(&config);
    let server = service.address_of("semtech-udp");
    let mut gateways: Vec<Forwarder> =
        (1..=3).map(|number| Forwarder::new(server, number)).collect();
    let (devices, mut random) = (Devices::of_capture(), Random::new(7));
    let mut heard: HashMap<(u64, u64), HashSet<String>> = HashMap::new();
    for device in 0..200_u32 {
        let packet = base64(&devices.packet(device, 3, b"7"));
        for (number, gateway) in gateways.iter_mut().enumerate() {
            // The first gateway hears every packet, the others lose some, and some come twice.
            if number > 0 && random.place(3) == 0 {
                continue;
            }
            // The clock of the third gateway is years off.
            let time = if number == 2 { r#","time":"2001-01-01T00:00:00Z""# } else { "" };
            let member = rxpk(&packet, -50 - i32::try_from(number).expect("small"), time);
            gateway.push(&member);
            if random.place(4) == 0 {
                gateway.push(&member);
            }
            heard.entry((device.into(), 3)).or_default().insert(gateway.eui());
        }
    }
    // A packet with a wrong checksum on the air counts for nothing.
    gateways[0].push(&rxpk("AAAA", -120, "").replace("\"stat\":1", "\"stat\":-1"));
    service.stop();
    let events = service.events();
    assert_eq!(events.len(), heard.len());
    for event in events {
        let receptions = event["receptions"].as_array().expect("receptions");
        let gateways: Vec<&str> =
            receptions.iter().filter_map(|one| one["gateway"].as_str()).collect();
        let expected = heard.remove(&sender(&event)).expect("an event for each packet");
        assert_eq!(gateways.len(), expected.len(), "{event}");
        assert!(gateways.iter().all(|gateway| expected.contains(*gateway)), "{event}");
        assert!(receptions.iter().all(|one| one["rssi"].as_f64().is_some()));
        // The gateway that lies about the time moves nothing.
        assert!(!event["received"].as_str().expect("a time").starts_with("2001"), "{event}");
    }
}

#[test]
fn a_killed_service_hands_its_payloads_out_after_the_next_start() {
    let (folder, fleet) = fleet();
    let devices = Devices::of_capture();
    // Nobody is connected to the socket, so payloads wait.
    let socket = format!("unix:{}", folder.path().join("payloads.sock").display());
    let mut args = call(&fleet, "udp://127.0.0.1:0", &socket);
    args.extend(["--web", "127.0.0.1:0"]);
    let mut service = Service::start(&args);
    let (server, sender_socket) =
        (service.address_of("udp"), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let mut nonce = 0;
    // Datagrams may get lost: send until some are accepted.
    let status = service.wait_for_status("20 accepted", |status| {
        for device in 0..20 {
            let packet = devices.packet(device, nonce, b"x");
            sender_socket.send_to(&packet, server).expect("sent");
        }
        nonce += 1;
        status["stations"][0]["accepted"].as_u64() >= Some(20)
    });
    service.kill();
    let accepted = status["stations"][0]["accepted"].as_u64().expect("a number");

    // The reader after the crash has another name; it gets what the former one has not acknowledged.
    let outcome = serve(&call(&fleet, "lines:-", "lines:-"), "").done();
    let events: Vec<serde_json::Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.len() as u64 >= accepted, "{} of {accepted}", events.len());
    assert!(events.iter().all(|event| event["again"] == true));
    let senders: HashSet<(u64, u64)> = events.iter().map(sender).collect();
    assert_eq!(senders.len(), events.len(), "a packet is accepted once");
}

#[test]
fn other_commands_work_while_the_service_runs() {
    let (_folder, fleet) = fleet();
    let mut service = Service::start(call(&fleet, "udp://127.0.0.1:0", "lines:-"));
    assert_eq!(inspect(&fleet)["devices"], 1000);
    provision(&fleet, &["--devices", "500", "--first-device", "1000"]).done();
    let packet = Devices::of_capture().packet(1499, 0, b"new");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = service.address_of("udp");
    socket.send_to(&packet, server).expect("sent");
    let event = service.next_event().expect("an event");
    assert_eq!(sender(&event), (1499, 0));
    let second = run(["serve"].iter().chain(&call(&fleet, "udp://127.0.0.1:0", "lines:-")));
    second.refused(2, &["has this index open: hintdex serve"]);
    service.stop();
}

#[test]
fn the_page_the_metrics_and_the_health_checks_answer() {
    let (_folder, fleet) = fleet();
    let mut args = call(&fleet, "udp://127.0.0.1:0", "lines:-");
    args.extend(["--web", "127.0.0.1:0"]);
    let mut service = Service::start(&args);
    let (web, server) = (service.web(), service.address_of("udp"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(&Devices::of_capture().packet(5, 0, b"x"), server).expect("sent");
    assert_eq!(sender(&service.next_event().expect("an event")), (5, 0));
    let status = service
        .wait_for_status("one packet", |status| status["stations"][0]["devices_last_hour"] == 1);
    assert_eq!(status["stations"][0]["gateways"][0]["name"], "127.0.0.1");
    let (head, page) = get(web, "/");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("<svg") && page.contains("meters") && page.contains("127.0.0.1"));
    let (_, metrics) = get(web, "/metrics");
    for line in [
        r#"hintdex_packets_total{station="station",verdict="accepted",reason=""} 1"#,
        r#"hintdex_received_total{station="station",input="udp"} 1"#,
        r#"hintdex_handed_out_total{station="station",output="lines"} 1"#,
        r#"hintdex_state{station="station",figure="devices"} 1000"#,
        r#"hintdex_state{station="station",figure="candidates"} 1"#,
        r#"hintdex_state{station="station",figure="tags"} 1"#,
        "# EOF",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    assert!(get(web, "/healthz").0.starts_with("HTTP/1.1 200"));
    assert!(get(web, "/readyz").0.starts_with("HTTP/1.1 200"));
    assert!(get(web, "/other").0.starts_with("HTTP/1.1 404"));
    service.stop();
}

#[test]
fn the_configuration_is_read_again_on_sighup() {
    let (folder, fleet) = fleet();
    let config = folder.path().join("hintdex.toml");
    let text = |more: &str| {
        format!(
            "[[station]]\nindex = [{fleet:?}]\n[[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"lines:-\"\n{more}"
        )
    };
    write(&config, &text(""));
    let mut service = Service::configured(&config);
    write(&config, &text("[[station.in]]\nname = \"second\"\nfrom = \"udp://127.0.0.1:0\"\n"));
    service.signal("HUP");
    service.wait_for("the configuration was read again");
    let server = service.address_of("second");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(&Devices::of_capture().packet(9, 0, b"x"), server).expect("sent");
    assert_eq!(sender(&service.next_event().expect("an event")), (9, 0));
    // A configuration with a fault changes nothing.
    write(&config, &text("outbox = 5\n"));
    service.signal("HUP");
    service.wait_for("the present configuration stays");
    write(&config, &text("").replace("[[station]]\n", "[[station]]\nmemory = \"64M\"\n"));
    service.signal("HUP");
    service.wait_for("takes effect when the service starts again");
    service.stop();
}

#[test]
fn what_is_wrong_is_named_in_one_line() {
    let (folder, fleet) = fleet();
    let config = folder.path().join("hintdex.toml");
    let refused = |text: &str, words: &[&str]| {
        write(&config, text);
        run(["serve".as_ref(), "--config".as_ref(), config.as_os_str()]).refused(2, words);
    };
    let station = format!("[[station]]\nindex = [{fleet:?}]\n");
    let out = "[[station.out]]\nto = \"lines:-\"\n";
    refused(
        &format!("{station}gather = 100\n"),
        &["hintdex.toml: line 3", "\"gather\"", "did you mean \"gather_ms\"?"],
    );
    refused(&format!("{station}[[station.in]]\nfrom = 5\n"), &["line 4", "string"]);
    refused(&format!("{station}{out}"), &["no input", "[[station.in]]"]);
    refused(
        &format!("{station}[[station.in]]\nfrom = \"semtech://0.0.0.0\"\n{out}"),
        &["in 1: from", "did you mean semtech-udp?"],
    );
    refused(
        &format!("{station}gather_ms = 90000\n[[station.in]]\nfrom = \"lines:-\"\n{out}"),
        &["gather_ms: 90000", "from 0 to 60000"],
    );
    refused("", &["no station", "[[station]]"]);
    run(["serve", "--config", "/nonexistent/hintdex.toml"])
        .refused(1, &["/nonexistent", "--config"]);

    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = format!("udp://{}", taken.local_addr().expect("an address"));
    let args = call(&fleet, &address, "lines:-");
    run(["serve"].iter().chain(&args)).refused(1, &["in udp", "in use", "another port"]);
    let missing = folder.path().join("missing");
    let args = call(&missing, "lines:-", "lines:-");
    let outcome = run(["serve"].iter().chain(&args));
    assert!(outcome.code == Some(1) || outcome.code == Some(2), "{}", outcome.stderr);
}
