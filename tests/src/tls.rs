//! Certificates for servers of the tests, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority that signs certificates, in a folder of its own.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
}

/// The certificate of a server and its key, in PEM.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority.
    pub fn new(folder: &Path, name: &str) -> Self {
        let authority = Self { folder: folder.to_owned(), name: name.to_owned() };
        let (cert, key) = (authority.cert(), authority.file("key"));
        openssl(&[
            &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
            &["-days", "30", "-subj", &format!("/CN={name}")],
            &["-keyout", text(&key), "-out", text(&cert)],
        ]);
        authority
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }

    /// The certificate of the authority.
    pub fn cert(&self) -> PathBuf {
        self.file("crt")
    }

    /// A certificate for a server. `host` is like `DNS:localhost` or `IP:127.0.0.1`. With 0 days, it
    /// expires within this second.
    pub fn sign(&self, host: &str, days: u32) -> Certificate {
        let of = |ending| {
            let name = format!("{}-{}-{days}.{ending}", self.name, host.replace(':', "-"));
            self.folder.join(name)
        };
        let (cert, key, request, more) = (of("crt"), of("key"), of("csr"), of("ext"));
        std::fs::write(&more, format!("subjectAltName={host}\n")).expect("written");
        openssl(&[
            &["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
            &["-subj", "/CN=server", "-keyout", text(&key), "-out", text(&request)],
        ]);
        openssl(&[
            &["x509", "-req", "-in", text(&request), "-CA", text(&self.cert())],
            &["-CAkey", text(&self.file("key")), "-CAcreateserial", "-days", &days.to_string()],
            &["-extfile", text(&more), "-out", text(&cert)],
        ]);
        Certificate { cert, key }
    }
}

impl Certificate {
    /// The lines of a broker's configuration. Started by root, the broker stays root: nobody else reads the key.
    pub fn of_broker(&self) -> String {
        format!("user root\ncertfile {}\nkeyfile {}\n", text(&self.cert), text(&self.key))
    }
}

fn openssl(parts: &[&[&str]]) {
    let output = Command::new("openssl").args(parts.concat()).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
