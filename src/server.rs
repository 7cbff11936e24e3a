//! Starts shards, waits for signals, drains.

#[cfg(feature = "acme")]
mod orders;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::accept::{BindError, Listener, ListenerId, Placement, SocketFile};
use crate::admin::counters::Counters;
use crate::api::{Surface, SurfaceError};
use crate::config::{Config, ListenAddress, Loaded, Source};
use crate::hub::{Hub, Mailbox, WorkerId};
use crate::session::{Behaviour, CompileError};
use crate::store::OpenError;
use crate::tls::{Identity, Reloaded};
use crate::worker::{self, Arrival, Bell, Quiet, Seat};

/// Sockets on their way to one worker. More than a burst of accepts leaves; see `Arrivals`.
const ARRIVALS: usize = 4096;

/// How often the files of certificates are looked at without being asked to. Whoever renews them does it days ahead.
const CERTIFICATES: Duration = Duration::from_secs(30);

/// Time for what the backend has still to be told when all connections are closed, if they took all of `server.drain`.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Descriptors that are not connections: listeners, pollers, log, files being served.
const SPARE_DESCRIPTORS: u64 = 64;

/// Why the hub could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An endpoint cannot work as configured.
    #[error(transparent)]
    Endpoint(#[from] CompileError),
    /// The file of the topics on disk cannot be used.
    #[error(transparent)]
    History(#[from] OpenError),
    /// Pages, keys or origins cannot be used as configured.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
    /// The kernel refused a thread, a poller or a signal handler.
    #[error("cannot start {what}: {source}")]
    System {
        /// What could not be started.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Why a running hub stopped without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker's poller failed.
    #[error("worker {worker} failed: {source}")]
    Worker {
        /// Which.
        worker: usize,
        /// Why.
        source: io::Error,
    },
    /// A worker panicked outside of any session, and too often to be started again.
    #[error("worker {worker} panicked again and again; see the log above")]
    Panicked {
        /// Which.
        worker: usize,
    },
}

/// A running hub: its threads, and the way to stop them.
#[derive(Debug)]
pub struct Server {
    surface: Arc<Surface>,
    addresses: Vec<SocketAddr>,
    /// Taken away when it ends.
    _files: Vec<SocketFile>,
    draining: watch::Sender<bool>,
    /// When the drain began.
    drained_since: OnceLock<Instant>,
    shards: Vec<JoinHandle<io::Result<()>>>,
    /// Fetches the keys of tokens, until the drain. Not on a shard: one that is stuck must not keep the others from new keys.
    keys: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the addresses of `loaded` and starts one thread per worker. Blocks on files; returns when clients are
    /// served.
    ///
    /// `collect` is called on a worker about a second after a burst of connections; it may give freed memory back.
    ///
    /// # Errors
    /// What cannot be bound, read or started; then nothing keeps running.
    pub fn start(loaded: &Loaded, collect: fn()) -> Result<Self, StartError> {
        let started = Instant::now();
        let config = Arc::new(loaded.config.clone());
        let workers = worker_count(&config);
        let behaviours: Arc<[Behaviour]> = config.endpoints.iter().map(Behaviour::compile).collect::<Result<_, _>>()?;
        let everywhere = config.everywhere();
        let mut listeners: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
        let (mut addresses, mut files) = (Vec::new(), Vec::new());
        for (id, listen) in (0..).map(ListenerId).zip(&everywhere) {
            let bound = Listener::bind(listen, id, workers)?;
            files.extend(bound.file);
            for (shard, listener) in bound.listeners.into_iter().enumerate() {
                if shard == 0 {
                    addresses.extend(listener.address());
                }
                listeners[shard].push(listener);
            }
        }
        let bells = (0..workers).map(|_| Bell::new()).collect::<io::Result<Vec<_>>>();
        let bells = bells.map_err(|source| StartError::System { what: "a worker", source })?;
        let mailboxes = bells.iter().map(|bell| {
            let bell = bell.clone();
            Arc::new(Mailbox::new(config.limits.mailbox.bytes(), Box::new(move || bell.ring())))
        });
        let hub = Hub::open(&config, mailboxes.collect(), started)?;
        let counters = Arc::new(Counters::new(workers));
        let demo = loaded.source == Source::Demo;
        let surface = Surface::new(Arc::clone(&hub), Arc::clone(&config), counters, started, demo);
        // Its threads hold it, and what they wait for will not come.
        let surface = Arc::new(surface.inspect_err(|_| hub.close())?);
        let (draining, drained) = watch::channel(false);
        let placement = Arc::new(Placement::new(workers, config.limits.connections));
        let (ways, arrivals): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| crossbeam_channel::bounded::<Arrival>(ARRIVALS)).unzip();
        let ways: Arc<[_]> = ways.into();
        let quiet: Arc<Quiet> = Arc::default();
        let cores = cores();
        let mut server = Self {
            surface: Arc::clone(&surface),
            addresses,
            _files: files,
            draining,
            drained_since: OnceLock::new(),
            shards: Vec::new(),
            keys: None,
        };
        if surface.verifier.fetches() {
            let started = fetch_keys(Arc::clone(&surface), drained.clone());
            server.keys = Some(started.map_err(|source| StartError::System { what: "fetching keys", source })?);
        }
        for (shard, ((listeners, bell), arrivals)) in listeners.into_iter().zip(bells).zip(arrivals).enumerate() {
            let seat = Seat {
                id: WorkerId(shard as u16),
                surface: Arc::clone(&surface),
                placement: Arc::clone(&placement),
                behaviours: Arc::clone(&behaviours),
                listeners,
                bell,
                arrivals,
                orders: surface.orders.end(WorkerId(shard as u16)),
                ways: Arc::clone(&ways),
                draining: drained.clone(),
                quiet: Arc::clone(&quiet),
                collect,
            };
            // More workers than cores would only be pinned on top of each other.
            let core = (workers <= cores.len()).then(|| cores[shard]);
            let spawned = thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
                if let Some(core) = core {
                    pin(core);
                }
                run_shard(seat)
            });
            match spawned {
                Ok(thread) => server.shards.push(thread),
                Err(source) => {
                    server.drain();
                    return Err(StartError::System { what: "a shard's thread", source });
                }
            }
        }
        Ok(server)
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its topics, counters and configuration.
    pub fn surface(&self) -> &Arc<Surface> {
        &self.surface
    }

    /// Looks at the files of certificates again, and uses those that have changed for new connections. Blocks on them.
    pub fn reload_certificates(&self) {
        for reach in self.surface.reaches() {
            match reach.identity.as_ref().map(Identity::reload) {
                None | Some(Reloaded::Unchanged) => {}
                Some(Reloaded::Changed) => tracing::info!(listener = %reach.address, "new certificates are in use"),
                Some(Reloaded::Failed(error)) => tracing::error!(
                    listener = %reach.address,
                    %error,
                    "certificates have changed and are of no use; those from before stay in use"
                ),
            }
        }
    }

    /// Begins the drain: no more connections and publishes, what was acknowledged is delivered, everyone is asked to
    /// reconnect. Returns at once; calling it again changes nothing.
    pub fn drain(&self) {
        self.drained_since.get_or_init(Instant::now);
        self.surface.hub.drain();
        self.draining.send_replace(true);
        // A worker without tasks sleeps in its poller, where only its bell reaches it.
        self.surface.hub.wake_workers();
    }

    /// Whether a shard has ended: after a drain, or because it failed.
    pub fn is_over(&self) -> bool {
        self.shards.iter().any(JoinHandle::is_finished)
    }

    /// Waits for all shards to end, which they do after [`Server::drain`], and then until the backend has confirmed what
    /// it was told: for what is left of `server.drain`, and for a second at least.
    ///
    /// # Errors
    /// The first shard that failed; the others were drained.
    pub fn join(mut self) -> Result<(), RunError> {
        let mut result = Ok(());
        for (worker, shard) in std::mem::take(&mut self.shards).into_iter().enumerate() {
            let ended = match shard.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(source)) => Err(RunError::Worker { worker, source }),
                Err(_) => Err(RunError::Panicked { worker }),
            };
            if ended.is_err() {
                self.drain();
            }
            result = result.and(ended);
        }
        // Nobody publishes any more.
        self.surface.hub.close();
        if let Some(keys) = self.keys.take()
            && keys.join().is_err()
        {
            tracing::error!("fetching the keys of tokens panicked; see the log above");
        }
        let now = Instant::now();
        let began = self.drained_since.get().copied().unwrap_or(now);
        self.surface.hooks.end((began + self.surface.config.server.drain.0).max(now + LAST_WORDS));
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain();
        self.surface.hub.close();
    }
}

