//! A station of the service while it runs: inputs, gatherer, decoder and outputs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hintdex::{Clock, StationGroup};
use tokio::runtime::Handle;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::ServeError;
use crate::config::{Input, InputKind, Output, StationConfig};
use crate::control::Listener;
use crate::decoder::{Decoder, Shared};
use crate::fleets::{self, EuisOf, Fleet, ListenOn, OpenFleet};
use crate::gather::{Gathered, Gatherer};
use crate::heard::Heard;
use crate::input::{Arrived, Bound, Intake};
use crate::metrics::Metrics;
use crate::outbox::Outboxes;
use crate::output::Opened;
use crate::sockets::Sockets;
use crate::stop::Stopper;
use crate::uplink::GatheredPacket;
use crate::watch::{History, Watched};

/// The packets that the gatherer takes at once.
const MAX_GATHERED_AT_ONCE: usize = 256;

/// The room between the inputs and the gatherer, in packets.
const INTAKE_PACKETS: usize = 4_096;

/// A running station.
pub struct RunningStation {
    pub config: StationConfig,
    shared: Arc<Shared>,
    fleets: Arc<Vec<Fleet>>,
    /// What the page shows of the station.
    pub watched: Arc<Watched>,
    inputs: HashMap<String, Running<Input>>,
    outputs: HashMap<String, Running<Output>>,
    /// The way of further inputs to the gatherer; `None` once the station stops.
    intake: Option<mpsc::Sender<Arrived>>,
    hold: watch::Sender<Duration>,
    /// The control sockets of the fleets.
    listeners: Vec<Listener>,
    /// Yields how the decoder ended, once.
    decoded: Option<oneshot::Receiver<Result<(), ServeError>>>,
}

/// A task and what it was started for.
struct Running<T> {
    of: T,
    stopper: Stopper,
    task: JoinHandle<()>,
}

impl RunningStation {
    /// Opens the fleets of a station and starts it, without inputs and outputs: [`RunningStation::connect`]
    /// opens these.
    ///
    /// # Errors
    /// A fleet cannot be opened.
    pub fn start(
        config: &StationConfig,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
        (euis_of, listen_on): (EuisOf, ListenOn),
        drain: Duration,
    ) -> Result<Self, ServeError> {
        let (group, labels) = fleets::open(&config.fixed, clock, euis_of)?;
        let group = Arc::new(group);
        let shared = Arc::new(Shared {
            outboxes: Outboxes::new(group.clone(), config.fixed.outbox_payloads),
            group,
            metrics: metrics.station(&config.name),
            heard: Heard::default(),
            near_ms: AtomicU64::new(config.near_ms),
            heartbeat_ms: AtomicU64::new(crate::input::now_ms()),
            is_over: AtomicBool::new(false),
        });
        let listeners = listen(&labels, &shared.group, listen_on);
        let (intake, arrived) = mpsc::channel(INTAKE_PACKETS);
        let (gathered, queue) = mpsc::channel(config.fixed.queue_packets);
        let (hold, held) = watch::channel(config.gather);
        tokio::spawn(gather(arrived, gathered, held, shared.clone()));
        let decoded = start_decoder(config, shared.clone(), queue, drain)?;
        let fleets = Arc::new(labels);
        let watched = Arc::new(Watched {
            name: config.name.clone(),
            shared: shared.clone(),
            fleets: fleets.clone(),
            history: History::default(),
            outputs: Mutex::default(),
            index: Mutex::default(),
        });
        watched.read_index();
        Ok(Self {
            watched,
            inputs: HashMap::new(),
            outputs: HashMap::new(),
            intake: Some(intake),
            fleets,
            config: StationConfig { inputs: Vec::new(), outputs: Vec::new(), ..config.clone() },
            shared,
            hold,
            listeners,
            decoded: Some(decoded),
        })
    }

    /// Opens and starts the inputs and outputs of a configuration that do not run yet.
    ///
    /// # Errors
    /// One of them cannot be opened. None is started then.
    pub fn connect(
        &mut self,
        config: StationConfig,
        sockets: &mut Sockets,
    ) -> Result<(), ServeError> {
        let place = self.config.name.clone();
        let is_new = |output: &&Output| !self.outputs.contains_key(&output.name);
        let mut opened = Vec::new();
        for output in config.outputs.iter().filter(is_new) {
            opened.push((output.clone(), Opened::new(&place, output, sockets)?));
        }
        let is_new = |input: &&Input| !self.inputs.contains_key(&input.name);
        let mut bound = Vec::new();
        for input in config.inputs.iter().filter(is_new) {
            bound.push((input.clone(), Bound::new(&place, input, sockets)?));
        }
        let names: Vec<&str> = config.outputs.iter().map(|output| output.name.as_str()).collect();
        self.shared.outboxes.set_readers(&names)?;
        let mut watched = self.watched.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = names.iter().map(|name| (*name).to_owned()).collect();
        drop(watched);
        for (output, opened) in opened {
            self.start_output(output, opened);
        }
        for (input, bound) in bound {
            self.start_input(input, bound);
        }
        self.config = config;
        Ok(())
    }

