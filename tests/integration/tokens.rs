//! Tokens: keys that a running hub fetches, replaces and keeps; and the command line that makes and inspects them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use fanfare::identity::{Algorithm, Checked, ConnectionClaims, Reason, SigningKey, Verdict};
use fanfare::refusal::Refusal;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use rcgen::KeyPair;

use crate::authority::Authority;
use crate::child::{binary, config_file};
use crate::deadline::{PATIENCE, eventually};
use crate::hub::TestHub;
use crate::key_server::{Answer, KeyServer};

const NOW: u64 = 1_700_000_000;

/// A key pair of an identity provider.
struct Provider {
    signing: SigningKey,
    jwk: String,
}

impl Provider {
    fn new(id: &str) -> Self {
        let pem = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        let signing = SigningKey::private(Some(Algorithm::Es256), pem.as_bytes(), Some(id)).unwrap();
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { signing, jwk: serde_json::to_string(&jwk).unwrap() }
    }

    fn token(&self) -> String {
        self.signing.sign(r#"{"sub":"ada"}"#).unwrap()
    }
}

fn set(providers: &[&Provider]) -> String {
    let keys: Vec<&str> = providers.iter().map(|provider| provider.jwk.as_str()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn fetching(server: &KeyServer) -> TestHub {
    TestHub::start(1, &format!("[tokens]\njwks_url = \"{}\"\njwks_refresh = \"1s\"", server.url()))
}

/// What the hub thinks of a token, waiting for keys if it has to.
fn judged(hub: &TestHub, token: &str) -> Verdict<ConnectionClaims> {
    match hub.server().surface().verifier.connection(token, NOW) {
        Checked::Now(verdict) => verdict,
        Checked::Later(pending) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, pending.wait()).await });
            waited.expect("it takes too long")
        }
    }
}

fn is_ada(verdict: &Verdict<ConnectionClaims>) -> bool {
    matches!(verdict, Verdict::Valid(claims) if claims.user == "ada")
}

fn failures(hub: &TestHub) -> u64 {
    hub.counters().auth_failures[Refusal::TokenKeysUnreachable.index()].get()
}

#[test]
fn a_running_hub_follows_the_keys_that_a_provider_replaces() {
    let (old, new) = (Provider::new("old"), Provider::new("new"));
    let server = KeyServer::start(Answer::Body(set(&[&old])));
    let hub = fetching(&server);
    assert!(is_ada(&judged(&hub, &old.token())));
    server.answer(Answer::Body(set(&[&old, &new])));
    assert!(is_ada(&judged(&hub, &new.token())) && is_ada(&judged(&hub, &old.token())));
    server.answer(Answer::Body(set(&[&new])));
    let gone = Verdict::Invalid(Reason::UnknownKey { id: Some("old".to_owned()) });
    eventually("the old key is gone", || judged(&hub, &old.token()) == gone);
    assert!(is_ada(&judged(&hub, &new.token())));
    assert_eq!(failures(&hub), 0);
}

#[test]
fn keys_are_fetched_regularly_though_nobody_asks_for_them() {
    let server = KeyServer::start(Answer::Body(set(&[&Provider::new("a")])));
    let _hub = fetching(&server);
    eventually("they were fetched three times", || server.asked() >= 3);
}

#[test]
fn a_provider_that_is_gone_costs_no_client_whose_key_is_known_and_is_counted() {
    let (known, other) = (Provider::new("known"), Provider::new("other"));
    let server = KeyServer::start(Answer::Body(set(&[&known])));
    let hub = fetching(&server);
    assert!(is_ada(&judged(&hub, &known.token())));
    for answer in [Answer::Close, Answer::Head("HTTP/1.1 503 Gone\r\ncontent-length: 0"), Answer::Endless] {
        server.answer(answer);
        let before = failures(&hub);
        eventually("a fetch has failed", || failures(&hub) > before);
        assert!(is_ada(&judged(&hub, &known.token())));
        let Verdict::Invalid(reason) = judged(&hub, &other.token()) else { panic!("it is not known") };
        assert!(reason.is_temporary(), "{reason}");
    }
    let page = String::from_utf8(hub.http().get("/metrics").body).unwrap();
    let line = "fanfare_auth_failures_total{code=\"token-keys-unreachable\"} ";
    let count = page.lines().find_map(|one| one.strip_prefix(line)).unwrap();
    assert!(count.parse::<u64>().unwrap() >= 3, "{count}");
    server.answer(Answer::Body(set(&[&known, &other])));
    eventually("it is back", || is_ada(&judged(&hub, &other.token())));
}

