//! The way to the backend, for everyone in the process.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::sync::Notify;

use super::answer::Answer;
use super::answer_body::Garbage;
use super::backend::{Backend, BackendError};
use super::backlog::{Backlog, Kept};
use super::counters::HookCounters;
use super::courier;
use super::desk::{Desk, DeskLimits, Offered, Wanted};
use super::event::Event;
use super::failure::Failure;
use super::hook::Hook;
use super::passed::{Gate, Passed};
use super::request::Ask;
use super::throttle::Throttle;
use crate::config::{HookUrl, Hooks as Settings};

/// Told when there is an answer, or will be none.
pub(super) type Done = Box<dyn FnOnce(Result<Bytes, Failure>) + Send>;

/// The way to the backend, for everyone in the process. Never blocks those who use it: what is sent is sent by a thread
/// of its own, which does not exist where no hook has a URL.
#[derive(Debug)]
pub struct Hooks {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why hooks cannot work as configured.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// Certificates.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The thread, or its runtime.
    #[error("cannot start the thread of the hooks: {0}")]
    Thread(io::Error),
}

/// What a scrape of the metrics wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCensus {
    /// Calls under way.
    pub under_way: usize,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Events that were not confirmed yet.
    pub events: usize,
    /// The breaker of each hook that is asked and has a URL: 0 closed, 1 half-open, 2 open.
    pub breakers: Vec<(Hook, i64)>,
}

/// What the threads have in common.
pub(super) struct Shared {
    /// The place of each hook's URL in `urls`, and of its breaker or backlog.
    targets: [Option<usize>; Hook::ALL.len()],
    urls: Vec<HookUrl>,
    pub(super) timeout: Duration,
    gate: Gate,
    coalesce: bool,
    desk: Mutex<Desk<Job, Done>>,
    telling: Mutex<Telling>,
    /// What the ids of events of this process begin with, and how many there were.
    run: String,
    events: AtomicU64,
    throttles: Mutex<[Throttle; Hook::ALL.len()]>,
    pub(super) counters: Arc<HookCounters>,
    /// Something is to be done.
    pub(super) wake: Notify,
    /// Until when what is left may be delivered, once the hub ends.
    deadline: Mutex<Option<Instant>>,
}

/// A call that is to be made.
pub(super) struct Job {
    pub(super) hook: Hook,
    pub(super) body: Bytes,
    pub(super) passed: Passed,
    pub(super) check: fn(&[u8]) -> Result<(), Garbage>,
    pub(super) asked: Instant,
}

/// Events, by the place of their URL in [`Shared::urls`]. Where nothing is told, a backlog stays empty.
pub(super) struct Telling {
    pub(super) backlogs: Vec<Backlog>,
    /// Nobody delivers any more.
    pub(super) is_over: bool,
}

impl Hooks {
    /// Starts the thread, if a hook has a URL. Blocks on files, if one is called over TLS.
    ///
    /// # Errors
    /// Certificates of authorities that cannot be read, or a thread that the system refuses.
    pub fn start(settings: &Settings) -> Result<Self, HooksError> {
        let mut urls: Vec<HookUrl> = Vec::new();
        let mut targets = [None; Hook::ALL.len()];
        for (target, (_, url)) in targets.iter_mut().zip(settings.urls()) {
            let Some(url) = url else { continue };
            // Hooks with the same URL share its breaker or its backlog.
            let known = urls.iter().position(|one| one == url);
            *target = Some(known.unwrap_or(urls.len()));
            if known.is_none() {
                urls.push(url.clone());
            }
        }
        let queue_bytes = settings.queue.bytes();
        let limits = DeskLimits { concurrency: settings.concurrency, queue_bytes, timeout: settings.timeout.0 };
        let run = uuid::Uuid::new_v4().to_string();
        let told = targets[Hook::Unsubscribe.index()].into_iter().chain(targets[Hook::Disconnect.index()]);
        // Two different ones share the limit.
        let backlog_bytes =
            if told.collect::<std::collections::BTreeSet<_>>().len() > 1 { queue_bytes / 2 } else { queue_bytes };
        let backlogs = (0..urls.len()).map(|index| Backlog::new(backlog_bytes, format!("{run}-{index}")));
        let telling = Telling { backlogs: backlogs.collect(), is_over: false };
        let has_any = !urls.is_empty();
        let shared = Arc::new(Shared {
            targets,
            desk: Mutex::new(Desk::new(limits, urls.len())),
            urls,
            timeout: settings.timeout.0,
            gate: Gate::new(&settings.headers, &settings.emulated_headers),
            coalesce: settings.coalesce,
            telling: Mutex::new(telling),
            run,
            events: AtomicU64::new(0),
            throttles: Mutex::default(),
            counters: Arc::default(),
            wake: Notify::new(),
            deadline: Mutex::new(None),
        });
        let thread = if has_any { Some(spawn(Arc::clone(&shared), settings)?) } else { None };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    /// Whether a hook has a URL.
    pub fn is_on(&self, hook: Hook) -> bool {
        self.shared.targets[hook.index()].is_some()
    }

    /// The headers of a client that calls about it carry: of its request, and of its `connect` command. Make it once per
    /// connection.
    pub fn pass<'a>(&self, head: &HeaderMap, emulated: impl IntoIterator<Item = (&'a str, &'a str)>) -> Passed {
        self.shared.gate.pass(head, emulated)
    }

