//! The figures of an estimate, read back from its object for the table.

use serde_json::Value;

/// The number at `path`; 0 if there is none.
pub fn number(object: &Value, path: &str) -> f64 {
    object.pointer(path).and_then(Value::as_f64).unwrap_or_default()
}

/// The number at `path` as bytes and as mebibytes.
pub fn bytes(object: &Value, path: &str) -> String {
    let bytes = number(object, path);
    format!("{bytes:>16.0} bytes {:>10.1} MiB", bytes / f64::from(1 << 20))
}
