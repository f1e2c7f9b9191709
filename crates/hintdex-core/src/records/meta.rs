//! The meta record: the parameters of an index.

use hintdex_wire::{
    AssociatedDataBuf, CheckValue, Derivation, HintScheme, Lead, NonceKind, PacketFormat,
    RatchetBits, Suite,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::keys::{ASSOCIATED_KEY, LEAD_KEY, META_KEY, NAMING_KEY};
use super::layout::{Field, Unsound, layout};
use super::naming::NamingRecord;
use crate::naming::Naming;
use crate::params::{MAX_LOOKAHEAD, Params};
use crate::time::Timing;

/// The first bytes of a [`Meta`] record.
pub(crate) const MAGIC: [u8; 8] = *b"hintdex\0";
/// The format version that this program writes. It reads versions 1 and 2, too: in version 1
/// every key is derived with HMAC, and both lack the records and parameters that came later. The
/// opening of such an index changes the version.
pub(crate) const FORMAT_VERSION: u16 = 3;

/// The bit of [`Meta::suite`] that marks a fleet whose packets have a lead. A program that knows no leads finds an
/// unknown suite and refuses the fleet.
const HAS_LEAD: u8 = 0x80;

/// A row of the meta family: its key and its value.
pub(crate) type Row = (&'static [u8], Vec<u8>);

/// The parameters of an index, written once at its creation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Meta {
    pub(crate) magic: [u8; 8],
    pub(crate) version: U16,
    pub(crate) hint_scheme: u8,
    pub(crate) nonce_kind: u8,
    pub(crate) lookahead: U32,
    pub(crate) index_id: [u8; 16],
    pub(crate) check_value: CheckValue,
    pub(crate) created_unix_s: U64,
    pub(crate) nonce_unit_s: U32,
    pub(crate) timing: TimingRecord,
    pub(crate) derivation: u8,
    pub(crate) ratchet_bits: u8,
    pub(crate) suite: u8,
    pub(crate) associated_len_bytes: u8,
}

impl Meta {
    /// The record of a new index.
    pub(crate) fn of(
        params: &Params,
        timing: &Timing,
        index_id: [u8; 16],
        check_value: CheckValue,
        created_unix_s: u64,
    ) -> Self {
        let associated_len_bytes = params.associated_data.borrow().bytes().len();
        Self {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            hint_scheme: params.scheme.number(),
            nonce_kind: params.nonces.number(),
            lookahead: params.lookahead.into(),
            index_id,
            check_value,
            created_unix_s: created_unix_s.into(),
            nonce_unit_s: params.nonces.unit_s().into(),
            timing: TimingRecord::of(params.nonces, timing),
            derivation: params.derivation.number(),
            ratchet_bits: params.ratchet.map_or(0, RatchetBits::bits),
            suite: params.suite.number() | params.lead.map_or(0, |_| HAS_LEAD),
            // Associated data have at most 240 bytes.
            associated_len_bytes: associated_len_bytes.try_into().unwrap_or(u8::MAX),
        }
    }

    /// The rows of a new index with these parameters, each with its key: this record, and what has a record of its
    /// own. [`parse`](Self::parse) reads them.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn rows(&self, params: &Params) -> Result<Vec<Row>, Unsound> {
        let associated = params.associated_data.borrow();
        let lead = params.lead.map(|lead| vec![lead.0]);
        self.parse(associated.bytes(), params.naming, lead.as_deref())?;
        let naming = NamingRecord::of(&params.naming).map(|naming| naming.as_bytes().to_vec());
        let associated = (!associated.is_empty()).then(|| associated.bytes().to_vec());
        let rows = [
            (META_KEY, Some(self.as_bytes().to_vec())),
            (ASSOCIATED_KEY, associated),
            (LEAD_KEY, lead),
            (NAMING_KEY, naming),
        ];
        Ok(rows.into_iter().filter_map(|(key, row)| Some((key, row?))).collect())
    }

    /// The parameters and the timing that the record holds. The associated data have a record of
    /// their own, whose bytes are `associated`, and so have the `naming` of devices and the `lead` of packets.
    ///
    /// # Errors
    /// Why the record is not sound.
    pub(crate) fn parse(
        &self,
        associated: &[u8],
        naming: Naming,
        lead: Option<&[u8]>,
    ) -> Result<(Params, Timing), Unsound> {
        let is_known = (1..=FORMAT_VERSION).contains(&self.version.get());
        if self.magic != MAGIC || !is_known {
            return Err("it has a version that no program writes");
        }
        let scheme = HintScheme::from_number(self.hint_scheme).ok_or("unknown hint scheme")?;
        let nonces = NonceKind::from_number(self.nonce_kind, self.nonce_unit_s.get())
            .filter(|nonces| scheme.for_nonces(*nonces) == Some(scheme))
            .ok_or("unknown nonce kind, or its hints are too short for these nonces")?;
        let lookahead = self.lookahead.get();
        // Without a lookahead, the record of the naming cannot be missing unnoticed.
        if (lookahead == 0) == naming.has_index() || lookahead > MAX_LOOKAHEAD {
            return Err("its lookahead is out of range, or is not that of its naming");
        }
        let timing = self.timing.timing(nonces).ok_or("its timing is out of range")?;
        let derivation = Derivation::from_number(self.derivation)
            .filter(|derivation| *derivation == Derivation::Hmac || self.version.get() >= 2)
            .ok_or("unknown derivation of keys")?;
        let ratchet = match self.ratchet_bits {
            0 => None,
            bits => Some(
                RatchetBits::new(bits)
                    .filter(|_| !nonces.is_clocked() && self.version.get() >= 3)
                    .ok_or("key epochs of a length that no version writes")?,
            ),
        };
        let (suite, associated_data) = self.parse_suite(associated)?;
        let params = Params { naming, ..Params::counters(scheme, lookahead) };
        let lead = self.parse_lead(lead)?;
        let params = Params { nonces, derivation, ratchet, suite, associated_data, lead, ..params };
        match params.check() {
            Ok(()) => Ok((params, timing)),
            Err(_) => Err("its parameters do not go together"),
        }
    }

    /// The lead of the packets. Versions 1 and 2 had none.
    fn parse_lead(&self, row: Option<&[u8]>) -> Result<Option<Lead>, Unsound> {
        match (self.suite & HAS_LEAD, row) {
            (0, None) => Ok(None),
            (HAS_LEAD, Some([lead])) if self.version.get() >= 3 => Ok(Some(Lead(*lead))),
            _ => Err("the lead of its packets is missing, or is not one byte"),
        }
    }

    /// The suite and the associated data. Versions 1 and 2 had one suite, without data.
    fn parse_suite(&self, associated: &[u8]) -> Result<(Suite, AssociatedDataBuf), Unsound> {
        let suite = Suite::from_number(self.suite & !HAS_LEAD)
            .filter(|suite| *suite == Suite::AesCtrHmac || self.version.get() >= 3)
            .ok_or("unknown suite")?;
        let scheme = HintScheme::from_number(self.hint_scheme);
        if scheme.is_some_and(|scheme| !PacketFormat { scheme, suite }.is_defined()) {
            return Err("its hints have no packets of its suite");
        }
        let data = AssociatedDataBuf::new(associated)
            .filter(|_| associated.len() == usize::from(self.associated_len_bytes))
            .filter(|data| data.borrow().is_empty() || suite.takes_associated_data())
            .ok_or("its associated data are missing, or not those of its suite")?;
        Ok((suite, data))
    }
}