    fn start_output(&mut self, output: Output, opened: Opened) {
        let (stopper, finish) = Stopper::new();
        tracing::info!(
            station = self.config.name,
            output = output.name,
            "payloads go to {}",
            output.kind
        );
        let (name, shared, fleets) =
            (output.name.clone(), self.shared.clone(), self.fleets.clone());
        let task = tokio::spawn(async move { opened.run(&name, shared, fleets, finish).await });
        self.outputs.insert(output.name.clone(), Running { of: output, stopper, task });
    }

    fn start_input(&mut self, input: Input, bound: Bound) {
        let Some(sender) = self.intake.clone() else { return };
        let (stopper, stop) = Stopper::new();
        let address = bound.address();
        tracing::info!(
            station = self.config.name,
            input = input.name,
            address,
            "packets come from {}",
            input.kind
        );
        let intake = Intake::new(&input.name, &self.shared.metrics, sender);
        let task = tokio::spawn(bound.run(intake, stop));
        self.inputs.insert(input.name.clone(), Running { of: input, stopper, task });
    }

    /// Changes the running station to a configuration of the same name. Returns what cannot change
    /// while it runs.
    ///
    /// # Errors
    /// A new input or output cannot be opened. The station then runs with the configuration that it had.
    pub async fn reload(
        &mut self,
        config: StationConfig,
        sockets: &mut Sockets,
    ) -> Result<Option<&'static str>, ServeError> {
        let before = self.config.clone();
        let is_fixed = before.fixed.is_same(&config.fixed);
        let config = StationConfig { fixed: before.fixed.clone(), ..config };
        if let Err(error) = self.change(config, sockets).await {
            // What was closed for the new configuration opens again.
            self.change(before, sockets).await.map_err(|second| {
                ServeError::failed(format!("{error}; and going back failed: {second}"))
            })?;
            return Err(error);
        }
        Ok((!is_fixed).then_some("its folders, keys, memory, threads or queue"))
    }

    /// Closes the inputs and outputs that a configuration lacks, and opens those that are new.
    async fn change(
        &mut self,
        config: StationConfig,
        sockets: &mut Sockets,
    ) -> Result<(), ServeError> {
        self.hold.send_replace(config.gather);
        self.shared.near_ms.store(config.near_ms, Ordering::Relaxed);
        let stays = |running: &Running<Input>| config.inputs.contains(&running.of);
        for running in take_unless(&mut self.inputs, stays) {
            running.stopper.stop();
            // Its address is free once the task has ended.
            let _ = running.task.await;
        }
        let stays = |running: &Running<Output>| config.outputs.contains(&running.of);
        for running in take_unless(&mut self.outputs, stays) {
            running.task.abort();
            let _ = running.task.await;
        }
        self.connect(config, sockets)
    }

    /// Whether every input has ended by itself, as standard input does.
    pub fn has_ended(&self) -> bool {
        let is_stdin = |running: &Running<Input>| running.of.kind == InputKind::Stdin;
        !self.inputs.is_empty()
            && self.inputs.values().all(|running| is_stdin(running) && running.task.is_finished())
    }

    /// Why the decoder has ended, if it has: before its inputs it does so after a failure only.
    pub fn failure(&mut self) -> Option<ServeError> {
        let ended = self.decoded.as_mut()?.try_recv();
        if matches!(ended, Err(TryRecvError::Empty)) {
            return None;
        }
        self.decoded = None;
        let name = &self.config.name;
        let lost = || {
            Err(ServeError::failed(format!(
                "station {name}: its decoder has ended; please report it"
            )))
        };
        ended.unwrap_or_else(|_| lost()).err()
    }

    /// Stops the inputs, so that the decoder ends behind the packets that have arrived.
    pub async fn stop_inputs(&mut self) {
        self.inputs.values().for_each(|running| running.stopper.stop());
        for (_, running) in self.inputs.drain() {
            // Standard input may hold its task: nothing of it is awaited.
            if running.of.kind != InputKind::Stdin {
                let _ = running.task.await;
            } else if !running.task.is_finished() {
                running.task.abort();
            }
        }
        self.intake = None;
    }

    /// Takes no further commands, and ends with the commands that run.
    pub fn close_listeners(&mut self) -> JoinHandle<()> {
        let listeners = std::mem::take(&mut self.listeners);
        tokio::task::spawn_blocking(move || drop(listeners))
    }

    /// Waits until the decoder has decoded what has arrived. At `until`, it ends with its batch.
    ///
    /// # Errors
    /// The index failed.
    pub async fn finish_decoding(&mut self, until: tokio::time::Instant) -> Result<(), ServeError> {
        let Some(mut decoded) = self.decoded.take() else { return Ok(()) };
        let ended = match tokio::time::timeout_at(until, &mut decoded).await {
            Ok(ended) => ended,
            Err(_) => {
                tracing::warn!(
                    station = self.config.name,
                    "packets in the queue were not decoded within drain_s"
                );
                self.shared.is_over.store(true, Ordering::Relaxed);
                decoded.await
            }
        };
        // A decoder that panicked has said so.
        ended.unwrap_or(Ok(()))
    }

    /// Lets the outputs hand out what is left, and waits for them. Returns the payloads that wait
    /// then.
    pub async fn finish_outputs(&mut self, until: tokio::time::Instant) -> u64 {
        self.outputs.values().for_each(|running| running.stopper.stop());
        for (_, mut running) in self.outputs.drain() {
            if tokio::time::timeout_at(until, &mut running.task).await.is_err() {
                running.task.abort();
                let _ = running.task.await;
            }
        }
        (0..self.shared.outboxes.fleets()).map(|fleet| self.shared.outboxes.waiting(fleet)).sum()
    }
}