/// Serves `loaded` until SIGTERM or SIGINT, then drains. A second signal ends the process at once, with exit code 1.
///
/// # Errors
/// What kept it from starting, as a [`StartError`]; what ended it, as a [`RunError`].
pub fn run(loaded: &Loaded, collect: fn()) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let descriptors = raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let server = Arc::new(Server::start(loaded, collect)?);
        announce(loaded, &server, descriptors);
        #[cfg(feature = "acme")]
        for issued in server.surface().issuers.issued() {
            tokio::spawn(orders::follow(Arc::clone(issued), orders::PATIENCE));
        }
        tell_supervisor(NotifyState::Ready);
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let mut certificates = tokio::time::interval(CERTIFICATES);
        loop {
            let reload = tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = look.tick() => if server.is_over() { break } else { false },
                _ = hangup.recv() => true,
                _ = certificates.tick() => true,
            };
            if reload {
                let server = Arc::clone(&server);
                tokio::task::spawn_blocking(move || server.reload_certificates()).await?;
            }
        }
        tracing::info!(window = %loaded.config.server.drain, "draining; a second signal ends it at once");
        tell_supervisor(NotifyState::Stopping);
        server.drain();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("second signal: ending at once");
            std::process::exit(1);
        });
        let server = Arc::into_inner(server).expect("invariant: reloading is over, and nothing else shares it");
        tokio::task::spawn_blocking(move || server.join()).await??;
        tracing::info!("drained");
        Ok(())
    })
}

