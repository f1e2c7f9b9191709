//! The result of a command.

use super::frame::{Body, put_bytes};

/// The result of a command that the station ran.
///
/// See the [example of the module](super).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit code.
    pub code: u8,
    /// The text of the failure, which the caller prints; `None` if the command succeeded.
    pub failure: Option<String>,
}

impl Answer {
    pub(crate) fn to_body(&self) -> Vec<u8> {
        let mut body = vec![self.code];
        if let Some(failure) = &self.failure {
            put_bytes(&mut body, failure.as_bytes());
        }
        body
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (code, rest) = body.split_first()?;
        let failure = if rest.is_empty() { None } else { Some(Body(rest).text()?) };
        Some(Self { code: *code, failure })
    }
}
