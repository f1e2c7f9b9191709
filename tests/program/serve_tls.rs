//! Brokers and web servers whose certificates are right, and those whose certificates are not.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use hintdex_tests::mqtt::Mosquitto;
use hintdex_tests::serving::{Service, write};
use hintdex_tests::tls::{Authority, Certificate};
use hintdex_tests::{Devices, provision, run};

/// A fleet whose payloads go to a server on TLS.
struct Place {
    folder: tempfile::TempDir,
    fleet: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let fleet = folder.path().join("meters");
        provision(&fleet, &["--devices", "100"]).done();
        Self { folder, fleet }
    }

    fn config(&self, to: &str, ca: &Path) -> PathBuf {
        let config = self.folder.path().join("hintdex.toml");
        write(
            &config,
            &format!(
                "[[station]]\nindex = [{:?}]\n[[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
                 [[station.out]]\nto = {to:?}\nca = {ca:?}\n",
                self.fleet
            ),
        );
        config
    }

    /// Runs the service with one packet. Returns its log.
    fn hand_out(&self, to: &str, ca: &Path, nonce: u64, until: &str) -> Vec<String> {
        let mut service = Service::configured(&self.config(to, ca));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let packet = Devices::of_capture().packet(7, nonce, b"21.5 C");
        socket.send_to(&packet, service.address_of("udp")).expect("sent");
        service.wait_for(until);
        service.kill();
        service.seen.clone()
    }
}

fn broker(folder: &Path, certificate: &Certificate) -> Mosquitto {
    Mosquitto::start_with(folder, Mosquitto::free_port(), &certificate.of_broker())
}

/// The payloads wait while a certificate is wrong, the log says which check failed and what to look at, and
/// with the right certificate each goes out.
#[test]
fn a_broker_is_believed_by_its_certificate_alone() {
    let place = Place::new();
    let folder = place.folder.path();
    let (ours, other) = (Authority::new(folder, "ours"), Authority::new(folder, "other"));
    let right = ours.sign("DNS:localhost", 30);
    let late = ours.sign("DNS:localhost", 0);
    thread::sleep(Duration::from_millis(1_500));
    let cases = [
        (&right, other.cert(), "UnknownIssuer"),
        (&ours.sign("DNS:broker.example", 30), ours.cert(), "not valid for name"),
        (&late, ours.cert(), "expired"),
    ];
    for (nonce, (certificate, ca, why)) in (0..).zip(&cases) {
        let broker = broker(folder, certificate);
        let to = format!("mqtts://localhost:{}", broker.port);
        let log = place.hand_out(&to, ca, nonce, "payloads wait");
        let line = log.iter().find(|line| line.contains("payloads wait")).expect("it was seen");
        assert!(line.contains("TLS: ") && line.contains(why), "{why}: {line}");
        assert!(line.contains("check ca"), "{line}");
    }
    let broker = broker(folder, &right);
    let to = format!("mqtts://localhost:{}", broker.port);
    let mut service = Service::configured(&place.config(&to, &ours.cert()));
    assert!(service.has_ended_with("every payload was handed out"), "{:#?}", service.seen);
}

/// A server on TLS that answers nothing.
struct TlsServer(Child);

impl TlsServer {
    fn start(certificate: &Certificate, port: u16) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &port.to_string(), "-cert"]);
        command.arg(&certificate.cert).arg("-key").arg(&certificate.key);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("openssl runs"))
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_web_server_is_believed_by_its_certificate_alone() {
    let place = Place::new();
    let folder = place.folder.path();
    let (ours, other) = (Authority::new(folder, "ours"), Authority::new(folder, "other"));
    let port = Mosquitto::free_port();
    let _server = TlsServer::start(&ours.sign("DNS:localhost", 30), port);
    let to = format!("https://localhost:{port}/payloads");
    let log = place.hand_out(&to, &other.cert(), 0, "UnknownIssuer");
    assert!(log.iter().any(|line| line.contains("payloads wait")), "{log:#?}");
}

#[test]
fn a_file_that_holds_no_certificate_is_named() {
    let place = Place::new();
    let ca = place.folder.path().join("ca.pem");
    write(&ca, "no certificate\n");
    let config = place.config("mqtts://localhost:1", &ca);
    let serve = || run(["serve".as_ref(), "--config".as_ref(), config.as_os_str()]);
    serve().refused(1, &["ca.pem", "it holds no CERTIFICATE", "PEM"]);
    std::fs::remove_file(&ca).expect("it is there");
    serve().refused(1, &["ca.pem", "No such file", "PEM"]);
    write(&ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    serve().refused(1, &["ca.pem"]);
}
