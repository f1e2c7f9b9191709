//! The service: every station of the configuration, signals, and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hintdex::Clock;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ServeError;
use crate::config::{Config, Defaults};
use crate::fleets::{EuisOf, ListenOn};
use crate::metrics::Metrics;
use crate::sockets::Sockets;
use crate::station::RunningStation;
use crate::watch::Watch;
use crate::web::Web;
use crate::{log, supervisor, watch};

/// How often the service looks after itself.
const TICK: Duration = Duration::from_millis(100);
/// What [`serve`] runs.
///
/// See the [example of the crate](crate).
pub struct Service {
    /// The configuration.
    pub config: Config,
    /// The file of the configuration, which SIGHUP reads again.
    pub path: Option<PathBuf>,
    /// What the file does not set.
    pub defaults: Defaults,
    /// The clock of the stations.
    pub clock: Arc<dyn Clock>,
    /// Reads the EUIs of a fleet's devices.
    pub euis_of: EuisOf,
    /// Listens for commands on a fleet.
    pub listen_on: ListenOn,
}

/// Runs the stations until SIGTERM or SIGINT, or until the end of standard input where that is the
/// only input. Then hands out what was accepted, for at most the time that the configuration sets.
///
/// See the [example of the crate](crate).
///
/// # Errors
/// A station cannot be started, or its index failed while it ran.
pub fn serve(service: Service) -> Result<(), ServeError> {
    log::start(&service.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ServeError::failed(format!("starting the runtime failed: {error}")))?;
    let result = runtime.block_on(run(service));
    // A thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    result
}

struct Signals {
    end: [Signal; 2],
    reload: Signal,
}