/// The time parameters given at creation; all zero for counters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub(crate) struct TimingRecord {
    pub(crate) span_s: U32,
    pub(crate) lead_s: U32,
    pub(crate) before_s: U32,
    pub(crate) after_s: U32,
    pub(crate) max_drift_ppm: U32,
}

impl TimingRecord {
    pub(crate) fn of(kind: NonceKind, timing: &Timing) -> Self {
        if !kind.is_clocked() {
            return Self::new_zeroed();
        }
        Self {
            span_s: timing.span_s.into(),
            lead_s: timing.lead_s.into(),
            before_s: timing.before_s.into(),
            after_s: timing.after_s.into(),
            max_drift_ppm: timing.max_drift_ppm.into(),
        }
    }

    /// The time parameters for nonces of `kind`; `None` if the record is not sound.
    fn timing(&self, kind: NonceKind) -> Option<Timing> {
        if !kind.is_clocked() {
            return (*self == Self::new_zeroed()).then(|| Timing::of(kind));
        }
        let timing = Timing {
            span_s: self.span_s.get(),
            lead_s: self.lead_s.get(),
            before_s: self.before_s.get(),
            after_s: self.after_s.get(),
            max_drift_ppm: self.max_drift_ppm.get(),
        };
        (timing.span_s > 0 && timing.lead_s >= timing.after_s).then_some(timing)
    }
}

