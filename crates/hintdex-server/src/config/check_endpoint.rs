//! The values of inputs and outputs are checked.

use std::time::Duration;

use hintdex::SecretSource;

use super::checker::Checker;
use super::endpoints::{FileRotation, InputKind, MqttAccess, OutputKind, PayloadForm};
use super::file::{InputTable, OutputTable};
use super::url::{Broker, InputUrl, OutputUrl};

/// The topic of payloads, as users of ChirpStack have it.
const DEFAULT_TOPIC: &str = "application/{fleet}/device/{device}/event/up";
/// The topic of the ChirpStack gateway bridge.
const CHIRPSTACK_TOPIC: &str = "gateway/+/event/up";

/// The most files that a rotation keeps: each rotation renames all of them.
const MAX_KEPT_FILES: u32 = 10_000;

impl Checker<'_> {
    pub fn input(&self, table: &InputTable) -> Result<(Option<String>, InputKind), String> {
        let from = table.from.as_deref().ok_or_else(|| {
            format!("{}: from is missing, like from = \"semtech-udp://0.0.0.0:1700\"", self.place)
        })?;
        let url = InputUrl::parse(from).map_err(self.at("from"))?;
        let is_mqtt = matches!(url, InputUrl::Mqtt(_) | InputUrl::ChirpStack(_));
        let of_mqtt = [
            ("topics", table.topics.is_some()),
            ("client_id", table.client_id.is_some()),
            ("username", table.username.is_some()),
            ("password", table.password.is_some()),
            ("ca", table.ca.is_some()),
            ("cert", table.cert.is_some()),
            ("key", table.key.is_some()),
        ];
        self.only_for("mqtt and chirpstack", is_mqtt, &of_mqtt)?;
        let has_payload = [("payload", table.payload.is_some())];
        self.only_for("mqtt", matches!(url, InputUrl::Mqtt(_)), &has_payload)?;
        let access = |broker: Broker| {
            let login = [&table.client_id, &table.username, &table.password];
            self.mqtt_access(broker, login, [&table.ca, &table.cert, &table.key])
        };
        let topics = |broker: &Broker, default: &str| -> Result<Vec<String>, String> {
            let of_url = if broker.topic.is_empty() { default } else { &broker.topic };
            let topics = table.topics.clone().unwrap_or_else(|| vec![of_url.to_owned()]);
            if topics.is_empty() || topics.iter().any(|topic| !rumqttc::valid_filter(topic)) {
                return Err(self.at("topics")(
                    "each is a topic of MQTT, with + for one level and # for the rest, like \
                     [\"radio/+/up\"]"
                        .into(),
                ));
            }
            Ok(topics)
        };
        let kind = match url {
            InputUrl::SemtechUdp(address) => InputKind::SemtechUdp(address),
            InputUrl::Udp(address) => InputKind::Udp(address),
            InputUrl::Stdin => InputKind::Stdin,
            InputUrl::Unix(path) => InputKind::Unix(self.base.join(path)),
            InputUrl::Mqtt(broker) => InputKind::Mqtt {
                topics: topics(&broker, "")?,
                form: Some(
                    payload_form(table.payload.as_deref().unwrap_or("raw"))
                        .map_err(self.at("payload"))?,
                ),
                access: Box::new(access(broker)?),
            },
            InputUrl::ChirpStack(broker) => InputKind::Mqtt {
                topics: topics(&broker, CHIRPSTACK_TOPIC)?,
                form: None,
                access: Box::new(access(broker)?),
            },
        };
        Ok((table.name.clone(), kind))
    }

    fn mqtt_access(
        &self,
        broker: Broker,
        [client_id, username, password]: [&Option<String>; 3],
        [ca, cert, key]: [&Option<String>; 3],
    ) -> Result<MqttAccess, String> {
        let password = password.as_deref().map(|text| self.secret("password", text)).transpose()?;
        let client_cert = match (cert, key) {
            (Some(cert), Some(key)) => Some((self.path(cert), self.path(key))),
            (None, None) => None,
            _ => {
                return Err(self.at("cert")(
                    "cert and key are given together or not at all".into(),
                ));
            }
        };
        let tls = [("ca", ca.is_some()), ("cert", client_cert.is_some())];
        self.only_for("mqtts", broker.is_tls, &tls)?;
        Ok(MqttAccess {
            client_id: client_id.clone().unwrap_or_default(),
            username: username.clone(),
            password,
            ca: ca.as_deref().map(|ca| self.path(ca)),
            client_cert,
            broker,
        })
    }

    pub fn output(&self, table: &OutputTable) -> Result<(Option<String>, OutputKind), String> {
        let to = table.to.as_deref().ok_or_else(|| {
            format!("{}: to is missing, like to = \"mqtt://localhost:1883\"", self.place)
        })?;
        let url = OutputUrl::parse(to).map_err(self.at("to"))?;
        self.only_used(table, &url)?;
        let timeout =
            Duration::from_secs(self.within("timeout_s", table.timeout_s, [30, 1, 3_600])?);
        let kind = match url {
            OutputUrl::Stdout => OutputKind::Stdout,
            OutputUrl::File(path) => {
                OutputKind::File { path: self.base.join(path), rotation: self.rotation(table)? }
            }
            OutputUrl::Unix(path) => OutputKind::Unix {
                path: self.base.join(path),
                ack: table.ack.unwrap_or(false),
                timeout,
            },
            OutputUrl::Mqtt(broker) => {
                let of_url = if broker.topic.is_empty() { DEFAULT_TOPIC } else { &broker.topic };
                let topic = table.topic.clone().unwrap_or_else(|| of_url.to_owned());
                check_template(&topic).map_err(self.at("topic"))?;
                let login = [&table.client_id, &table.username, &table.password];
                let access =
                    self.mqtt_access(broker, login, [&table.ca, &table.cert, &table.key])?;
                OutputKind::Mqtt { access: Box::new(access), topic, timeout }
            }
            OutputUrl::Webhook(url) => OutputKind::Webhook {
                url,
                headers: self.headers(table)?,
                ca: table.ca.as_deref().map(|ca| self.path(ca)),
                timeout,
            },
        };
        Ok((table.name.clone(), kind))
    }

    fn only_used(&self, table: &OutputTable, url: &OutputUrl) -> Result<(), String> {
        let is_mqtt = matches!(url, OutputUrl::Mqtt(_));
        let is_web = matches!(url, OutputUrl::Webhook(_));
        let of_mqtt = [
            ("topic", table.topic.is_some()),
            ("client_id", table.client_id.is_some()),
            ("username", table.username.is_some()),
            ("password", table.password.is_some()),
            ("cert", table.cert.is_some()),
            ("key", table.key.is_some()),
        ];
        let of_file = [
            ("rotate_bytes", table.rotate_bytes.is_some()),
            ("rotate_s", table.rotate_s.is_some()),
            ("keep_files", table.keep_files.is_some()),
        ];
        self.only_for("mqtt", is_mqtt, &of_mqtt)?;
        self.only_for("mqtt and https", is_mqtt || is_web, &[("ca", table.ca.is_some())])?;
        self.only_for("https and http", is_web, &[("header", table.header.is_some())])?;
        self.only_for("unix", matches!(url, OutputUrl::Unix(_)), &[("ack", table.ack.is_some())])?;
        self.only_for("file", matches!(url, OutputUrl::File(_)), &of_file)
    }

    fn rotation(&self, table: &OutputTable) -> Result<FileRotation, String> {
        let bytes = [64 << 20, 1 << 10, 1 << 40];
        Ok(FileRotation {
            max_len_bytes: self.within("rotate_bytes", table.rotate_bytes, bytes)?,
            max_age: Duration::from_secs(self.within(
                "rotate_s",
                table.rotate_s,
                [86_400, 1, 366 * 86_400],
            )?),
            keep: table.keep_files.unwrap_or(30).min(MAX_KEPT_FILES),
        })
    }

    /// Headers are `NAME: SOURCE`, where the source of the value is that of a secret.
    fn headers(&self, table: &OutputTable) -> Result<Vec<(String, SecretSource)>, String> {
        let headers = table.header.iter().flatten().map(|header| {
            let (name, source) = header.split_once(':').ok_or_else(|| {
                self.at("header")(
                    "a header is NAME: SOURCE, like \"Authorization: credential:token\"".into(),
                )
            })?;
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(self.at("header")(format!("{name:?} is no name of a header")));
            }
            Ok((name.to_owned(), self.secret("header", source.trim())?))
        });
        headers.collect()
    }
}

fn payload_form(text: &str) -> Result<PayloadForm, String> {
    match text.split_once(':') {
        None if text == "raw" => Ok(PayloadForm::Raw),
        None if text == "hex" => Ok(PayloadForm::Hex),
        None if text == "base64" => Ok(PayloadForm::Base64),
        Some(("hex", pointer)) if pointer.starts_with('/') => {
            Ok(PayloadForm::JsonHex(pointer.to_owned()))
        }
        Some(("base64", pointer)) if pointer.starts_with('/') => {
            Ok(PayloadForm::JsonBase64(pointer.to_owned()))
        }
        _ => Err(format!(
            "{text:?}; raw, hex or base64, or with a JSON pointer like base64:/uplink/data"
        )),
    }
}

/// A topic of payloads names the device, so that subscribers can choose.
fn check_template(topic: &str) -> Result<(), String> {
    let mut rest = topic.to_owned();
    for name in ["{fleet}", "{device}", "{eui}"] {
        rest = rest.replace(name, "x");
    }
    if rest.is_empty() || rest.contains(['{', '}', '#', '+', '\0']) {
        return Err(format!(
            "{topic:?} is no topic; text with {{fleet}}, {{device}} and {{eui}}, without + and #"
        ));
    }
    Ok(())
}
