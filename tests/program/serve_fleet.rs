//! A whole fleet by real parts: three gateways with Semtech's packet forwarder, the service, the broker
//! Mosquitto, and a subscriber.

use std::collections::{BTreeSet, HashMap};

use hintdex_tests::devices::payload;
use hintdex_tests::mqtt::{Mosquitto, MqttClient};
use hintdex_tests::serving::{Forwarder, Service, base64, rxpk, write};
use hintdex_tests::{Devices, Random, provision};

/// The packets that are on the air together.
const PACKETS_AT_ONCE: usize = 400;
/// The packets in one datagram of a gateway.
const PACKETS_A_DATAGRAM: usize = 20;

/// Receives the payload of each packet with the gateways that heard it. Returns the receptions, and how
/// many payloads came again.
fn receive_all(
    subscriber: &mut MqttClient,
    mut heard: HashMap<(u64, u64), BTreeSet<String>>,
) -> (usize, usize) {
    let (mut repeated, mut receptions) = (0, 0);
    while !heard.is_empty() {
        let (topic, message) = subscriber.next_message();
        let event: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
        let number = |name: &str| event[name].as_u64().expect("a number");
        let sender = (number("device"), number("nonce"));
        assert_eq!(topic, format!("application/meters/device/{}/event/up", sender.0));
        let device = u32::try_from(sender.0).expect("an id");
        assert_eq!(event["payload"], hex::encode(payload(device, sender.1)));
        let Some(gateways) = heard.remove(&sender) else {
            assert_eq!(event["again"], true, "{event} comes twice");
            repeated += 1;
            continue;
        };
        let list = event["receptions"].as_array().expect("a list");
        let told: BTreeSet<String> =
            list.iter().map(|one| one["gateway"].as_str().expect("a gateway").to_owned()).collect();
        assert_eq!((told.len(), &told), (list.len(), &gateways), "{event}");
        assert!(!event["received"].as_str().expect("a time").starts_with("1970"), "{event}");
        receptions += told.len();
    }
    (receptions, repeated)
}

/// The packets of all devices, nonce by nonce, heard by gateways that lose some of them.
fn whole_fleet(device_count: u32, nonces: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("meters");
    provision(&fleet, &["--devices", &device_count.to_string()]).done();
    let broker = Mosquitto::start(folder.path(), Mosquitto::free_port());
    let config = folder.path().join("hintdex.toml");
    // Copies are gathered for far longer than their way takes, even on a busy machine.
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 10000\n\
             [[station.in]]\nfrom = \"semtech-udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"mqtt://127.0.0.1:{}\"\n",
            broker.port
        ),
    );
    let mut subscriber = MqttClient::connect(broker.port, "application");
    subscriber.subscribe("application/meters/device/+/event/up");
    let mut service = Service::configured(&config);
    let server = service.address_of("semtech-udp");
    let mut gateways: Vec<Forwarder> =
        (1..=3).map(|number| Forwarder::new(server, number)).collect();
    let mut heard: HashMap<(u64, u64), BTreeSet<String>> = HashMap::new();
    let (devices, mut random) = (Devices::of_capture(), Random::new(18));
    let all: Vec<(u32, u64)> = (0..nonces)
        .flat_map(|nonce| (0..device_count).map(move |device| (device, nonce)))
        .collect();
    for chunk in all.chunks(PACKETS_AT_ONCE) {
        let packets: Vec<String> = chunk
            .iter()
            .map(|(device, nonce)| {
                base64(&devices.packet(*device, *nonce, &payload(*device, *nonce)))
            })
            .collect();
        for (number, gateway) in gateways.iter_mut().enumerate() {
            let mut members = Vec::new();
            for ((device, nonce), packet) in chunk.iter().zip(&packets) {
                // Each gateway hears a part, and the parts overlap.
                if random.place(10) < [3, 4, 6][number] {
                    continue;
                }
                // The first gateway is right, the second is behind, the third was never set.
                let time =
                    ["", r#","time":"2026-11-30T00:00:00Z""#, r#","time":"1970-01-01T00:01:00Z""#];
                let rssi = -60 - i32::try_from(number).expect("small");
                members.push(rxpk(packet, rssi, time[number]));
                let gateways = heard.entry((u64::from(*device), *nonce)).or_default();
                gateways.insert(gateway.eui());
                // Some packets come twice over the network of a gateway.
                if random.place(20) == 0 {
                    members.push(rxpk(packet, rssi, time[number]));
                }
            }
            for datagram in members.chunks(PACKETS_A_DATAGRAM) {
                gateway.push(&datagram.join(","));
            }
        }
    }
    let sent = heard.len();
    let (receptions, repeated) = receive_all(&mut subscriber, heard);
    service.stop();
    eprintln!("{sent} packets, {receptions} receptions, {repeated} repeated");
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));
    assert!(!service.seen.iter().any(|line| line.contains("shed")), "{:#?}", service.seen);
}

#[test]
fn two_thousand_devices_three_gateways_and_a_broker() {
    whole_fleet(2_000, 2);
}

#[test]
#[ignore = "a minute"]
fn twenty_thousand_devices_three_gateways_and_a_broker() {
    whole_fleet(20_000, 3);
}
