//! The keys of `tokens.jwks_url`: those that were fetched last, and how the next ones come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::fetch::{FetchError, Fetcher};
use super::keys::Keys;
use super::schedule::Schedule;
use crate::admin::counters::Counters;
use crate::refusal::Refusal;

/// The fetched keys. One task, [`Remote::run`], fetches; whoever needs a key tells it and waits for its next finding.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    fetcher: Fetcher,
    refresh: Duration,
    keys: ArcSwap<Keys>,
    progress: watch::Sender<Progress>,
    wanted: Notify,
    waiting: AtomicUsize,
}

/// How far the fetching is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Fetches that were begun.
    pub(super) begun: u64,
    /// Fetches that ended: all that were begun, or all but the one under way.
    pub(super) ended: u64,
    /// Whether there ever was a set.
    pub(super) has_keys: bool,
    /// What was wrong with the last fetch, and when it ended.
    pub(super) failure: Option<(Arc<str>, Instant)>,
    /// Nobody fetches any more: the hub stops.
    pub(super) over: bool,
}

/// A token that waits for keys. Counted while it is there.
#[derive(Debug)]
pub(super) struct Waiting {
    remote: Arc<Remote>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Remote {
    /// Tokens that wait at once. Each has its text in memory; more are refused for the moment.
    pub(super) const MOST_WAITING: usize = 1024;

    /// Nothing fetched yet.
    pub(super) fn new(url: &str, fetcher: Fetcher, refresh: Duration) -> Self {
        Self {
            url: url.to_owned(),
            fetcher,
            refresh,
            keys: ArcSwap::default(),
            progress: watch::Sender::default(),
            wanted: Notify::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The keys of the last set that was of use.
    pub(super) fn keys(&self) -> arc_swap::Guard<Arc<Keys>> {
        self.keys.load()
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Asks for a fetch, and to be told of it. `None`: too many wait already.
    pub(super) fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let counted = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < Self::MOST_WAITING).then_some(waiting + 1)
        });
        counted.ok()?;
        let waiting = Waiting { remote: Arc::clone(self), progress: self.progress.subscribe() };
        self.wanted.notify_one();
        Some(waiting)
    }

    /// Fetches when it is due, for ever. Dropped, it tells those who wait that nothing comes any more.
    pub(super) async fn run(&self, counters: &Counters) {
        let _over = Over(self);
        let mut schedule = Schedule::new(self.refresh);
        let mut wanted = false;
        loop {
            if let Some(due) = schedule.due(wanted) {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    // Cancel safe: a permit that was not taken stays.
                    () = self.wanted.notified(), if !wanted => {
                        wanted = true;
                        continue;
                    }
                }
            }
            wanted = false;
            let result = self.fetch_once().await;
            schedule.ended(Instant::now(), result.is_ok());
            if result.is_err() {
                counters.fail_auth(Refusal::TokenKeysUnreachable);
            }
        }
    }

    /// Fetches now, and tells those who wait. On failure the keys stay as they are.
    pub(super) async fn fetch_once(&self) -> Result<(), Arc<str>> {
        self.progress.send_modify(|progress| progress.begun += 1);
        let result = self.fetch().await;
        let mut before = Progress::default();
        let (failure, count) = match result {
            Ok(keys) => {
                let count = keys.len();
                self.keys.store(Arc::new(keys));
                (None, count)
            }
            Err(what) => (Some(what), 0),
        };
        self.progress.send_modify(|progress| {
            before = progress.clone();
            progress.ended += 1;
            progress.has_keys |= failure.is_none();
            progress.failure = failure.clone().map(|what| (what, Instant::now()));
        });
        self.tell(&before, failure.as_deref(), count);
        failure.map_or(Ok(()), Err)
    }

    async fn fetch(&self) -> Result<Keys, Arc<str>> {
        let body = self.fetcher.fetch().await.map_err(|error: FetchError| error.to_string())?;
        Ok(Keys::from_set(&body).map_err(|error| error.to_string())?)
    }

    /// Once per change: what fails every minute need not be said every minute.
    fn tell(&self, before: &Progress, failure: Option<&str>, keys: usize) {
        let url = self.url.as_str();
        match (failure, &before.failure) {
            (None, None) if before.has_keys => tracing::debug!(url, keys, "keys of tokens fetched again"),
            (None, _) if keys == 0 => tracing::warn!(url, "the key set is empty: no token of it is taken"),
            (None, None) => tracing::info!(url, keys, "keys of tokens fetched"),
            (None, Some(_)) => tracing::info!(url, keys, "keys of tokens can be fetched again"),
            (Some(error), Some(_)) => tracing::debug!(url, error, "keys of tokens still cannot be fetched"),
            (Some(error), None) if before.has_keys => {
                tracing::warn!(url, error, "keys of tokens cannot be fetched; those from before stay in use");
            }
            (Some(error), None) => {
                tracing::warn!(
                    url,
                    error,
                    "keys of tokens cannot be fetched; until they are, their tokens are refused"
                );
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.remote.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waiting {
    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }
}

struct Over<'a>(&'a Remote);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.over = true);
    }
}
