//! Payloads as messages to a broker.

use std::collections::HashMap;
use std::time::Duration;

use rumqttc::{AsyncClient, Event as MqttEvent, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::sink::{Failed, Sink};
use crate::event::Event;
use crate::mqtt::why;

/// The requests that wait for the connection: more than a part has payloads.
const MAX_REQUESTS: usize = 2 * <Broker as Sink>::MAX_EVENTS;
/// The events of the connection that wait for the reader: three for each payload of a part.
const MAX_EVENTS: usize = 2_048;

/// A broker. A payload is acknowledged by the broker's PUBACK (QoS 1).
#[derive(Debug)]
pub struct Broker {
    options: MqttOptions,
    topic: String,
    /// The names of the fleets, for topics.
    fleets: Vec<String>,
    timeout: Duration,
    connection: Option<Connection>,
}

/// A connection, and the task that keeps it alive.
#[derive(Debug)]
struct Connection {
    client: AsyncClient,
    progress: mpsc::Receiver<Progress>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Progress {
    Connected,
    /// The next message was sent under this id.
    Sent(u16),
    Acknowledged(u16),
    Lost(String),
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Broker {
    /// The broker of these options. `topic` has the members in braces.
    pub fn new(
        options: MqttOptions,
        topic: String,
        fleets: Vec<String>,
        timeout: Duration,
    ) -> Self {
        Self { options, topic, fleets, timeout, connection: None }
    }

    fn topic_of(&self, event: &Event) -> String {
        let fleet = self.fleets.get(event.fleet).map_or("", String::as_str);
        // Characters with a meaning in topics do not occur in a level.
        let fleet = fleet.replace(['/', '+', '#', '\0'], "-");
        let eui = event.eui.map_or_else(|| event.device.to_string(), |eui| format!("{eui:016x}"));
        self.topic
            .replace("{fleet}", &fleet)
            .replace("{device}", &event.device.to_string())
            .replace("{eui}", &eui)
    }

    async fn connect(&mut self, until: Instant) -> Result<Connection, Failed> {
        let (client, events) = AsyncClient::new(self.options.clone(), MAX_REQUESTS);
        let (sender, progress) = mpsc::channel(MAX_EVENTS);
        let task = tokio::spawn(keep_alive(events, sender));
        let mut connection = Connection { client, progress, task };
        match timeout_at(until, connection.progress.recv()).await {
            Ok(Some(Progress::Connected)) => Ok(connection),
            Ok(Some(Progress::Lost(why))) => Err(Failed::before(why)),
            _ => Err(Failed::before("the broker does not answer")),
        }
    }

    async fn publish(
        &self,
        connection: &mut Connection,
        events: &[Event],
        until: Instant,
    ) -> Result<(), Failed> {
        for event in events {
            let (topic, text) = (self.topic_of(event), event.text.clone());
            let published = connection.client.try_publish(topic, QoS::AtLeastOnce, false, text);
            published.map_err(|error| Failed::after(0, error))?;
        }
        let mut sent: HashMap<u16, usize> = HashMap::new();
        let (mut next, mut is_acknowledged) = (0, vec![false; events.len()]);
        let prefix = |done: &[bool]| done.iter().take_while(|is_done| **is_done).count();
        while is_acknowledged.iter().any(|is_done| !is_done) {
            match timeout_at(until, connection.progress.recv()).await {
                Ok(Some(Progress::Sent(id))) => {
                    sent.insert(id, next);
                    next += 1;
                }
                Ok(Some(Progress::Acknowledged(id))) => {
                    let place = sent.remove(&id);
                    if let Some(done) = place.and_then(|place| is_acknowledged.get_mut(place)) {
                        *done = true;
                    }
                }
                Ok(Some(Progress::Connected)) => {}
                Ok(Some(Progress::Lost(why))) => {
                    return Err(Failed::after(prefix(&is_acknowledged), why));
                }
                Ok(None) | Err(_) => {
                    let why = "the broker does not acknowledge";
                    return Err(Failed::after(prefix(&is_acknowledged), why));
                }
            }
        }
        Ok(())
    }
}

/// Drives a connection until it is lost, and reports its progress.
async fn keep_alive(mut events: EventLoop, progress: mpsc::Sender<Progress>) {
    loop {
        let step = match events.poll().await {
            Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => Progress::Connected,
            Ok(MqttEvent::Incoming(Packet::PubAck(ack))) => Progress::Acknowledged(ack.pkid),
            Ok(MqttEvent::Outgoing(Outgoing::Publish(id))) => Progress::Sent(id),
            Ok(_) => continue,
            Err(error) => Progress::Lost(why(&error)),
        };
        let is_lost = matches!(step, Progress::Lost(_));
        if progress.send(step).await.is_err() || is_lost {
            return;
        }
    }
}

impl Sink for Broker {
    async fn hand_out(&mut self, events: &[Event]) -> Result<(), Failed> {
        let until = Instant::now() + self.timeout;
        // A connection that was lost while nothing was to hand out is no failure of a payload.
        let kept = self.connection.take().filter(|connection| !connection.task.is_finished());
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(until).await?,
        };
        self.publish(&mut connection, events, until).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
