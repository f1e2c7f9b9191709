//! Several stations in one service, and fleets whose nonces tell time.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use hintdex_tests::serving::{Forwarder, Service, base64, rxpk, write};
use hintdex_tests::{Devices, EndOnDrop, Random, provision};

/// While one station is flooded until it sheds, the other sheds nothing and hands out every payload.
#[test]
fn a_flooded_station_does_not_slow_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (flooded, quiet) = (folder.path().join("flooded"), folder.path().join("quiet"));
    provision(&flooded, &["--devices", "1000"]).done();
    provision(&quiet, &["--devices", "1000"]).done();
    let config = folder.path().join("hintdex.toml");
    let station = |name: &str, more: &str| {
        let index = folder.path().join(name);
        format!(
            "[[station]]\nname = {name:?}\nindex = [{index:?}]\n{more}[[station.in]]\nname = {name:?}\n\
             from = \"udp://127.0.0.1:0\"\n[[station.out]]\nname = \"of-{name}\"\n\
             to = \"file:{name}.jsonl\"\n"
        )
    };
    let (small, usual) = ("queue_packets = 64\ngather_ms = 0\n", "gather_ms = 0\n");
    let text =
        format!("web = \"127.0.0.1:0\"\n{}{}", station("flooded", small), station("quiet", usual));
    write(&config, &text);
    let mut service = Service::configured(&config);
    let (noisy, server) = (service.address_of("flooded"), service.address_of("quiet"));
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = EndOnDrop(&is_done);
        scope.spawn(|| {
            let (socket, mut random) =
                (UdpSocket::bind("127.0.0.1:0").expect("a port"), Random::new(1));
            while !is_done.load(Ordering::Relaxed) {
                let _ = socket.send_to(&random.bytes(30), noisy);
            }
        });
        service.wait_for("packets are shed");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for device in 0..1000_u32 {
            let packet = Devices::of_capture().packet(device, 0, b"21.5 C");
            socket.send_to(&packet, server).expect("sent");
            // The kernel's room for datagrams is small on some machines.
            if device % 50 == 49 {
                let taken = u64::from(device) + 1;
                service.wait_for_status("taken", |status| {
                    status["stations"][1]["accepted"].as_u64() >= Some(taken)
                });
            }
        }
    });
    service.stop();
    let shed: Vec<_> = service.seen.iter().filter(|line| line.contains("shed")).collect();
    assert!(!shed.iter().any(|line| line.contains("input=\"quiet\"")), "{shed:#?}");
    let told = std::fs::read_to_string(folder.path().join("quiet.jsonl")).expect("text");
    assert_eq!(told.lines().count(), 1000);
}

/// Nonces tell the minute in which a packet was made. Three gateways hear each packet; the clock of one was
/// never set, and one lies by a day. The time of reception is right, and no clock of a device moves.
#[test]
fn packets_that_tell_time_are_judged_by_the_time_of_reception() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("meters");
    provision(&fleet, &["--devices", "200", "--nonce", "step:60"]).done();
    let config = folder.path().join("hintdex.toml");
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 10000\n\
             [[station.in]]\nfrom = \"semtech-udp://127.0.0.1:0\"\n[[station.out]]\nto = \"lines:-\"\n"
        ),
    );
    let mut service = Service::configured(&config);
    let server = service.address_of("semtech-udp");
    let mut gateways: Vec<Forwarder> =
        (1..=3).map(|number| Forwarder::new(server, number)).collect();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    // What a device of the past week would send is early or late, whatever a gateway says of it.
    let packets = |made_s: u64| -> Vec<String> {
        (0..20)
            .map(|device| base64(&Devices::of_capture().packet(device, made_s / 60, b"x")))
            .collect()
    };
    let times = ["", r#","time":"1970-01-01T00:01:00Z""#, r#","time":"2031-01-01T00:00:00Z""#];
    for (packets, made) in [(packets(now_s), "now"), (packets(now_s + 7 * 86_400), "next week")] {
        for (gateway, time) in gateways.iter_mut().zip(times) {
            let of = |packet: &String| rxpk(packet, -50, time);
            let members: Vec<String> = packets.iter().map(of).collect();
            gateway.push(&members.join(","));
        }
        eprintln!("sent packets of {made}");
    }
    service.stop();
    let events = service.events();
    let heard: HashSet<u64> =
        events.iter().map(|event| event["device"].as_u64().expect("a device")).collect();
    assert_eq!((events.len(), heard), (20, (0..20).collect()), "{events:#?}");
    for event in &events {
        assert_eq!(event["receptions"].as_array().map(Vec::len), Some(3), "{event}");
        let received = event["received"].as_str().expect("a time");
        assert!(!received.starts_with("1970") && !received.starts_with("2031"), "{event}");
        assert!(event["time"].as_str().is_some(), "{event}");
    }
    assert!(
        !service.seen.iter().any(|line| line.contains("its clock moved")),
        "{:#?}",
        service.seen
    );
}
