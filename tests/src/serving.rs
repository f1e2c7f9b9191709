//! The service `hintdex serve`, started and watched as its users do.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::program;

/// How long a step may take before the test gives up: far more than any step needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running service.
#[derive(Debug)]
pub struct Service {
    child: Child,
    log: Receiver<String>,
    /// The lines of the log that were read.
    pub seen: Vec<String>,
    /// The lines of standard output, which are read as they come: a full pipe would hold the service
    /// up.
    lines: Receiver<String>,
}

impl Service {
    /// Starts `hintdex serve` and waits until it is ready.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = program::command(["serve"]);
        command.args(args);
        Self::spawn(command)
    }

    /// The same with a configuration file.
    pub fn configured(path: &Path) -> Self {
        Self::start(["--config".as_ref(), path.as_os_str()])
    }

    /// The same by a command of the caller's.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with_input(command, Stdio::null())
    }

    /// The same with a standard input.
    pub fn spawn_with_input(mut command: Command, input: Stdio) -> Self {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = lines_of(child.stderr.take().expect("a pipe"));
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let mut service = Self { child, log, seen: Vec::new(), lines };
        service.wait_for("ready");
        service
    }

    /// Waits for a line of the log with a text, and returns it. Earlier lines count, too.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_for_another(text, 1)
    }

    /// Waits for the line with this text that is the `number`th.
    #[track_caller]
    pub fn wait_for_another(&mut self, text: &str, number: usize) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut found = self.seen.iter().filter(|line| line.contains(text));
            if let Some(line) = found.nth(number - 1) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no {text:?} in the log: {:#?}", self.seen),
            }
        }
    }

    /// The address on which an input of this name listens.
    #[track_caller]
    pub fn address_of(&mut self, input: &str) -> SocketAddr {
        let line = self.wait_for(&format!("input=\"{input}\" address="));
        value_of(&line, "address").parse().expect("an address")
    }

    /// The address of the page.
    #[track_caller]
    pub fn web(&mut self) -> SocketAddr {
        let line = self.wait_for("the page is at");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        address.expect("a URL").parse().expect("an address")
    }

    /// The next line of standard output as JSON; `None` at its end.
    #[track_caller]
    pub fn next_event(&mut self) -> Option<serde_json::Value> {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing is handed out: {:#?}", self.seen),
        };
        Some(serde_json::from_str(&line).expect("a line of JSON"))
    }

    /// The rest of standard output.
    #[track_caller]
    pub fn events(&mut self) -> Vec<serde_json::Value> {
        std::iter::from_fn(|| self.next_event()).collect()
    }

    /// The number of the process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, like `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// How the service ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child")?;
        // The log ends with the process.
        self.seen.extend(self.log.iter());
        Some(status)
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                self.seen.extend(self.log.try_iter());
                return status;
            }
            assert!(Instant::now() < until, "the service does not end: {:#?}", self.seen);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the service as an operator does, and checks that it ends well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.end();
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }

    /// Ends the service as an operator does. Returns whether it logged this text.
    #[track_caller]
    pub fn has_ended_with(&mut self, text: &str) -> bool {
        self.stop();
        self.seen.iter().any(|line| line.contains(text))
    }

    /// Kills the service.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child");
        let _ = self.child.wait();
    }

    /// Waits until the page's status fulfils a condition, and returns the status.
    #[track_caller]
    pub fn wait_for_status(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let (web, until) = (self.web(), Instant::now() + PATIENCE);
        loop {
            let (_, body) = get(web, "/status.json");
            let status: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < until, "not {what}: {status:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, read by a thread of their own.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// The value of a field of a line of the log.
fn value_of(line: &str, field: &str) -> String {
    let rest = line.split(&format!("{field}=\"")).nth(1);
    rest.and_then(|rest| rest.split('"').next()).expect("a field").to_owned()
}

/// Asks for a page. Returns the head and the body of the answer.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the page answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.to_owned(), body.to_owned())
}

/// A packet forwarder of Semtech, version 2.
#[derive(Debug)]
pub struct Forwarder {
    socket: UdpSocket,
    eui: [u8; 8],
    token: u16,
}

impl Forwarder {
    /// A gateway with this number that sends to `server`.
    pub fn new(server: SocketAddr, number: u8) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("a route");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
        Self { socket, eui: [0, 0, 0, 0, 0, 0, 0, number], token: 0 }
    }

    /// The EUI in hex.
    pub fn eui(&self) -> String {
        hex::encode(self.eui)
    }

    /// Sends a member of `rxpk`, and again until it is acknowledged, as a forwarder on a bad line
    /// does.
    #[track_caller]
    pub fn push(&mut self, rxpk: &str) {
        self.token += 1;
        let [high, low] = self.token.to_be_bytes();
        let mut datagram = vec![2, high, low, 0];
        datagram.extend_from_slice(&self.eui);
        datagram.extend_from_slice(format!("{{\"rxpk\":[{rxpk}]}}").as_bytes());
        for _ in 0..200 {
            self.socket.send(&datagram).expect("sent");
            let mut answer = [0; 16];
            // An answer to an earlier copy may be in the way.
            while let Ok(len) = self.socket.recv(&mut answer) {
                if answer.get(..len) == Some(&[2, high, low, 1]) {
                    return;
                }
            }
        }
        panic!("the service does not acknowledge");
    }
}

/// A member of `rxpk`.
pub fn rxpk(packet_base64: &str, rssi: i32, more: &str) -> String {
    format!(
        r#"{{"tmst":1,"chan":0,"freq":868.1,"stat":1,"modu":"LORA","datr":"SF7BW125","rssi":{rssi},"lsnr":5.5,"size":1,"data":"{packet_base64}"{more}}}"#
    )
}

/// The base64 of RFC 4648 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = usize::try_from(bits >> (18 - 6 * place) & 63).expect("6 bits");
            match alphabet.get(letter) {
                Some(letter) if place <= chunk.len() => text.push(char::from(*letter)),
                _ => text.push('='),
            }
        }
    }
    text
}

/// Writes a file.
pub fn write(path: &Path, text: &str) {
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
}
