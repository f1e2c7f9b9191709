//! The log: text or JSON on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::ServeError;
use crate::config::LogConfig;

/// What is logged unless the configuration says otherwise: the libraries below log their failures
/// as events of this crate.
const DEFAULT_LEVEL: &str = "info,rumqttc=off";

/// Begins to log. A process begins once; later calls keep the first log.
///
/// # Errors
/// The level is no filter.
pub fn start(config: &LogConfig) -> Result<(), ServeError> {
    let level = config.level.as_deref().unwrap_or(DEFAULT_LEVEL);
    let filter = EnvFilter::try_new(level).map_err(|error| {
        ServeError::usage(format!(
            "log: level: {level:?}: {error}; error, warn, info, debug or trace"
        ))
    })?;
    let to_stderr = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // A subscriber that is set already stays: a test has its own.
    let _ = if config.is_json {
        to_stderr.json().flatten_event(true).finish().try_init()
    } else {
        to_stderr.finish().try_init()
    };
    Ok(())
}
