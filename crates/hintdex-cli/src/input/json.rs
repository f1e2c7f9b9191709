//! JSON: the members of one object.
//!
//! `serde_json` checks an object and copies nothing of it. The members are then read here,
//! so that no copy of a key is left on the heap: a string without escapes stays where it is,
//! and a decoded one is zeroized.

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::secret::shown;
use super::table::{BadRecord, Fields, Table, Text};

/// Reads the fields of an object. `extra` is called with each unknown name, and returns
/// whether the member may be ignored.
pub fn fields<'l>(
    object: &'l [u8],
    table: &'static Table,
    mut extra: impl FnMut(&str) -> bool,
) -> Result<Fields<'l>, BadRecord> {
    serde_json::from_slice::<IgnoredAny>(object).map_err(|_| BadRecord::NotAnObject)?;
    let text = str::from_utf8(object).map_err(|_| BadRecord::NotText)?;
    let members = members(text).ok_or(BadRecord::NotAnObject)?;
    let any_known = members.iter().any(|(name, _)| table.place(name.as_bytes()).is_some());
    let mut fields = Fields::new(table);
    for (number, (name, value)) in (1..).zip(members) {
        match (table.place(name.as_bytes()), value) {
            (Some(place), Value::Scalar(text)) => fields.set(place, text)?,
            (Some(_), Value::Null) => {}
            (Some(_), Value::Nested) => return Err(BadRecord::NotAnObject),
            (None, _) => {
                let name = shown(&name);
                if !extra(&name) {
                    return Err(BadRecord::UnknownColumn { number, name, table, any_known });
                }
            }
        }
    }
    Ok(fields)
}

enum Value<'l> {
    /// A string, a number, true or false.
    Scalar(Text<'l>),
    Null,
    /// An array or an object.
    Nested,
}

/// The members of an object that is valid JSON; `None` if it is not.
fn members(text: &str) -> Option<Vec<(Text<'_>, Value<'_>)>> {
    let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
    let mut members = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = string(rest.strip_prefix('"')?)?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = value(after)?;
        members.push((name, value));
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(members)
}

fn value(text: &str) -> Option<(Value<'_>, &str)> {
    if let Some(text) = text.strip_prefix('"') {
        let (value, rest) = string(text)?;
        return Some((Value::Scalar(value), rest));
    }
    if text.starts_with(['{', '[']) {
        return Some((Value::Nested, after_nested(text)?));
    }
    let end = text.find([',', '}', ' ', '\t', '\n', '\r'])?;
    let (token, rest) = text.split_at(end);
    let value = if token == "null" { Value::Null } else { Value::Scalar(Text::Plain(token)) };
    Some((value, rest))
}

/// Reads a string behind its first quotation mark. Returns it and the text after it.
fn string(text: &str) -> Option<(Text<'_>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (plain, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix('"') {
        return Some((Text::Plain(plain), rest));
    }
    // A string is not longer than its spelling, so the buffer never grows.
    let mut decoded = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((Text::Decoded(decoded), characters.as_str())),
            '\\' => decoded.push(escaped(&mut characters)?),
            character => decoded.push(character),
        }
    }
}

/// The character of an escape. A surrogate becomes the replacement character: no name and no
/// value of a list needs one.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let mut number = 0;
            for _ in 0..4 {
                number = number << 4 | characters.next()?.to_digit(16)?;
            }
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        character => character,
    })
}

/// The text after an array or an object.
fn after_nested(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => {
                let (_, rest) = string(characters.as_str())?;
                characters = rest.chars();
            }
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(characters.as_str());
                }
            }
            _ => {}
        }
    }
}
