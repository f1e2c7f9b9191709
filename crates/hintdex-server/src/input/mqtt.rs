//! Topics of a broker as an input.

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeFilter, SubscribeReasonCode,
};

use super::bad_message::BadMessage;
use super::intake::Intake;
use super::message;
use crate::backoff::Backoff;
use crate::config::PayloadForm;
use crate::mqtt::{is_message_too_long, why};
use crate::stop::Stop;

/// What is done about a message that is too long.
const FORGOTTEN: &str = "the messages that wait at the broker are given up with it";

/// The requests that wait for the connection, at most.
const MAX_REQUESTS: usize = 64;

/// An input of MQTT.
#[derive(Debug)]
pub struct Topics {
    pub options: MqttOptions,
    pub topics: Vec<String>,
    /// `None` for messages of the ChirpStack gateway bridge.
    pub form: Option<PayloadForm>,
}

impl Topics {
    /// Takes the messages of the topics until the order to stop. While the broker is gone, it keeps
    /// messages for the client, whose session lasts (QoS 1, no clean session).
    pub async fn run(mut self, intake: Intake, mut stop: Stop) {
        self.options.set_clean_session(false);
        let (mut client, mut events) = AsyncClient::new(self.options.clone(), MAX_REQUESTS);
        let (mut backoff, mut failures) = (Backoff::default(), 0_u64);
        let mut long_messages = Backoff::default();
        while let Some(event) = stop.or(events.poll()).await {
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    intake.metrics.connected.set(1);
                    (backoff, failures) = (Backoff::default(), 0);
                    tracing::info!(input = intake.name, "connected to the broker");
                    self.subscribe(&client, &intake);
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        tracing::error!(
                            input = intake.name,
                            "the broker refuses a topic; check the rights of the user"
                        );
                    } else {
                        tracing::info!(input = intake.name, "subscribed to the topics");
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if !self.take(&intake, &publish.topic, &publish.payload, &mut stop).await {
                        break;
                    }
                }
                Ok(_) => {}
                Err(error) if is_message_too_long(&error) => {
                    intake.metrics.connected.set(0);
                    intake.malformed("the broker", &format!("{}; {FORGOTTEN}", why(&error)));
                    // A retained message comes again with each subscription.
                    let wait = tokio::time::sleep(long_messages.wait());
                    if stop.or(self.forget_session()).await.is_none()
                        || stop.or(wait).await.is_none()
                    {
                        break;
                    }
                    (client, events) = AsyncClient::new(self.options.clone(), MAX_REQUESTS);
                }
                Err(error) => {
                    intake.metrics.connected.set(0);
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(input = intake.name, failures, "no broker: {}", why(&error));
                    }
                    if stop.or(tokio::time::sleep(backoff.wait())).await.is_none() {
                        break;
                    }
                }
            }
        }
        intake.metrics.connected.set(0);
        leave(&client, &mut events).await;
    }

    /// Ends the session at the broker, and so the messages that wait there: of these, the broker would send the
    /// one that is too long again and again.
    async fn forget_session(&self) {
        let mut options = self.options.clone();
        options.set_clean_session(true);
        let (client, mut events) = AsyncClient::new(options, MAX_REQUESTS);
        if let Ok(Event::Incoming(Packet::ConnAck(_))) = events.poll().await {
            leave(&client, &mut events).await;
        }
    }

    fn subscribe(&self, client: &AsyncClient, intake: &Intake) {
        let filter = |topic: &String| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce);
        if let Err(error) = client.try_subscribe_many(self.topics.iter().map(filter)) {
            tracing::error!(input = intake.name, "subscribing failed: {error}");
        }
    }

    /// Takes a message. Returns whether the station still takes packets.
    async fn take(&self, intake: &Intake, topic: &str, message: &[u8], stop: &mut Stop) -> bool {
        match message::parse(self.form.as_ref(), topic, message) {
            Ok(uplink) => stop.or(intake.send(uplink)).await == Some(true),
            Err(BadMessage::BadCrc) => {
                intake.metrics.crc_errors.inc();
                true
            }
            Err(why) => {
                intake.malformed(topic, why.text());
                true
            }
        }
    }
}

/// Says goodbye, so that the broker does not wait for the client.
async fn leave(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect().is_ok() {
        let until = tokio::time::Instant::now() + std::time::Duration::from_millis(500);
        while let Ok(Ok(_)) = tokio::time::timeout_at(until, events.poll()).await {}
    }
}