    /// Whether headers of requests are passed on at all.
    pub fn passes_headers(&self) -> bool {
        self.shared.gate.is_open()
    }

    /// The same as [`Hooks::pass`] in two steps: to what a request's head brought, what the `connect` command brings.
    pub fn pass_emulated<'a>(&self, passed: &Passed, emulated: impl IntoIterator<Item = (&'a str, &'a str)>) -> Passed {
        self.shared.gate.add(passed, emulated)
    }

    /// Asks the backend. Returns at once; `done` gets the answer on the thread of the hooks, within `hooks.timeout`. It
    /// must not block, and should only hand the answer on.
    ///
    /// # Errors
    /// It is not asked, and `done` is dropped: the hook has no URL ([`Failure::Off`]), what waits has used up
    /// `hooks.queue`, too many calls failed just now, the hub is ending, or what claims to be JSON is not.
    pub fn call<A: Ask>(
        &self,
        ask: &A,
        passed: &Passed,
        done: impl FnOnce(Answer<A::Result>) + Send + 'static,
    ) -> Result<(), Failure> {
        let taken = self.take_in(ask, passed, done);
        if let Err(failure) = &taken {
            self.shared.failed(A::HOOK, failure, 1);
        }
        taken
    }

    fn take_in<A: Ask>(
        &self,
        ask: &A,
        passed: &Passed,
        done: impl FnOnce(Answer<A::Result>) + Send + 'static,
    ) -> Result<(), Failure> {
        let hook = A::HOOK;
        let target = self.shared.targets[hook.index()].ok_or(Failure::Off)?;
        let body = ask.body().map_err(|error| Failure::Unsendable(error.to_string()))?;
        let shared = if self.shared.coalesce { ask.shared_body(!passed.is_empty()) } else { None };
        let shared = shared.map(|body| {
            let mut key = format!("{}\n", hook.label()).into_bytes();
            passed.write_key(&mut key);
            key.push(b'\n');
            key.extend_from_slice(&body);
            Bytes::from(key)
        });
        let now = Instant::now();
        let bytes = body.len() + passed.bytes();
        let job = Job { hook, body, passed: passed.clone(), check: |body| A::parse(body).map(drop), asked: now };
        let done: Done = Box::new(move |outcome| {
            // It was looked at before, so it is an answer.
            let answer = outcome.and_then(|body| A::parse(&body).map_err(Failure::from));
            done(answer.unwrap_or_else(Answer::Failed));
        });
        let offered = self.shared.desk().offer(Wanted { job, target, bytes, shared }, done, now);
        match offered {
            Offered::Queued => {
                self.shared.wake.notify_one();
                Ok(())
            }
            Offered::Joined => {
                self.shared.counters.coalesce(hook);
                Ok(())
            }
            Offered::Refused(failure, _) => Err(failure),
        }
    }

    /// Tells the backend, at least once, after everything else that was told of the same client at the same URL. Returns
    /// at once. Without a URL for it nothing happens; without room, or after [`Hooks::end`], it is lost, which is counted and
    /// logged.
    pub fn tell(&self, event: Event<'_>) {
        let hook = event.hook();
        let Some(target) = self.shared.targets[hook.index()] else { return };
        let number = self.shared.events.fetch_add(1, Ordering::Relaxed);
        let json = event.to_json(&self.shared.run, number);
        let mut telling = self.shared.telling();
        let kept = if telling.is_over { Kept::Lost } else { telling.backlogs[target].offer(json) };
        match kept {
            Kept::Queued => {
                drop(telling);
                self.shared.wake.notify_one();
            }
            Kept::Lost => {
                let waiting = telling.backlogs[target].len();
                drop(telling);
                self.shared.counters.lose(hook, 1);
                if let Some(not_logged) = self.shared.may_log(hook) {
                    let hook = hook.label();
                    tracing::error!(
                        hook,
                        waiting,
                        not_logged,
                        "an event is lost: hooks.queue is full, or the hub has ended"
                    );
                }
            }
        }
    }

    /// Ends the thread once all events were delivered, at `deadline` at the latest. From now on nothing is asked, and
    /// who waits for an answer is told that there will be none. Blocks; calling it again changes nothing.
    pub fn end(&self, deadline: Instant) {
        self.shared.end(deadline);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the hooks panicked");
        }
    }

    /// What was counted.
    pub fn counters(&self) -> &Arc<HookCounters> {
        &self.shared.counters
    }

    /// What waits now.
    pub fn census(&self) -> HookCensus {
        let events = self.shared.telling().backlogs.iter().map(Backlog::len).sum();
        let desk = self.shared.desk();
        let asked = Hook::ALL.into_iter().filter(|hook| !matches!(hook, Hook::Unsubscribe | Hook::Disconnect));
        let breakers = asked.filter_map(|hook| {
            let position = desk.position(self.shared.targets[hook.index()]?);
            Some((hook, position as i64))
        });
        let breakers = breakers.collect();
        HookCensus { under_way: desk.under_way(), waiting: desk.waiting(), events, breakers }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.shared.end(Instant::now());
    }
}