enum Event {
    End(&'static str),
    Reload,
    Tick,
}

impl Signals {
    fn new() -> Result<Self, ServeError> {
        let of = |kind| {
            signal(kind)
                .map_err(|error| ServeError::failed(format!("handling signals failed: {error}")))
        };
        let end = [of(SignalKind::terminate())?, of(SignalKind::interrupt())?];
        Ok(Self { end, reload: of(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Event {
        let [terminate, interrupt] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Event::End("SIGTERM"),
            _ = interrupt.recv() => Event::End("SIGINT"),
            _ = self.reload.recv() => Event::Reload,
            () = tokio::time::sleep(TICK) => Event::Tick,
        }
    }
}

struct Running {
    stations: Vec<RunningStation>,
    sockets: Sockets,
    drain: Duration,
    watch: Arc<Watch>,
    web: Web,
    /// The task that samples the rates.
    sampling: JoinHandle<()>,
}

impl Running {
    /// Starts every station of a configuration, and the page.
    async fn start(service: Service) -> Result<Self, ServeError> {
        let Service { config, clock, euis_of, listen_on, .. } = service;
        let (metrics, mut sockets, mut stations) =
            (Metrics::new(), Sockets::inherited(), Vec::new());
        for station in config.stations {
            // Opening a fleet reads its files.
            let started = tokio::task::block_in_place(|| {
                let on_fleets = (euis_of, listen_on);
                let sockets = &mut sockets;
                RunningStation::start(station, &metrics, sockets, &clock, on_fleets, config.drain)
            })?;
            stations.push(started);
        }
        let watch = Arc::new(Watch {
            stations: stations.iter().map(|station| station.watched.clone()).collect(),
            metrics,
            silent_s: AtomicU64::new(config.silent.as_secs()),
            is_ready: AtomicBool::new(true),
        });
        let mut web = Web::default();
        web.show(config.web, &watch, &mut sockets).await?;
        let sampling = tokio::spawn(watch::sample(watch.clone()));
        Ok(Self { stations, sockets, drain: config.drain, watch, web, sampling })
    }
}

async fn run(service: Service) -> Result<(), ServeError> {
    let (path, defaults) = (service.path.clone(), service.defaults.clone());
    let mut signals = Signals::new()?;
    let mut running = Running::start(service).await?;
    supervisor::notify(NotifyState::Ready);
    tracing::info!(stations = running.stations.len(), "ready");
    let watchdog = supervisor::watchdog_interval();
    let mut alive_at = Instant::now();
    let why = loop {
        match signals.next().await {
            Event::End(signal) => break Ok(signal),
            Event::Reload => running.reload(path.as_ref(), &defaults).await,
            Event::Tick => {
                if let Some(failed) = running.failed_decoder() {
                    break Err(failed);
                }
                if running.stations.iter().all(RunningStation::has_ended) {
                    break Ok("the end of the input");
                }
            }
        }
        if watchdog.is_some_and(|every| alive_at.elapsed() >= every) && running.watch.is_alive() {
            supervisor::notify(NotifyState::Watchdog);
            alive_at = Instant::now();
        }
    };
    supervisor::notify(NotifyState::Stopping);
    match why {
        Ok(why) => {
            tracing::info!("stopping after {why}");
            running.stop().await
        }
        // The index refuses everything until it is opened again; systemd starts the service anew.
        Err(failed) => {
            // No command that runs may hold up the end.
            running.stations.iter_mut().for_each(|station| drop(station.close_listeners()));
            Err(failed)
        }
    }
}

impl Running {
    /// How a decoder failed, if one did.
    fn failed_decoder(&mut self) -> Option<ServeError> {
        self.stations.iter_mut().find_map(|station| match station.decoded.try_recv() {
            Ok(Err(failed)) => Some(failed),
            Err(TryRecvError::Closed) => {
                Some(ServeError::failed("a decoder has ended before the service; please report it"))
            }
            _ => None,
        })
    }

    /// Reads the configuration again and changes what can change while the stations run.
    async fn reload(&mut self, path: Option<&PathBuf>, defaults: &Defaults) {
        let Some(path) = path else {
            tracing::warn!("SIGHUP: there is no configuration file to read again");
            return;
        };
        supervisor::notify(NotifyState::Reloading);
        match Config::read(path, defaults) {
            Ok(config) => self.change(config).await,
            Err(error) => tracing::error!("SIGHUP: the present configuration stays: {error}"),
        }
        supervisor::notify(NotifyState::Ready);
    }

    async fn change(&mut self, config: Config) {
        self.drain = config.drain;
        self.watch.silent_s.store(config.silent.as_secs(), Ordering::Relaxed);
        if let Err(error) = self.web.show(config.web, &self.watch, &mut self.sockets).await {
            tracing::error!("SIGHUP: {error}");
        }
        let mut known = 0;
        for new in config.stations {
            let mut stations = self.stations.iter_mut();
            let Some(station) = stations.find(|station| station.config.name == new.name) else {
                tracing::warn!(
                    "station {}: it is new; it starts when the service starts again",
                    new.name
                );
                continue;
            };
            known += 1;
            let name = new.name.clone();
            match station.reload(new, &mut self.sockets).await {
                Ok(None) => tracing::info!(station = name, "the configuration was read again"),
                Ok(Some(what)) => tracing::warn!(
                    station = name,
                    "{what} changed; that takes effect when the service starts again"
                ),
                Err(error) => tracing::error!("SIGHUP: {error}"),
            }
        }
        if known < self.stations.len() {
            tracing::warn!(
                "a station is gone from the configuration; it runs until the service ends"
            );
        }
    }

    /// Stops the inputs, decodes what has arrived, and hands out what was accepted.
    async fn stop(mut self) -> Result<(), ServeError> {
        self.watch.is_ready.store(false, Ordering::Relaxed);
        let until = Instant::now() + self.drain;
        let mut commands = Vec::new();
        for station in &mut self.stations {
            station.stop_inputs().await;
            // Packets do not wait for the commands that run, which may take minutes.
            commands.push(station.close_listeners());
        }
        let mut result = Ok(());
        for station in &mut self.stations {
            match tokio::time::timeout_at(until, &mut station.decoded).await {
                Ok(Ok(ended)) => result = result.and(ended),
                Ok(Err(_)) => {}
                Err(_) => tracing::warn!(
                    station = station.config.name,
                    "packets in the queue were not decoded within drain_s"
                ),
            }
        }
        // What is left of the tasks must not hold the indexes open.
        self.sampling.abort();
        let _ = (&mut self.sampling).await;
        let _ = self.web.show(None, &self.watch, &mut self.sockets).await;
        let mut waiting = 0;
        for station in &mut self.stations {
            waiting += station.finish_outputs(until).await;
        }
        for commands in commands {
            if tokio::time::timeout_at(until, commands).await.is_err() {
                tracing::warn!("a command that runs ends with the service");
            }
        }
        match waiting {
            0 => tracing::info!("stopped; every payload was handed out"),
            _ => tracing::warn!(waiting, "stopped; payloads wait in the outbox for the next start"),
        }
        result
    }
}
