//! The page of the service in a browser: it is whole, its figures move, and it asks nobody else.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use hintdex_tests::serving::{Service, get};
use hintdex_tests::{Devices, provision};

/// Passes connections on to the page, and sends the path of each request. What the script asks for waits
/// until `may_refresh`.
fn watched(page: SocketAddr, may_refresh: &Arc<AtomicBool>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, paths) = mpsc::channel();
    let may_refresh = may_refresh.clone();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(page).expect("the page listens");
            let (from, to) = (client.try_clone(), server.try_clone());
            let (mut from, mut to) = (from.expect("a socket"), to.expect("a socket"));
            let (sender, may_refresh) = (sender.clone(), may_refresh.clone());
            thread::spawn(move || {
                let mut bytes = [0; 16 << 10];
                while let Ok(len @ 1..) = from.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
                    for line in text.lines().filter(|line| line.starts_with("GET ")) {
                        let path = line.split(' ').nth(1).expect("a path").to_owned();
                        while path == "/body.html" && !may_refresh.load(Ordering::Relaxed) {
                            thread::sleep(Duration::from_millis(5));
                        }
                        let _ = sender.send(path);
                    }
                    if to.write_all(&bytes[..len]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut server, mut client) = (server, client);
            thread::spawn(move || {
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(Shutdown::Write);
            });
        }
    });
    (address, paths)
}

/// A headless browser that loads a page in a window of this size.
fn browser(folder: &Path, url: &str, size: &str, dark: bool) -> Command {
    let mut browser = Command::new("chromium");
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        // Every other name leads nowhere.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]);
    browser.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    browser.arg(format!("--window-size={size}"));
    browser.arg(format!("--user-data-dir={}", folder.join(format!("profile-{dark}")).display()));
    browser.arg(url).stdout(Stdio::piped()).stderr(Stdio::piped());
    browser
}

/// The figure below a label of the page.
fn figure(dom: &str, label: &str) -> String {
    let (_, rest) =
        dom.split_once(&format!(">{label}<")).unwrap_or_else(|| panic!("{label}: {dom}"));
    let digits = rest.split("</dd>").next().unwrap_or_default();
    digits.chars().filter(char::is_ascii_digit).collect()
}

#[test]
fn the_figures_of_the_page_move_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("meters");
    provision(&fleet, &["--devices", "1000"]).done();
    let index = fleet.to_str().expect("text");
    let args =
        ["--index", index, "--in", "udp://127.0.0.1:0", "--out", "lines:-", "--web", "127.0.0.1:0"];
    let mut service = Service::start(args);
    let (page, packets) = (service.web(), service.address_of("udp"));
    let (head, body) = get(page, "/");
    let policy = "content-security-policy: default-src 'none'";
    assert!(head.to_ascii_lowercase().contains(policy), "{head}");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let named = body.matches(outside).count();
        // An SVG names its language by an address that nobody asks for.
        let names = body.matches("http://www.w3.org/2000/svg").count();
        assert_eq!(named, if outside == "http://" { names } else { 0 }, "{outside}");
    }

    let may_refresh = Arc::new(AtomicBool::new(false));
    let (address, paths) = watched(page, &may_refresh);
    let mut browser = browser(folder.path(), &format!("http://{address}/"), "390,844", true);
    // The time of the page stands still while it waits for an answer.
    browser.args(["--dump-dom", "--virtual-time-budget=30000"]);
    let running = browser.spawn().expect("chromium is installed; tools/setup.sh installs it");
    assert_eq!(paths.recv().as_deref(), Ok("/"));
    // The page shows no packet yet. Those that come now are shown by its script.
    let (socket, devices) =
        (UdpSocket::bind("127.0.0.1:0").expect("a port"), Devices::of_capture());
    let status = service.wait_for_status("50 accepted", |status| {
        for device in 0..50 {
            socket.send_to(&devices.packet(device, 0, b"x"), packets).expect("sent");
        }
        status["stations"][0]["accepted"].as_u64() >= Some(50)
    });
    assert_eq!(status["stations"][0]["accepted"], 50);
    may_refresh.store(true, Ordering::Relaxed);
    let output = running.wait_with_output().expect("it ends");
    let (dom, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "the page complains: {complaints:?}");
    assert_eq!(figure(&dom, "accepted"), "50", "{dom}");
    let asked: BTreeSet<String> = paths.try_iter().collect();
    let known = ["/", "/favicon.ico", "/body.html"].map(str::to_owned);
    assert!(asked.contains("/body.html"), "{asked:?}");
    assert!(asked.iter().all(|path| known.contains(path)), "{asked:?}");
}