/// Tells systemd, if the unit has `Type=notify`. Without one that listens nothing happens.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// What listens where, with which limits. In demo mode also what to try first.
fn announce(loaded: &Loaded, server: &Server, descriptors: u64) {
    let config = &loaded.config;
    let workers = worker_count(config);
    let mut addresses = server.addresses().iter();
    for reach in server.surface().reaches() {
        let tls = reach.identity.is_some();
        match (&reach.address, addresses.as_slice().first()) {
            // With the port that was chosen.
            (ListenAddress::Tcp(_), Some(address)) => {
                addresses.next();
                tracing::info!(%address, tls, workers, "listening");
            }
            (address, _) => tracing::info!(%address, tls, workers, "listening"),
        }
    }
    let memory = config.memory_bound(workers);
    tracing::info!(
        connections = config.limits.connections,
        topics = config.limits.topics,
        max_message = %config.limits.message,
        memory = memory.total().rounded(),
        "limits (memory: the sum of what they allow)"
    );
    let needed = config.limits.connections as u64 + SPARE_DESCRIPTORS;
    if descriptors < needed {
        tracing::warn!(
            descriptors,
            needed,
            "the descriptor limit is too low for limits.connections: raise it (ulimit -n {needed}, LimitNOFILE= in a \
             systemd unit) or lower limits.connections"
        );
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let (Source::Demo, Some(address)) = (&loaded.source, server.addresses().first()) {
        tracing::info!("demo mode: no configuration file, this machine only, anyone here may publish");
        tracing::info!("try it:    http://localhost:{}/", address.port());
        tracing::info!("publish:   curl -d hello http://localhost:{}/topics/demo", address.port());
        tracing::info!("subscribe: ws://localhost:{}/topics/demo", address.port());
    }
}

fn run_shard(seat: Seat) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    // The runtime outlives a worker that panics, and so do the tasks on it: plain HTTP does not notice.
    local.block_on(&runtime, worker::run(seat))
}

/// A thread that fetches the keys of `tokens.jwks_url`, until the drain begins.
fn fetch_keys(surface: Arc<Surface>, mut drained: watch::Receiver<bool>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = surface.verifier.run(&surface.counters) => {}
                // Also if the server is gone.
                _ = drained.wait_for(|draining| *draining) => {}
            }
        });
    })
}

fn worker_count(config: &Config) -> usize {
    match config.server.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
    .min(usize::from(u16::MAX))
}

/// The cores this process may run on.
fn cores() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect(),
        Err(_) => Vec::new(),
    }
}

/// Keeps this thread on one core, and with it the caches that hold its connections.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // Without it the shard works as well, only a little slower.
    let _ = sched_setaffinity(None, &set);
}

/// Raises the soft descriptor limit to the hard one; tells the limit in force.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = if raised.is_ok() { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}
