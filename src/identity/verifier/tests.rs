//! The verifier against a real server of keys.

use std::net::TcpListener;

use self::key_server::{Answer, KeyServer};
use super::super::algorithm::Algorithm;
use super::super::testing::Pair;
use super::*;
use crate::config::Span;
use crate::refusal::Refusal;

#[path = "../../../tests/integration/key_server.rs"]
mod key_server;

const NOW: u64 = 1_700_000_000;

/// A verifier without keys of its own that fetches from `url` every second; `timeout` for an answer.
fn fetching(url: &str, own: Keys, timeout: Duration) -> Verifier {
    let tokens = Tokens { jwks_url: Some(url.to_owned()), jwks_refresh: Span::secs(1), ..Tokens::default() };
    Verifier::with_keys(own, &tokens, timeout).unwrap()
}

fn set(keys: &[String]) -> Answer {
    Answer::Body(format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

fn now(checked: Checked<ConnectionClaims>) -> Verdict<ConnectionClaims> {
    match checked {
        Checked::Now(verdict) => verdict,
        Checked::Later(_) => panic!("it would have to wait"),
    }
}

fn later(checked: Checked<ConnectionClaims>) -> Pending<ConnectionClaims> {
    match checked {
        Checked::Now(verdict) => panic!("{verdict:?} at once"),
        Checked::Later(pending) => pending,
    }
}

async fn settled(checked: Checked<ConnectionClaims>) -> Verdict<ConnectionClaims> {
    match checked {
        Checked::Now(verdict) => verdict,
        Checked::Later(pending) => pending.wait().await,
    }
}

fn is_valid(verdict: &Verdict<ConnectionClaims>) -> bool {
    matches!(verdict, Verdict::Valid(_))
}

#[track_caller]
fn assert_unreachable(verdict: Verdict<ConnectionClaims>, said: &str) {
    let Verdict::Invalid(reason) = verdict else { panic!("{verdict:?}") };
    assert!(reason.is_temporary(), "{reason}");
    assert!(reason.to_string().contains(said), "no {said:?} in {reason}");
}

/// Between two looks at a condition; [`with_run`] gives up at a deadline.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// Runs the future on a runtime of its own, beside what the verifier runs.
fn with_run<F: Future>(verifier: &Verifier, then: impl FnOnce(Arc<Counters>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counters = Arc::new(Counters::new(1));
    runtime.block_on(async {
        let (verifier, counted) = (verifier.clone(), Arc::clone(&counters));
        let running = tokio::spawn(async move { verifier.run(&counted).await });
        let output = tokio::time::timeout(Duration::from_secs(20), then(counters)).await.expect("it takes too long");
        running.abort();
        output
    })
}

#[test]
fn without_a_set_to_fetch_every_verdict_is_there_at_once() {
    let pair = Pair::new(Algorithm::Hs256);
    let verifier = Verifier::with_keys(Keys::new([pair.key(Some("a"))]), &Tokens::default(), Fetcher::TIMEOUT).unwrap();
    assert!(verifier.is_configured() && !verifier.fetches());
    assert!(is_valid(&now(verifier.connection(&pair.sign("{}", Some("a")), NOW))));
    let unknown = Verdict::Invalid(Reason::UnknownKey { id: Some("b".to_owned()) });
    assert_eq!(now(verifier.connection(&pair.sign("{}", Some("b")), NOW)), unknown);
    let nothing = Verifier::new(&Tokens::default()).unwrap();
    assert!(!nothing.is_configured());
    assert_eq!(now(nothing.connection(&pair.sign("{}", None), NOW)), Verdict::Invalid(Reason::NoKeys));
}

#[test]
fn a_token_waits_for_the_first_set_and_is_judged_at_once_afterwards() {
    let pair = Pair::new(Algorithm::Es256);
    let server = KeyServer::start(set(&[pair.jwk("a", true)]));
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    let waiting: Vec<_> =
        [Some("a"), None].map(|id| later(verifier.connection(&pair.sign(r#"{"sub":"u"}"#, id), NOW))).into();
    with_run(&verifier, async |_| {
        for pending in waiting {
            assert!(matches!(pending.wait().await, Verdict::Valid(claims) if claims.user == "u"));
        }
        assert!(is_valid(&now(verifier.connection(&pair.sign("{}", Some("a")), NOW))));
        assert_eq!(now(verifier.connection(&pair.sign(r#"{"exp":1}"#, Some("a")), NOW)), Verdict::Expired);
        // Its key is known, so no fetch could make it any better.
        let forged = Pair::new(Algorithm::Es256).sign("{}", Some("a"));
        assert_eq!(now(verifier.connection(&forged, NOW)), Verdict::Invalid(Reason::BadSignature));
        let unnamed = Pair::new(Algorithm::Es256).sign("{}", None);
        assert_eq!(now(verifier.connection(&unnamed, NOW)), Verdict::Invalid(Reason::BadSignature));
    });
}

#[test]
fn a_new_key_is_found_by_the_first_token_that_names_it_and_the_old_one_is_gone_with_its_set() {
    let (old, new) = (Pair::new(Algorithm::Es256), Pair::new(Algorithm::EdDsa));
    let server = KeyServer::start(set(&[old.jwk("old", true)]));
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    with_run(&verifier, async |_| {
        assert!(is_valid(&settled(verifier.connection(&old.sign("{}", Some("old")), NOW)).await));
        server.answer(set(&[old.jwk("old", true), new.jwk("new", true)]));
        assert!(is_valid(&settled(verifier.connection(&new.sign("{}", Some("new")), NOW)).await));
        assert!(is_valid(&now(verifier.connection(&old.sign("{}", Some("old")), NOW))));
        server.answer(set(&[new.jwk("new", true)]));
        let gone = Verdict::Invalid(Reason::UnknownKey { id: Some("old".to_owned()) });
        while is_valid(&settled(verifier.connection(&old.sign("{}", Some("old")), NOW)).await) {
            pause().await;
        }
        assert_eq!(settled(verifier.connection(&old.sign("{}", Some("old")), NOW)).await, gone);
    });
}

#[test]
fn many_tokens_that_wait_are_one_fetch() {
    let pair = Pair::new(Algorithm::EdDsa);
    let server = KeyServer::start(set(&[pair.jwk("a", true)]));
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    let token = pair.sign("{}", Some("a"));
    let waiting: Vec<_> = (0..200).map(|_| later(verifier.connection(&token, NOW))).collect();
    with_run(&verifier, async |_| {
        for pending in waiting {
            assert!(is_valid(&pending.wait().await));
        }
        assert_eq!(server.asked(), 1);
    });
}

#[test]
fn made_up_key_ids_do_not_become_load_on_the_server() {
    let pair = Pair::new(Algorithm::EdDsa);
    let server = KeyServer::start(set(&[pair.jwk("a", true)]));
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    with_run(&verifier, async |_| {
        assert!(is_valid(&settled(verifier.connection(&pair.sign("{}", Some("a")), NOW)).await));
        let (asked, began) = (server.asked(), Instant::now());
        for round in 0..2 {
            let pending: Vec<_> = (0..50)
                .map(|index| later(verifier.connection(&pair.sign("{}", Some(&format!("{round}-{index}"))), NOW)))
                .collect();
            for one in pending {
                assert!(matches!(one.wait().await, Verdict::Invalid(Reason::UnknownKey { .. })));
            }
        }
        // One per second, which is the pace of this configuration; the first may have been under way.
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        assert!(server.asked() - asked <= seconds + 2, "{} in {seconds}s", server.asked() - asked);
    });
}

#[test]
fn while_the_server_is_gone_keys_from_before_are_used_and_others_are_refused_for_the_moment() {
    let (pair, other) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let server = KeyServer::start(set(&[pair.jwk("a", true)]));
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    with_run(&verifier, async |counters| {
        let (known, unknown) = (pair.sign("{}", Some("a")), other.sign("{}", Some("b")));
        assert!(is_valid(&settled(verifier.connection(&known, NOW)).await));
        server.answer(Answer::Close);
        assert_unreachable(settled(verifier.connection(&unknown, NOW)).await, "tokens.jwks_url: ");
        let failures = || counters.auth_failures[Refusal::TokenKeysUnreachable.index()].get();
        while failures() == 0 {
            pause().await;
        }
        assert!(is_valid(&now(verifier.connection(&known, NOW))));
        // It was asked a moment ago: nobody waits to hear the same.
        assert_unreachable(now(verifier.connection(&unknown, NOW)), "tokens.jwks_url: ");
        server.answer(set(&[pair.jwk("a", true), other.jwk("b", true)]));
        while !is_valid(&settled(verifier.connection(&unknown, NOW)).await) {
            pause().await;
        }
        assert!(is_valid(&now(verifier.connection(&known, NOW))));
    });
}

#[test]
fn a_server_that_was_never_there_refuses_for_the_moment_and_own_keys_do_not_wait_for_it() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (own, other) = (Pair::new(Algorithm::Hs256), Pair::new(Algorithm::Hs256));
    let verifier = fetching(&format!("http://{closed}/"), Keys::new([own.key(Some("own"))]), Fetcher::TIMEOUT);
    with_run(&verifier, async |_| {
        for id in [Some("own"), None] {
            assert!(is_valid(&now(verifier.connection(&own.sign("{}", id), NOW))));
        }
        assert_eq!(
            now(verifier.connection(&other.sign("{}", Some("own")), NOW)),
            Verdict::Invalid(Reason::BadSignature)
        );
        assert_unreachable(settled(verifier.connection(&other.sign("{}", Some("x")), NOW)).await, "refused");
    });
}

#[test]
fn answers_that_are_no_key_set_change_nothing_and_are_told_apart() {
    let pair = Pair::new(Algorithm::EdDsa);
    let token = pair.sign("{}", Some("a"));
    for (answer, said) in [
        (Answer::Head("HTTP/1.1 500 Oops\r\ncontent-length: 0"), "500"),
        (Answer::Head("HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0"), "302"),
        (Answer::Head("nonsense"), "parse"),
        (Answer::Body("<html>".to_owned()), "not a key set"),
        (Answer::Body(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_owned()), "none is a public key"),
        (Answer::Body(" ".repeat(Fetcher::LIMIT_BYTES + 1)), "more than 524288 bytes"),
        (Answer::Endless, "more than 524288 bytes"),
        (Answer::Silence, "no whole answer within 200ms"),
        (Answer::Close, "connection"),
    ] {
        let server = KeyServer::start(answer);
        let verifier = fetching(&server.url(), Keys::default(), Duration::from_millis(200));
        with_run(&verifier, async |_| {
            assert_unreachable(settled(verifier.connection(&token, NOW)).await, said);
            // Whatever it still had to say, nobody listens any more.
            while server.ended() == 0 {
                pause().await;
            }
        });
    }
}

#[test]
fn a_worker_is_not_held_up_by_a_server_that_says_nothing() {
    let pair = Pair::new(Algorithm::EdDsa);
    let server = KeyServer::start(Answer::Silence);
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    with_run(&verifier, async |_| {
        while server.asked() == 0 {
            pause().await;
        }
        let began = Instant::now();
        let pending = later(verifier.connection(&pair.sign("{}", Some("a")), NOW));
        assert!(began.elapsed() < Duration::from_secs(1));
        drop(pending);
    });
}

#[test]
fn no_more_tokens_wait_than_may_and_one_that_gives_up_makes_room() {
    let verifier = fetching("http://127.0.0.1:1/", Keys::default(), Fetcher::TIMEOUT);
    let token = Pair::new(Algorithm::Hs256).sign("{}", Some("a"));
    let mut waiting: Vec<_> = (0..Remote::MOST_WAITING).map(|_| later(verifier.connection(&token, NOW))).collect();
    assert_eq!(now(verifier.connection(&token, NOW)), Verdict::Invalid(Reason::TooManyWait));
    waiting.pop();
    drop(later(verifier.connection(&token, NOW)));
    let shown = format!("{:?}", waiting[0]);
    assert!(!shown.contains(&token), "{shown}");
}

#[test]
fn when_the_hub_stops_nobody_waits_for_keys_any_more() {
    let server = KeyServer::start(Answer::Silence);
    let verifier = fetching(&server.url(), Keys::default(), Fetcher::TIMEOUT);
    let token = Pair::new(Algorithm::Hs256).sign("{}", Some("a"));
    let pending = later(verifier.connection(&token, NOW));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let counters = Counters::new(1);
        tokio::select! {
            () = verifier.run(&counters) => {}
            () = async { while server.asked() == 0 { pause().await } } => {}
        }
        assert_unreachable(pending.wait().await, "stopping");
        assert_unreachable(now(verifier.connection(&token, NOW)), "stopping");
    });
}
