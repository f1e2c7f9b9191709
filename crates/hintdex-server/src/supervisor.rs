//! What systemd hears of the service: that it is ready, alive, reloading or stopping.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd, if it asked to be told (NOTIFY_SOCKET of sd_notify(3)).
pub fn notify(state: NotifyState<'_>) {
    tell(&[state]);
}

/// Tells systemd that the service reads its configuration again, and when it began: units of the type
/// `notify-reload` need the time.
pub fn notify_reloading() {
    let began = NotifyState::monotonic_usec_now();
    tell(&[Some(NotifyState::Reloading), began.ok()].into_iter().flatten().collect::<Vec<_>>());
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {error}");
    }
}

/// How often systemd wants to hear that the service is alive; `None` if it does not.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 2)
}
