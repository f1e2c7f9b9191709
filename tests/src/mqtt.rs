//! A client of MQTT 3.1.1, as little as the tests need, and the broker Mosquitto.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// A running Mosquitto on a port of its own.
#[derive(Debug)]
pub struct Mosquitto {
    child: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Mosquitto {
    /// Starts a broker whose configuration lies in `folder`.
    pub fn start(folder: &Path, port: u16) -> Self {
        Self::start_with(folder, port, "")
    }

    /// The same with further lines of configuration.
    pub fn start_with(folder: &Path, port: u16, more: &str) -> Self {
        let config = folder.join("mosquitto.conf");
        // By default a subscriber that reads slowly loses what is more than a thousand messages.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             max_queued_messages 0\n{more}"
        );
        std::fs::write(&config, text).expect("written");
        let child = Command::new("mosquitto")
            .args(["-c".as_ref(), config.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .or_else(|_| {
                let mut by_path = Command::new("/usr/sbin/mosquitto");
                by_path.args(["-c".as_ref(), config.as_os_str()]).stderr(Stdio::null()).spawn()
            });
        let child = child.expect("mosquitto is installed; tools/setup.sh installs it");
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    /// A port that is free now.
    pub fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that is connected with a clean session.
#[derive(Debug)]
pub struct MqttClient(TcpStream);

impl MqttClient {
    /// Connects to a broker of this machine.
    pub fn connect(port: u16, id: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut client = Self(stream);
        let mut body = vec![0, 4];
        body.extend_from_slice(b"MQTT");
        // Level 4, clean session, no keep-alive.
        body.extend_from_slice(&[4, 2, 0, 0]);
        push_text(&mut body, id);
        client.send(0x10, &body);
        assert_eq!(client.receive(), (0x20, vec![0, 0]), "the broker refuses");
        client
    }

    /// Subscribes to a topic with QoS 1.
    pub fn subscribe(&mut self, topic: &str) {
        let mut body = vec![0, 1];
        push_text(&mut body, topic);
        body.push(1);
        self.send(0x82, &body);
        assert_eq!(self.receive().0, 0x90);
    }

    /// Publishes a message with QoS 1 and waits for its acknowledgement.
    pub fn publish(&mut self, topic: &str, message: &[u8]) {
        let mut body = Vec::new();
        push_text(&mut body, topic);
        body.extend_from_slice(&[0, 7]);
        body.extend_from_slice(message);
        self.send(0x32, &body);
        assert_eq!(self.receive(), (0x40, vec![0, 7]));
    }

    /// Waits for the next message of a subscription: its topic and contents.
    pub fn next_message(&mut self) -> (String, Vec<u8>) {
        loop {
            let (kind, body) = self.receive();
            if kind & 0xf0 != 0x30 {
                continue;
            }
            let (len, rest) = body.split_first_chunk::<2>().expect("a topic");
            let (topic, rest) = rest.split_at(u16::from_be_bytes(*len).into());
            let rest = if kind & 0x06 == 0 {
                rest
            } else {
                let (id, rest) = rest.split_first_chunk::<2>().expect("an id");
                self.send(0x40, id);
                rest
            };
            let topic = String::from_utf8(topic.to_vec()).expect("a topic is text");
            return (topic, rest.to_vec());
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        let mut len = body.len();
        loop {
            let digit = u8::try_from(len % 128).expect("7 bits");
            len /= 128;
            packet.push(if len > 0 { digit | 0x80 } else { digit });
            if len == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.0.write_all(&packet).expect("the broker reads");
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        let mut next = |stream: &mut TcpStream| {
            stream.read_exact(&mut byte).expect("the broker answers");
            byte[0]
        };
        let kind = next(&mut self.0);
        let (mut len, mut shift) = (0_usize, 0);
        loop {
            let digit = next(&mut self.0);
            len |= usize::from(digit & 0x7f) << shift;
            shift += 7;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).expect("the broker answers");
        (kind, body)
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("a short text");
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}