/// Listens for commands on each fleet. A station without a control socket works, but no other command.
fn listen(fleets: &[Fleet], group: &Arc<StationGroup>, listen_on: ListenOn) -> Vec<Listener> {
    let each = fleets.iter().enumerate().filter_map(|(number, fleet)| {
        let (folder, changes) = (fleet.folder.clone(), fleet.changes.clone());
        let listener = listen_on(OpenFleet { folder, group: group.clone(), number, changes });
        let warn = |error| {
            tracing::warn!(
                fleet = fleet.name,
                "other commands cannot work on this fleet while the service runs: {error}"
            );
        };
        listener.map_err(warn).ok()
    });
    each.collect()
}

/// Removes and returns the tasks that do not stay.
fn take_unless<T>(
    all: &mut HashMap<String, Running<T>>,
    stays: impl Fn(&Running<T>) -> bool,
) -> Vec<Running<T>> {
    all.extract_if(|_, running| !stays(running)).map(|(_, running)| running).collect()
}

/// Gathers the copies of packets and passes each packet on, until the inputs have ended.
async fn gather(
    mut arrived: mpsc::Receiver<Arrived>,
    gathered: mpsc::Sender<GatheredPacket>,
    mut hold: watch::Receiver<Duration>,
    shared: Arc<Shared>,
) {
    let (mut gatherer, mut parts) = (Gatherer::new(*hold.borrow_and_update()), Vec::new());
    loop {
        let due = gatherer.next_due();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = wait => {}
            // Many at a time: a wait for each packet would cost more than gathering it.
            taken = arrived.recv_many(&mut parts, MAX_GATHERED_AT_ONCE) => if taken == 0 {
                break;
            },
        }
        if hold.has_changed().unwrap_or(false) {
            gatherer.set_hold(*hold.borrow_and_update());
        }
        for Arrived { uplink, at, at_ms } in parts.drain(..) {
            match gatherer.push(uplink, at, at_ms) {
                Gathered::First => {}
                Gathered::Joined => shared.metrics.count_joined(),
                Gathered::Late => shared.metrics.count_late(),
            }
        }
        while let Some(packet) = gatherer.pop(Instant::now()) {
            // A decoder that is behind holds up the gatherer, and so the inputs.
            if gathered.send(packet).await.is_err() {
                return;
            }
        }
    }
    while let Some(packet) = gatherer.pop_first(Instant::now()) {
        if gathered.send(packet).await.is_err() {
            return;
        }
    }
}

fn start_decoder(
    config: &StationConfig,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<GatheredPacket>,
    drain: Duration,
) -> Result<oneshot::Receiver<Result<(), ServeError>>, ServeError> {
    let name = config.name.clone();
    let failed = |error: &dyn std::fmt::Display| {
        ServeError::failed(format!("station {name}: starting its threads failed: {error}"))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.fixed.threads.unwrap_or(0));
    let pool = pool.build().map_err(|error| failed(&error))?;
    let (runtime, batch) = (Handle::current(), config.fixed.batch);
    let decoder = Decoder { shared, queue, pool, batch, runtime };
    let (ended, decoded) = oneshot::channel();
    let thread = thread::Builder::new().name("decoder".to_owned());
    thread
        .spawn(move || {
            // The service may have ended already.
            // The other half is for the outputs.
            let _ = ended.send(decoder.run(drain / 2));
        })
        .map_err(|error| failed(&error))?;
    Ok(decoded)
}
