//! Values of options: schemes, encodings, sizes and shares.

use hintdex::snapshot::Encoding;
use hintdex::wire::{
    AssociatedData, AssociatedDataBuf, Derivation, EphemeralSuite, HintScheme, Lead, NonceKind,
    RatchetBits, Schedule, Suite,
};

/// Reads the name of an encoding of snapshots.
pub fn parse_encoding(name: &str) -> Result<Encoding, String> {
    Encoding::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Encoding::ALL.iter().map(|encoding| encoding.name()).collect();
        format!("this version knows {}", known.join(", "))
    })
}

/// Reads the name of a hint scheme.
pub fn parse_scheme(name: &str) -> Result<HintScheme, String> {
    HintScheme::from_name(name).ok_or_else(|| {
        let known: Vec<_> = HintScheme::ALL.iter().map(|scheme| scheme.name()).collect();
        format!("this version knows {}", known.join(", "))
    })
}

/// Reads the name of a reversible hint scheme.
pub fn parse_reversible(name: &str) -> Result<HintScheme, String> {
    let scheme = parse_scheme(name)?;
    let refused = || "measure knows reversible hints only: aes128 and speck64".into();
    scheme.is_reversible().then_some(scheme).ok_or_else(refused)
}

/// Reads the name of a kind of nonces.
pub fn parse_nonces(name: &str) -> Result<NonceKind, String> {
    let known = "this version knows counter, day-counter, and step:SECONDS with 1 to 86400 seconds";
    NonceKind::from_name(name).ok_or_else(|| known.into())
}

/// Reads the name of a derivation.
pub fn parse_derivation(name: &str) -> Result<Derivation, String> {
    Derivation::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Derivation::ALL.iter().map(|derivation| derivation.name()).collect();
        format!("this version knows {}", known.join(", "))
    })
}

/// A hint scheme, or that packets have no hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintName {
    None,
    Scheme(HintScheme),
}

impl HintName {
    /// The scheme, if packets have hints.
    pub const fn scheme(self) -> Option<HintScheme> {
        match self {
            Self::None => None,
            Self::Scheme(scheme) => Some(scheme),
        }
    }
}

/// Reads the name of a hint scheme, or `none`.
pub fn parse_hint(name: &str) -> Result<HintName, String> {
    if name == "none" {
        return Ok(HintName::None);
    }
    parse_scheme(name).map(HintName::Scheme).map_err(|why| format!("{why}, none"))
}

/// A suite of packets with hints, or of packets that carry the id of their device encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuiteName {
    Hinted(Suite),
    Ephemeral(EphemeralSuite),
}

impl Default for SuiteName {
    fn default() -> Self {
        Self::Hinted(Suite::default())
    }
}

/// Reads the name of any suite.
pub fn parse_any_suite(name: &str) -> Result<SuiteName, String> {
    let ephemeral = EphemeralSuite::ALL.into_iter().find(|suite| suite.name() == name);
    if let Some(suite) = ephemeral {
        return Ok(SuiteName::Ephemeral(suite));
    }
    parse_suite(name).map(SuiteName::Hinted).map_err(|why| {
        EphemeralSuite::ALL.iter().fold(why, |why, suite| format!("{why}, {}", suite.name()))
    })
}

/// Reads the name of a suite.
fn parse_suite(name: &str) -> Result<Suite, String> {
    Suite::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Suite::ALL.iter().map(|suite| suite.name()).collect();
        format!("this version knows {}", known.join(", "))
    })
}

/// Reads the delays of a schedule, in milliseconds.
pub fn parse_schedule(text: &str) -> Result<Schedule, String> {
    let delays = text
        .split_once(':')
        .and_then(|(min_ms, max_ms)| Schedule::new(min_ms.parse().ok()?, max_ms.parse().ok()?));
    delays.ok_or_else(|| {
        "a schedule is the shortest and the longest delay in milliseconds, like 600000:4200000: \
         1 at least, the shorter one first"
            .to_owned()
    })
}

/// Reads associated data in hex. The box keeps the arguments of other commands small.
pub fn parse_associated_data(text: &str) -> Result<Box<AssociatedDataBuf>, String> {
    let bad = || {
        let most = AssociatedData::MAX_LEN_BYTES;
        format!("associated data are an even number of hex digits, {most} bytes at most")
    };
    let bytes = hex::decode(text).map_err(|_| bad())?;
    AssociatedDataBuf::new(&bytes).map(Box::new).ok_or_else(bad)
}

/// Reads the byte in front of packets.
pub fn parse_lead(text: &str) -> Result<Lead, String> {
    let mut byte = [0];
    let read = hex::decode_to_slice(text, &mut byte);
    read.map(|()| Lead(byte[0]))
        .map_err(|_| "a lead is one byte, two hex digits like e0".to_owned())
}

/// Reads the bits of key epochs.
pub fn parse_ratchet_bits(text: &str) -> Result<RatchetBits, String> {
    let bits = text.parse().ok().and_then(RatchetBits::new);
    bits.ok_or_else(|| "an epoch is 2^E nonces long, with E from 1 to 24".to_owned())
}

/// Reads a share of one core.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1024.0).contains(share));
    share.ok_or_else(|| "a share of one core is a number like 0.1, 1024 at most".into())
}

/// Reads a size in bytes like `64M`: a number and one of K, M and G, each 1,024 times the
/// unit before it.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let bad = || "a size is a whole number of bytes, or one with K, M or G; 1M at least".to_owned();
    let (digits, unit) = match text.trim_end_matches(['b', 'B']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text.trim_end_matches('K').to_owned(), 1 << 10),
        text if text.ends_with('M') => (text.trim_end_matches('M').to_owned(), 1 << 20),
        text if text.ends_with('G') => (text.trim_end_matches('G').to_owned(), 1 << 30),
        text => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|bytes| *bytes >= 1 << 20).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::{parse_associated_data, parse_schedule, parse_size};

    #[test]
    fn associated_data_are_hex_of_a_bounded_length() {
        let read = |text: &str| parse_associated_data(text).map(|data| data.to_string());
        for good in ["", "00", "6d6574657273", &"ab".repeat(240)] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        for bad in ["0", "0x00", "meters", "00 11", &"ab".repeat(241)] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_schedule_is_two_delays_in_order() {
        let read = |text: &str| parse_schedule(text).map(|read| (read.min_ms(), read.max_ms()));
        assert_eq!(read("600000:4200000"), Ok((600_000, 4_200_000)));
        assert_eq!(read("1:1"), Ok((1, 1)));
        for bad in ["", "5", "5:", ":5", "0:5", "6:5", "5:4294967296", "5-6", "1:2:3", "-1:5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units_and_a_least_value() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        assert_eq!(parse_size("4096KB"), Ok(4 << 20));
        assert_eq!(parse_size("1048576"), Ok(1 << 20));
        for bad in
            ["", "M", "1", "-1M", "1.5G", "1T", "99999999999999999999G", "18446744073709551615G"]
        {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
