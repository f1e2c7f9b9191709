//! Device ids as people write them: decimal, hex, from a spreadsheet, or a 64-bit EUI.

/// A device as a list names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenId {
    /// By its id.
    Number(u32),
    /// By its 64-bit EUI, which an id map turns into an id.
    Eui(u64),
}

/// Why a text names no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// Neither an id nor an EUI.
    Other,
    /// 16 digits with zeros in front: a small number, or an EUI.
    TwoReadings,
    /// Six bytes: an address of 48 bits.
    ShortAddress,
}

/// The hex digits of an EUI.
const EUI_DIGITS: usize = 16;

/// Reads `42`, `0x2a`, `42.0`, `70b3d57ed0001234`, `70:b3:d5:7e:d0:00:12:34`, or an EUI with
/// dashes or with `0x`.
pub fn read_id(text: &str) -> Result<GivenId, BadId> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return match digits.len() {
            1..=8 => hex(digits).and_then(|number| u32::try_from(number).ok()).map(GivenId::Number),
            EUI_DIGITS => hex(digits).map(GivenId::Eui),
            _ => None,
        }
        .ok_or(BadId::Other);
    }
    if let Some(bytes) = [':', '-'].into_iter().find_map(|by| separated(text, by)) {
        return match bytes {
            (8, eui) => Ok(GivenId::Eui(eui)),
            (6, _) => Err(BadId::ShortAddress),
            _ => Err(BadId::Other),
        };
    }
    let number = whole(text).parse().ok();
    match (number, hex(text).filter(|_| text.len() == EUI_DIGITS)) {
        (Some(_), Some(_)) => Err(BadId::TwoReadings),
        (Some(number), None) => Ok(GivenId::Number(number)),
        (None, Some(eui)) => Ok(GivenId::Eui(eui)),
        (None, None) if text.len() == 12 && hex(text).is_some() => Err(BadId::ShortAddress),
        (None, None) => Err(BadId::Other),
    }
}

/// A number without the fraction of zeros that spreadsheets add: `5.0` becomes `5`.
pub fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        _ => text,
    }
}

fn hex(digits: &str) -> Option<u64> {
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Pairs of hex digits with one separator between them: their count, and the last eight.
fn separated(text: &str, by: char) -> Option<(usize, u64)> {
    let mut count = 0;
    let mut value = 0;
    for pair in text.split(by) {
        let byte = hex(pair).filter(|_| pair.len() == 2)?;
        value = value << 8 | byte;
        count += 1;
    }
    (count > 1).then_some((count, value))
}
