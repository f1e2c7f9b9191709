//! The service: every station of the configuration, signals, and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hintdex::Clock;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ServeError;
use crate::config::{Config, Defaults};
use crate::fleets::{EuisOf, ListenOn};
use crate::metrics::Metrics;
use crate::sockets::Sockets;
use crate::station::RunningStation;
use crate::stop::Stopper;
use crate::watch::Watch;
use crate::web::Web;
use crate::{log, supervisor, watch};

/// How often the service looks after itself.
const TICK: Duration = Duration::from_millis(100);
/// How long the end takes after a failure, at most. Work on an index that has failed ends at once.
const END_AFTER_FAILURE: Duration = Duration::from_secs(1);

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
    /// The task that samples the rates, and its end.
    sampling: (Stopper, JoinHandle<()>),
}

impl Running {
    /// Starts every station of a configuration, and the page. What runs by then is ended if something cannot be
    /// started.
    async fn start(service: Service) -> Result<Self, ServeError> {
        let Service { config, clock, euis_of, listen_on, .. } = service;
        let (metrics, mut stations) = (Metrics::new(), Vec::new());
        // Opening a fleet reads its files.
        let started = tokio::task::block_in_place(|| {
            config.stations.iter().try_for_each(|station| {
                let on_fleets = (euis_of, listen_on);
                let drain = config.drain;
                stations.push(RunningStation::start(station, &metrics, &clock, on_fleets, drain)?);
                Ok(())
            })
        });
        let watch = Arc::new(Watch {
            stations: stations.iter().map(|station| station.watched.clone()).collect(),
            metrics,
            silent_s: AtomicU64::new(config.silent.as_secs()),
            is_ready: AtomicBool::new(true),
        });
        let (stopper, stop) = Stopper::new();
        let sampling = (stopper, tokio::spawn(watch::sample(watch.clone(), stop)));
        let (sockets, drain) = (Sockets::inherited(), config.drain);
        let mut running = Self { stations, sockets, drain, watch, web: Web::default(), sampling };
        let started = match started {
            Ok(()) => running.connect(config).await,
            failed => failed,
        };
        match started {
            Ok(()) => Ok(running),
            Err(error) => {
                let _ = running.end(Instant::now() + END_AFTER_FAILURE).await;
                Err(error)
            }
        }
    }

    /// Opens the inputs and outputs of every station, and the page.
    async fn connect(&mut self, config: Config) -> Result<(), ServeError> {
        for (station, config) in self.stations.iter_mut().zip(config.stations) {
            station.connect(config, &mut self.sockets)?;
        }
        self.web.show(config.web, &self.watch, &mut self.sockets).await
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
                let failed = running.stations.iter_mut().find_map(RunningStation::failure);
                if let Some(failed) = failed {
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
            let _ = running.end(Instant::now() + END_AFTER_FAILURE).await;
            Err(failed)
        }
    }
}

impl Running {
    /// Reads the configuration again and changes what can change while the stations run.
    async fn reload(&mut self, path: Option<&PathBuf>, defaults: &Defaults) {
        let Some(path) = path else {
            tracing::warn!("SIGHUP: there is no configuration file to read again");
            return;
        };
        supervisor::notify_reloading();
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
                Err(error) => tracing::error!(
                    station = name,
                    "SIGHUP: the present configuration stays: {error}"
                ),
            }
        }
        if known < self.stations.len() {
            tracing::warn!(
                "a station is gone from the configuration; it runs until the service ends"
            );
        }
    }

    /// Stops the inputs, decodes what has arrived, and hands out what was accepted.
    async fn stop(self) -> Result<(), ServeError> {
        let until = Instant::now() + self.drain;
        let (result, waiting) = self.end(until).await;
        match waiting {
            0 => tracing::info!("stopped; every payload was handed out"),
            _ => tracing::warn!(waiting, "stopped; payloads wait in the outbox for the next start"),
        }
        result
    }

    /// Ends every task and thread of the stations, so that nothing works on the indexes when the process ends.
    /// Up to `until`, packets that have arrived are decoded and payloads are handed out. Returns how decoding
    /// ended, and how many payloads wait.
    async fn end(mut self, until: Instant) -> (Result<(), ServeError>, u64) {
        self.watch.is_ready.store(false, Ordering::Relaxed);
        let mut commands = Vec::new();
        for station in &mut self.stations {
            station.stop_inputs().await;
            // Packets do not wait for the commands that run, which may take minutes.
            commands.push(station.close_listeners());
        }
        let mut result = Ok(());
        for station in &mut self.stations {
            result = result.and(station.finish_decoding(until).await);
        }
        let (stopper, sampling) = self.sampling;
        stopper.stop();
        let _ = sampling.await;
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
        (result, waiting)
    }
}
