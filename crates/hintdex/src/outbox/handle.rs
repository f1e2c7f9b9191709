//! The outbox as its readers use it.

use hintdex_core::{Outbox as IndexOutbox, OutboxRow};
use hintdex_wire::{DeviceId, Nonce};

use super::body::{BodyCipher, PayloadSealer};
use crate::{Error, Source, Station};

/// The outbox of a station that was opened with one
/// ([`StationOptions::outbox_payloads`](crate::StationOptions::outbox_payloads)): each accepted payload
/// is stored with the new state of its device, until every *reader* has acknowledged it.
///
/// So a payload is handed on at least once, whatever process ends in between. Payloads are sealed
/// under a key that is derived from the master key (AES-SIV, RFC 5297).
///
/// ```
/// use hintdex::{Outbox, OutboxPart, OutboxPayload, Received, Station, StationOptions};
/// # use hintdex::{DeviceRange, Params};
/// # use hintdex::wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("fleet");
/// # let params = Params::counters(HintScheme::Aes128, 16);
/// let options =
///     StationOptions { outbox_payloads: Some(1_000_000), ..StationOptions::default() };
/// # let station = Station::create(&dir, None, params, &options)?;
/// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
/// # let (keys, id) = (station.key_source(), KeyId::first(DeviceId(42)));
/// # let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
/// # let mut packet = [0; 64];
/// # let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 0)
/// #     .seal(b"21.5 C", &mut packet)
/// #     .unwrap();
/// # let packet = &packet[..len];
/// # drop(station);
/// let station = Station::open(&dir, &options)?;
/// station.outbox().unwrap().set_readers(&["broker"])?;
/// let context = br#"{"gateway":"3f"}"#;
/// let heard = Received { packet, at_unix_s: 1_764_000_000, at_ms: 0, associated_data: None, context };
/// station.decode_received(&[heard])?;
///
/// // The process ends before the payload was handed on. The next one finds the payload.
/// drop(station);
/// let station = Station::open(&dir, &options)?;
/// let outbox: Outbox<'_> = station.outbox().unwrap();
/// outbox.set_readers(&["broker"])?;
/// let OutboxPart { payloads, next } = outbox.read(outbox.place("broker")?, 100)?;
/// let OutboxPayload { device, payload, context: heard_by, .. } = &payloads[0];
/// assert_eq!((*device, payload.as_slice()), (DeviceId(42), &b"21.5 C"[..]));
/// assert_eq!(heard_by, context);
/// outbox.acknowledge("broker", next)?;
/// assert_eq!(outbox.waiting(), 0);
/// # Ok::<(), hintdex::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Outbox<'a> {
    station: &'a Station,
    rows: IndexOutbox<'a>,
    sealer: &'a PayloadSealer,
}

/// A payload that waits in the outbox, with what was received beside its packet.
///
/// See the example of [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxPayload {
    /// The number of the payload. Numbers increase with the order of decoding, and have holes.
    pub number: u64,
    /// The device that sent the packet.
    pub device: DeviceId,
    /// The generation of the key that opened the packet.
    pub generation: u16,
    /// The nonce of the packet, as in [`Verdict::Accepted`](crate::Verdict::Accepted).
    pub nonce: Nonce,
    /// Where the hint was resolved.
    pub source: Source,
    /// When the packet was received, in seconds since 1970.
    pub at_unix_s: u64,
    /// Milliseconds after `at_unix_s`.
    pub at_ms: u16,
    /// The decrypted payload.
    pub payload: Vec<u8>,
    /// The context that was given with the packet.
    pub context: Vec<u8>,
}

/// Payloads that were read together.
///
/// See the example of [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxPart {
    /// The payloads, in the order of their numbers.
    pub payloads: Vec<OutboxPayload>,
    /// The number to read on from, and to acknowledge once all of these are handed on.
    pub next: u64,
}

impl Station {
    /// The outbox; `None` unless the options of the station have one.
    pub fn outbox(&self) -> Option<Outbox<'_>> {
        let (rows, sealer) = (self.index.outbox()?, self.payload_sealer.as_ref()?);
        Some(Outbox { station: self, rows, sealer })
    }
}

impl Outbox<'_> {
    /// The number behind the last payload: that of every payload of a call that has returned is
    /// below.
    pub fn end(&self) -> u64 {
        self.rows.end()
    }

    /// How many payloads wait for a reader, at most: the numbers from the place of the slowest reader
    /// to the end.
    pub fn waiting(&self) -> u64 {
        self.rows.waiting()
    }

    /// The readers with their places, by name.
    pub fn readers(&self) -> Vec<(String, u64)> {
        self.rows.readers()
    }

    /// The place of a reader: the first number that it has not acknowledged.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such reader.
    pub fn place(&self, reader: &str) -> Result<u64, Error> {
        Ok(self.rows.place(reader)?)
    }

    /// Sets the readers of the outbox; the process that opens a station names its readers. A new one
    /// begins with the oldest payload that a former one has not acknowledged, so a payload whose
    /// reader is renamed or replaced is not lost. Payloads wait for no reader that is not named.
    ///
    /// # Errors
    /// [`Error::Index`] for an empty name or one of more than 64 bytes, or if a write fails.
    pub fn set_readers(&self, names: &[&str]) -> Result<(), Error> {
        Ok(self.rows.set_readers(names)?)
    }

    /// The payloads from the number `from` on, `most` at most. A damaged row is left out, with a
    /// [note](Station::take_notes).
    ///
    /// Costs 2 to 3 µs a payload.
    ///
    /// # Errors
    /// [`Error::Index`] if a read fails.
    pub fn read(&self, from: u64, most: usize) -> Result<OutboxPart, Error> {
        let (rows, next) = self.rows.read(from, most)?;
        let mut cipher = self.sealer.cipher();
        let payload = |row| self.payload_of(row, &mut cipher);
        let payloads = rows.into_iter().filter_map(payload).collect();
        Ok(OutboxPart { payloads, next })
    }

    fn payload_of(&self, row: OutboxRow, cipher: &mut BodyCipher) -> Option<OutboxPayload> {
        let OutboxRow { number, key, nonce, mut body, .. } = row;
        let Some(body) = cipher.unseal(key, nonce, &mut body) else {
            let what = format!("payload {number} of the outbox is damaged; it is left out");
            self.station.index.note(what);
            return None;
        };
        Some(OutboxPayload {
            number,
            device: key.device,
            generation: key.generation,
            nonce,
            source: body.source,
            at_unix_s: body.at_unix_s,
            at_ms: body.at_ms,
            payload: body.payload.to_vec(),
            context: body.context.to_vec(),
        })
    }

    /// Notes that a reader has handed on every payload whose number is below `below`: none of them is
    /// told to it again. A number past the [end](Self::end) counts as the end, one before the
    /// reader's place changes nothing.
    ///
    /// Survives a crash of the process at once, and one of the machine with the next batch that is
    /// synced. Costs 2 µs.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such reader, or if the write fails.
    pub fn acknowledge(&self, reader: &str, below: u64) -> Result<(), Error> {
        Ok(self.rows.acknowledge(reader, below)?)
    }
}
