//! Ordering and renewing the certificates that an authority issues.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_acme::acme::{Auth, Identifier};
use rustls_acme::{Event, EventError, EventOk, OrderError};

use crate::tls::Issued;

/// How long an order may say nothing. rustls-acme gives up a name after half a minute and an order that is being processed
/// after 17 minutes, but waits for an answer of the directory for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

/// rustls-acme waits for a second after the first failure in a row, and twice as long after each further one, up to this
/// power of two.
const LONGEST_PAUSE: u32 = 16;

/// Orders `issued`, renews it, and says so. Never returns; may be dropped at any time.
///
/// Orders that say nothing for `patience` longer than they may are begun anew.
pub(super) async fn follow(issued: Arc<Issued>, patience: Duration) {
    let mut course = Course::new(issued);
    loop {
        let mut orders = course.issued.begin();
        course.failures = 0;
        while let Ok(event) = tokio::time::timeout(course.silence() + patience, orders.next()).await {
            if course.take(event) == Next::Pause {
                tokio::time::sleep(pause(course.failures)).await;
            }
        }
        tracing::error!(domains = course.domains, "the authority does not answer; the order begins anew");
    }
}

/// How it went so far.
struct Course {
    issued: Arc<Issued>,
    domains: String,
    has_certificate: bool,
    /// Orders that failed in a row.
    failures: u32,
}

/// Whether rustls-acme may go on at once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
enum Next {
    /// It may, and waits by itself where it has to.
    GoOn,
    /// It would order again without a pause.
    Pause,
}

impl Course {
    fn new(issued: Arc<Issued>) -> Self {
        let domains = issued.settings().domains.join(",");
        Self { issued, domains, has_certificate: false, failures: 0 }
    }

    /// How long nothing need happen.
    fn silence(&self) -> Duration {
        let rest = Duration::from_secs(self.issued.renews_unix()).saturating_sub(unix_now());
        rest.max(pause(self.failures))
    }

    fn days_left(&self) -> u64 {
        Duration::from_secs(self.issued.expires_unix()).saturating_sub(unix_now()).as_secs() / 86_400
    }

    fn take(&mut self, event: Event<io::Error, io::Error>) -> Next {
        let domains = &self.domains;
        match event {
            Ok(EventOk::DeployedCachedCert) => {
                self.has_certificate = true;
                tracing::info!(domains, days_left = self.days_left(), "the certificate of the cache is in use");
            }
            // It is told once it has been kept.
            Ok(EventOk::DeployedNewCert) => self.failures = 0,
            Ok(EventOk::CertCacheStore) => {
                let what = if self.has_certificate { "renewed" } else { "obtained" };
                tracing::info!(domains, days_left = self.days_left(), "a certificate was {what}");
                self.has_certificate = true;
            }
            Ok(EventOk::AccountCacheStore) => tracing::info!(domains, "a key for an account was made"),
            Err(EventError::Order(error)) => self.count_failure(&cause(&error)),
            Err(EventError::NewCertParse(error)) => {
                self.count_failure(&error.to_string());
                return Next::Pause;
            }
            Err(EventError::CertCacheStore(error)) => {
                self.has_certificate = true;
                tracing::error!(domains, %error, "a certificate is in use and cannot be kept; the next start orders another");
            }
            Err(EventError::AccountCacheStore(error)) => {
                tracing::error!(domains, %error, "the key of an account cannot be kept; the next start makes another");
            }
            Err(
                error @ (EventError::CertCacheLoad(_)
                | EventError::CachedCertParse(_)
                | EventError::AccountCacheLoad(_)),
            ) => tracing::error!(domains, %error, "the cache is of no use; going on without"),
        }
        Next::GoOn
    }

    fn count_failure(&mut self, error: &str) {
        self.failures = self.failures.saturating_add(1);
        let (again_secs, days_left) = (pause(self.failures).as_secs(), self.days_left());
        tracing::error!(domains = self.domains, error, again_secs, days_left, "a certificate was not obtained");
    }
}

/// Why there is no certificate. If the authority has checked a name and was not content, what it says of that.
fn cause(error: &OrderError) -> String {
    let OrderError::BadAuth(Auth { identifier: Identifier::Dns(domain), challenges, .. }) = error else {
        return error.to_string();
    };
    let said = challenges.iter().find_map(|challenge| challenge.error.as_ref()?.detail.as_deref());
    said.map_or_else(|| error.to_string(), |said| format!("{domain}: {said}"))
}

/// What rustls-acme waits after so many failures in a row.
fn pause(failures: u32) -> Duration {
    failures.checked_sub(1).map_or(Duration::ZERO, |power| Duration::from_secs(1 << power.min(LONGEST_PAUSE)))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustls_acme::CertParseError;
    use tokio::net::TcpListener;

    use super::*;
    use crate::tls::Acme;

    fn asking(cache: PathBuf, directory: String) -> Acme {
        let domains = vec!["hub.example".to_owned()];
        Acme { domains, contact: Vec::new(), cache, directory, directory_ca: None }
    }

    #[test]
    fn pauses_double_up_to_eighteen_hours() {
        let secs: Vec<u64> = [0, 1, 2, 3, 17, 18, u32::MAX].map(|failures| pause(failures).as_secs()).to_vec();
        assert_eq!(secs, [0, 1, 2, 4, 65_536, 65_536, 65_536]);
    }

    #[test]
    fn what_an_authority_says_of_a_name_is_the_cause() {
        let said = r#"{ "status": "invalid", "identifier": { "type": "dns", "value": "hub.example" }, "challenges": [
            { "type": "http-01", "url": "u", "token": "t" },
            { "type": "tls-alpn-01", "url": "u", "token": "t", "error": { "detail": "Connection refused" } }
        ] }"#;
        let error = OrderError::BadAuth(serde_json::from_str(said).unwrap());
        assert_eq!(cause(&error), "hub.example: Connection refused");
        assert!(cause(&OrderError::TooManyAttemptsAuth("hub.example".to_owned())).contains("too many times"));
    }

    #[test]
    fn failures_in_a_row_are_counted_until_there_is_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let acme = asking(folder.path().join("acme"), "https://acme.example/directory".to_owned());
        let mut course = Course::new(Arc::new(Issued::new(&acme).unwrap()));
        for silence_secs in [1, 2, 4] {
            let failed = OrderError::TooManyAttemptsAuth("hub.example".to_owned());
            assert_eq!(course.take(Err(EventError::Order(failed))), Next::GoOn);
            assert_eq!(course.silence().as_secs(), silence_secs);
        }
        assert_eq!(course.take(Err(EventError::NewCertParse(CertParseError::TooFewPem(1)))), Next::Pause);
        assert_eq!(course.silence().as_secs(), 8);
        assert_eq!(course.take(Ok(EventOk::DeployedNewCert)), Next::GoOn);
        assert_eq!(course.silence().as_secs(), 0);
    }

    #[test]
    fn an_authority_that_does_not_answer_is_asked_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let directory = format!("https://{}/directory", silent.local_addr().unwrap());
            let acme = asking(folder.path().join("acme"), directory);
            let issued = Arc::new(Issued::new(&acme).unwrap());
            let following = tokio::spawn(follow(issued, Duration::from_millis(100)));
            // Kept open: it is for an answer that is waited for.
            let first = silent.accept().await.unwrap();
            let second = silent.accept().await.unwrap();
            assert_ne!(first.1, second.1);
            following.abort();
        });
    }
}