pub(super) fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        layout!("meta", Meta: magic, version, hint_scheme, nonce_kind, lookahead, index_id,
            check_value, created_unix_s, nonce_unit_s, timing, derivation, ratchet_bits,
            suite, associated_len_bytes),
        layout!("timing", TimingRecord: span_s, lead_s, before_s, after_s, max_drift_ppm),
    ]
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::StepLen;

    use super::*;

    const DAY: NonceKind = NonceKind::DayCounter;

    /// Associated data that are not those of the meta record are damage: with them, every packet of
    /// the fleet would be forged.
    #[test]
    fn a_suite_and_its_associated_data_are_read_as_they_were_written() {
        let parse = |version: u16, suite: u8, len_bytes: u8, associated: &[u8]| {
            let mut meta = Meta::new_zeroed();
            (meta.magic, meta.version) = (MAGIC, version.into());
            (meta.hint_scheme, meta.nonce_kind) = (1, NonceKind::Counter.number());
            meta.lookahead = 16.into();
            (meta.suite, meta.associated_len_bytes) = (suite, len_bytes);
            meta.parse(associated, Naming::Hint, None)
                .map(|(params, _)| (params.suite, params.associated_data))
        };
        let data = |bytes: &[u8]| AssociatedDataBuf::new(bytes).expect("240 bytes at most");
        for suite in Suite::ALL {
            assert_eq!(parse(3, suite.number(), 0, &[]), Ok((*suite, data(&[]))));
            let expected = suite.takes_associated_data().then(|| (*suite, data(b"meters")));
            assert_eq!(parse(3, suite.number(), 6, b"meters").ok(), expected, "{suite}");
        }
        assert_eq!(parse(3, 1, 240, &[7; 240]), Ok((Suite::ChaCha20Poly1305, data(&[7; 240]))));
        let bad_data = Err("its associated data are missing, or not those of its suite");
        for (len_bytes, associated) in
            [(6, &b""[..]), (0, b"meters"), (5, b"meters"), (7, b"meters"), (241, &[7; 241])]
        {
            assert_eq!(parse(3, 1, len_bytes, associated), bad_data);
        }
        for (version, suite) in [(3, 5), (3, 127), (2, 1), (1, 3)] {
            assert_eq!(parse(version, suite, 0, &[]), Err("unknown suite"));
        }
        assert_eq!(parse(2, 0, 0, &[]), Ok((Suite::AesCtrHmac, data(&[]))));
    }

    /// A lead without its row, and a row without the mark of the record, are damage: with another lead, every
    /// packet would be malformed.
    #[test]
    fn a_lead_is_read_as_it_was_written() {
        let parse = |version: u16, suite: u8, row: Option<&[u8]>| {
            let mut meta = Meta::new_zeroed();
            (meta.magic, meta.version, meta.suite) = (MAGIC, version.into(), suite);
            (meta.hint_scheme, meta.nonce_kind) = (1, NonceKind::Counter.number());
            meta.lookahead = 16.into();
            meta.parse(&[], Naming::Hint, row).map(|(params, _)| (params.suite, params.lead)).ok()
        };
        let lead = Some(Lead(0xe0));
        assert_eq!(parse(3, 0x80, Some(&[0xe0])), Some((Suite::AesCtrHmac, lead)));
        assert_eq!(parse(3, 0x83, Some(&[0xe0])), Some((Suite::AesSiv, lead)));
        assert_eq!(parse(3, 3, None), Some((Suite::AesSiv, None)));
        let bad: [(u16, u8, Option<&[u8]>); 5] = [
            (3, 0x80, None),
            (3, 0, Some(&[0xe0])),
            (3, 0x80, Some(&[])),
            (3, 0x80, Some(&[0xe0, 0])),
            (2, 0x80, Some(&[0xe0])),
        ];
        for (version, suite, row) in bad {
            assert_eq!(parse(version, suite, row), None, "{version} {suite} {row:?}");
        }
        let params = Params { lead, ..Params::counters(HintScheme::Aes128, 16) };
        let meta = Meta::of(&params, &Timing::of(params.nonces), [7; 16], Default::default(), 0);
        let parsed = meta.parse(&[], Naming::Hint, Some(&[0xe0])).map(|(params, _)| params);
        assert_eq!(parsed, Ok(params));
    }

    #[test]
    fn parameters_are_read_as_they_were_written() {
        let step = NonceKind::Step(StepLen::new(60).expect("1 to 86,400"));
        let meta = |scheme: HintScheme, kind: NonceKind| {
            let mut meta = Meta::new_zeroed();
            (meta.magic, meta.version) = (MAGIC, FORMAT_VERSION.into());
            (meta.hint_scheme, meta.nonce_kind) = (scheme.number(), kind.number());
            meta.lookahead = 16.into();
            meta.nonce_unit_s = kind.unit_s().into();
            meta.timing = TimingRecord::of(kind, &Timing::of(kind));
            meta
        };
        let wide = HintScheme::Aes128Wide;
        let sound =
            [(HintScheme::Aes128, NonceKind::Counter), (HintScheme::Aes128, step), (wide, DAY)];
        for (scheme, nonces) in sound {
            let (params, timing) =
                meta(scheme, nonces).parse(&[], Naming::Hint, None).expect("a sound record");
            assert_eq!(params, Params::clocked(scheme, nonces, 16).expect("long enough"));
            assert_eq!(timing, Timing::of(nonces));
        }
        let refused = |scheme: HintScheme, kind: NonceKind, change: &dyn Fn(&mut Meta)| {
            let mut meta = meta(scheme, kind);
            change(&mut meta);
            meta.parse(&[], Naming::Hint, None).is_err()
        };
        let (short, counters) = (HintScheme::Aes128, NonceKind::Counter);
        assert!(refused(wide, counters, &|_| ()) && refused(short, DAY, &|_| ()));
        let counter = |change: &dyn Fn(&mut Meta)| refused(short, counters, change);
        assert!(counter(&|meta| meta.magic[7] = 1));
        let version = |version: u16| counter(&|meta| meta.version = version.into());
        assert!(version(0) && !version(1) && !version(2) && !version(3) && version(4));
        assert!(counter(&|meta| meta.hint_scheme = 0) && counter(&|meta| meta.nonce_kind = 99));
        // Version 1 had one derivation only, so its readers refuse a fleet of another one by version.
        assert!(counter(&|meta| meta.derivation = 2) && !counter(&|meta| meta.derivation = 1));
        assert!(counter(&|meta| (meta.version, meta.derivation) = (1.into(), 1)));
        // Versions 1 and 2 had one key for all nonces. Clocked nonces have it always.
        let bits = |bits: u8| counter(&|meta| meta.ratchet_bits = bits);
        assert!(!bits(1) && !bits(24) && bits(25) && bits(255));
        assert!(counter(&|meta| (meta.version, meta.ratchet_bits) = (2.into(), 4)));
        assert!(refused(short, step, &|meta| meta.ratchet_bits = 4));
        let lookahead = |nonces: u32| counter(&|meta| meta.lookahead = nonces.into());
        assert!(lookahead(0) && lookahead(MAX_LOOKAHEAD + 1) && !lookahead(MAX_LOOKAHEAD));
        assert!(counter(&|meta| meta.timing.span_s = 1.into()));
        let clocked = |change: &dyn Fn(&mut Meta)| refused(short, step, change);
        let span = |span_s: u32| clocked(&|meta| meta.timing.span_s = span_s.into());
        assert!(span(0) && !span(1));
        let lead = |lead_s: u32| {
            clocked(&|meta| {
                (meta.timing.lead_s, meta.timing.after_s) = (lead_s.into(), 60.into());
            })
        };
        assert!(lead(59) && !lead(60) && !lead(61));
    }

    /// A lost record of the naming must not turn the fleet into one with hints, nor the reverse.
    #[test]
    fn a_lookahead_of_0_is_that_of_a_fleet_without_hints() {
        let station = hintdex_wire::StationPoint([9; 32]);
        let suite = hintdex_wire::EphemeralSuite::X25519;
        let parse = |lookahead: u32, scheme: u8, naming: Naming| {
            let mut meta = Meta::new_zeroed();
            (meta.magic, meta.version) = (MAGIC, FORMAT_VERSION.into());
            (meta.hint_scheme, meta.nonce_kind) = (scheme, NonceKind::Counter.number());
            meta.lookahead = lookahead.into();
            meta.parse(&[], naming, None).map(|(params, _)| params)
        };
        let named = Naming::Ephemeral { suite, station };
        assert_eq!(parse(0, 1, named), Ok(Params::ephemeral(suite, station)));
        assert!(parse(16, 1, Naming::Hint).is_ok());
        assert!(parse(0, 1, Naming::Hint).is_err() && parse(16, 1, named).is_err());
        assert!(parse(0, 2, named).is_err());
    }
}