#[test]
fn a_hub_stops_at_once_though_a_provider_keeps_it_waiting() {
    let server = KeyServer::start(Answer::Silence);
    let hub = fetching(&server);
    eventually("it asks", || server.asked() == 1);
    let (took, result) = hub.drain_and_join(PATIENCE);
    assert!(result.is_ok() && took < Duration::from_secs(8), "{took:?}");
    eventually("its connection is gone", || server.ended() == 1);
}

/// Runs `fanfare` with the configuration and what it reads from stdin, to its end.
fn fanfare(config: &str, arguments: &[&str], variables: &[(&str, &Path)], stdin: &str) -> Output {
    let (_directory, file) = config_file(config);
    let mut command = binary();
    command.arg("--config").arg(&file).args(arguments).envs(variables.iter().copied());
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_token_that_was_made_for_a_configuration_is_taken_by_it_and_not_by_another() {
    let config = |secret: &str| format!("[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n");
    let (own, other) = (config("a secret of thirty-two bytes ..."), config("another of thirty-two bytes ...."));
    let made = fanfare(&own, &["token", "create", "--user", "ada", "--channel", "news"], &[], "");
    assert_eq!((made.status.code(), made.stderr.as_slice()), (Some(0), &b""[..]));
    assert_eq!(stdout(&made).lines().count(), 1);
    let inspected = fanfare(&own, &["token", "inspect", "-"], &[], stdout(&made));
    assert_eq!(inspected.status.code(), Some(0), "{inspected:?}");
    assert!(stdout(&inspected).contains("in 59 minutes") || stdout(&inspected).contains("in 1 hour"));
    let refused = fanfare(&other, &["token", "inspect", "--json", stdout(&made).trim()], &[], "");
    assert_eq!(refused.status.code(), Some(1));
    let finding: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&finding["accepted"], &finding["code"]), (&false.into(), &"token-signature".into()));
    assert_eq!(finding["claims"]["channels"], serde_json::json!(["news"]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("token-signature"));
}

#[test]
fn keys_are_fetched_over_https_from_whom_the_system_trusts_and_from_nobody_else() {
    let provider = Provider::new("a");
    let (authority, stranger) = (Authority::new(), Authority::new());
    let signed = authority.sign("keys", &["localhost"]);
    fs::write(authority.path("jwks.json"), set(&[&provider])).unwrap();
    // Another hub is the provider: a file of its pages, over TLS.
    let server = TestHub::start(
        1,
        &format!(
            "[[pages]]\npath = \"/jwks.json\"\nfile = {:?}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
            tls = {{ certificates = [{{ certificate = {:?}, key = {:?} }}] }}",
            authority.path("jwks.json"),
            signed.certificate,
            signed.key
        ),
    );
    let port = server.server().addresses()[1].port();
    let config = format!("[tokens]\njwks_url = \"https://localhost:{port}/jwks.json\"\n");
    let inspect =
        |trusted: &Path| fanfare(&config, &["token", "inspect", "-"], &[("SSL_CERT_FILE", trusted)], &provider.token());
    let taken = inspect(&authority.path("ca.pem"));
    assert_eq!(taken.status.code(), Some(0), "{taken:?}");
    assert!(stdout(&taken).contains("verdict     taken"), "{taken:?}");
    let refused = inspect(&stranger.path("ca.pem"));
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("token-keys-unreachable") && stderr.contains("certificate"), "{stderr}");
}