fn spawn(shared: Arc<Shared>, settings: &Settings) -> Result<JoinHandle<()>, HooksError> {
    let backend = Backend::new(settings)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(courier::RESOLVERS).build();
    let runtime = runtime.map_err(HooksError::Thread)?;
    let thread = thread::Builder::new().name("hooks".to_owned());
    thread.spawn(move || runtime.block_on(courier::run(shared, backend))).map_err(HooksError::Thread)
}

impl Shared {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk<Job, Done>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn telling(&self) -> MutexGuard<'_, Telling> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn url(&self, target: usize) -> &HookUrl {
        &self.urls[target]
    }

    /// The hook that a URL that is told things stands for, in metrics and logs: the first that has it.
    pub(super) fn told(&self, target: usize) -> Hook {
        let unsubscribe = self.targets[Hook::Unsubscribe.index()] == Some(target);
        if unsubscribe { Hook::Unsubscribe } else { Hook::Disconnect }
    }

    /// Counts `count` calls without an answer, and logs one of them, at most once a second for each hook.
    pub(super) fn failed(&self, hook: Hook, failure: &Failure, count: usize) {
        self.counters.failed(hook, failure, count);
        if let Some(not_logged) = self.may_log(hook) {
            let url = self.targets[hook.index()].map(|target| self.urls[target].without_query());
            let (hook, code) = (hook.label(), failure.code());
            tracing::warn!(hook, url, code, cause = %failure, not_logged, "a hook has no answer");
        }
    }

    pub(super) fn may_log(&self, hook: Hook) -> Option<u64> {
        self.throttles.lock().unwrap_or_else(PoisonError::into_inner)[hook.index()].pass(Instant::now())
    }

    fn end(&self, deadline: Instant) {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(deadline);
        let abandoned = self.desk().abandon();
        tell_all(abandoned, &Err(Failure::Ending));
        self.telling().backlogs.iter_mut().for_each(Backlog::hurry);
        self.wake.notify_one();
    }
}

/// Hands an outcome to everyone who waits for it. One that panics does not keep it from the others.
pub(super) fn tell_all(dones: Vec<Done>, outcome: &Result<Bytes, Failure>) {
    for done in dones {
        let outcome = outcome.clone();
        if panic::catch_unwind(AssertUnwindSafe(move || done(outcome))).is_err() {
            tracing::error!("whoever was to get the answer of a hook panicked");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("targets", &self.targets).field("urls", &self.urls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::breaker::Position;
    use super::*;
    use crate::hooks::{Caller, RpcRequest};

    fn rpc(hooks: &Hooks) -> Result<(), Failure> {
        let caller = Caller { client: "c", transport: "websocket", protocol: "json" };
        let ask = RpcRequest { caller, user: "", method: "m", data: None, meta: None };
        hooks.call(&ask, &Passed::default(), |_| panic!("it is not asked"))
    }

    #[test]
    fn without_a_url_there_is_no_thread_and_nothing_is_asked() {
        let hooks = Hooks::start(&Settings::default()).unwrap();
        assert!(hooks.thread.lock().unwrap().is_none());
        assert_eq!(rpc(&hooks), Err(Failure::Off));
        assert!(Hook::ALL.iter().all(|&hook| !hooks.is_on(hook)));
        hooks.end(Instant::now());
    }

    #[test]
    fn once_it_has_ended_nothing_is_asked() {
        let rpc_url = Some("http://127.0.0.1:9/".parse().unwrap());
        let hooks = Hooks::start(&Settings { rpc: rpc_url, ..Settings::default() }).unwrap();
        hooks.end(Instant::now() + Duration::from_secs(60));
        assert_eq!(rpc(&hooks), Err(Failure::Ending));
    }

    #[test]
    fn positions_of_breakers_are_the_numbers_of_the_metric() {
        assert_eq!([Position::Closed as i64, Position::HalfOpen as i64, Position::Open as i64], [0, 1, 2]);
    }
}
