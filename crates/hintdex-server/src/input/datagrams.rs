//! Inputs over UDP: Semtech's packet forwarder, and one packet a datagram.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::intake::Intake;
use super::semtech::{self, Datagram};
use crate::stop::Stop;
use crate::uplink::{MAX_PACKET_LEN_BYTES, Reception, Uplink};

/// The longest datagram of UDP, in bytes.
const MAX_DATAGRAM_LEN_BYTES: usize = 65_535;

/// What a datagram asks for.
#[derive(Default)]
struct Taken {
    /// The answer, which is sent before the packets are processed.
    answer: Option<[u8; 4]>,
    uplinks: Vec<Uplink>,
}

/// Takes the datagrams of a packet forwarder until the order to stop.
pub async fn semtech_udp(socket: UdpSocket, intake: Intake, stop: Stop) {
    each_datagram(&socket, &intake, stop, take_semtech).await;
}

/// Takes one packet a datagram until the order to stop.
pub async fn udp(socket: UdpSocket, intake: Intake, stop: Stop) {
    each_datagram(&socket, &intake, stop, take_packet).await;
}

fn take_semtech(datagram: &[u8], from: SocketAddr, intake: &Intake) -> Taken {
    match semtech::parse(datagram) {
        Ok(Datagram::Push { ack, body }) => {
            intake.metrics.crc_errors.inc_by(body.crc_errors);
            for _ in 0..body.malformed {
                intake.malformed(&from.to_string(), "a member of rxpk is no packet");
            }
            Taken { answer: Some(ack), uplinks: body.uplinks }
        }
        Ok(Datagram::Pull { ack }) => Taken { answer: Some(ack), uplinks: Vec::new() },
        Ok(Datagram::Other) => Taken::default(),
        Err(why) => {
            intake.malformed(&from.to_string(), &why.text());
            Taken::default()
        }
    }
}

fn take_packet(datagram: &[u8], from: SocketAddr, intake: &Intake) -> Taken {
    if datagram.len() > MAX_PACKET_LEN_BYTES {
        let why = format!("a datagram of {} bytes is longer than any packet", datagram.len());
        intake.malformed(&from.to_string(), &why);
        return Taken::default();
    }
    let reception = Reception { gateway: Some(from.ip().to_string()), ..Reception::default() };
    Taken { answer: None, uplinks: vec![Uplink { packet: datagram.to_vec(), reception }] }
}

async fn each_datagram(
    socket: &UdpSocket,
    intake: &Intake,
    mut stop: Stop,
    take: fn(&[u8], SocketAddr, &Intake) -> Taken,
) {
    let mut buffer = vec![0; MAX_DATAGRAM_LEN_BYTES];
    while let Some(received) = stop.or(socket.recv_from(&mut buffer)).await {
        let (len, from) = match received {
            Ok(received) => received,
            // A gateway whose port was closed when it was answered.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::warn!(input = intake.name, "receiving a datagram failed: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Taken { answer, uplinks } = take(buffer.get(..len).unwrap_or_default(), from, intake);
        // A gateway that lacks the acknowledgement sends the datagram again, and the gatherer
        // drops the copies.
        if let Some(answer) = answer
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%from, "answering a datagram failed: {error}");
        }
        uplinks.into_iter().for_each(|uplink| intake.offer(uplink));
    }
}
