//! The backend is asked and told over HTTP, whatever it does: every call ends in an answer or a reason, in time and within
//! its limits, and every event is confirmed or counted as lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::hooks::{
    Answer, Ask, Caller, ConnectRequest, Ended, Event, Failure, Gone, Hook, Passed, Payload, PublishRequest,
    RefreshRequest, Refused, RpcRequest, SubRefreshRequest, SubscribeRequest,
};
use hyper::HeaderMap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::authority::Authority;
use crate::client::{Backend, Reply};
use crate::deadline::{PATIENCE, eventually};
use crate::hub::TestHub;

const CALLER: Caller<'_> = Caller { client: "2f5a", transport: "websocket", protocol: "json" };

/// A hub whose calls have time, so that a busy machine fails none.
fn hub(hooks: &str) -> TestHub {
    let timeout = if hooks.contains("timeout") { "" } else { "timeout = \"20s\"\n" };
    TestHub::start(1, &format!("[hooks]\n{timeout}{hooks}"))
}

fn rpc(method: &str) -> RpcRequest<'_> {
    RpcRequest { caller: CALLER, user: "u1", method, data: None, meta: None }
}

/// Asks, and does not wait.
#[track_caller]
fn asking<A: Ask>(hub: &TestHub, ask: &A, passed: &Passed) -> Receiver<Answer<A::Result>> {
    let (told, answer) = mpsc::channel();
    let asked = hub.server().surface().hooks.call(ask, passed, move |answer| told.send(answer).unwrap());
    asked.unwrap();
    answer
}

#[track_caller]
fn ask<A: Ask>(hub: &TestHub, ask: &A) -> Answer<A::Result> {
    asking(hub, ask, &Passed::default()).recv_timeout(PATIENCE).unwrap()
}

fn failures(hub: &TestHub, hook: Hook, code: &str) -> u64 {
    let code = Failure::CODES.iter().position(|one| *one == code).unwrap();
    hub.server().surface().hooks.counters().failures(hook, code)
}

fn tell(hub: &TestHub, client: &str, what: Gone<'_>) {
    let (transport, protocol) = (CALLER.transport, CALLER.protocol);
    let event = Event { what, client, user: "u1", transport, protocol, time_ms: 1, code: 3000, reason: "gone" };
    hub.server().surface().hooks.tell(event);
}

/// Holds threads of a backend until it is opened.
#[derive(Debug, Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn wait(&self) {
        let open = self.0.lock().unwrap();
        let _open = self.1.wait_while(open, |open| !*open).unwrap();
    }
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn each_hook_is_asked_at_its_url_and_its_answer_comes_back() {
    let backend = Backend::start(|asked| {
        Reply::ok(match asked.path.as_str() {
            "/connect" => r#"{"result":{"user":"u1","channels":["a"],"meta":{"m":1}}}"#,
            "/refresh" => r#"{"result":{"expire_at":7}}"#,
            "/subscribe" => r#"{"result":{"info":{"ci":1}}}"#,
            "/publish" => r#"{"result":{"data":{"better":1},"skip_history":true}}"#,
            "/sub_refresh" => r#"{"result":{"expired":true}}"#,
            "/rpc" => r#"{"error":{"code":404,"message":"no such method","temporary":false}}"#,
            other => panic!("{other}"),
        })
    });
    let names = ["connect", "refresh", "subscribe", "publish", "sub_refresh", "rpc"];
    let urls: String = names.map(|name| format!("{name} = \"{}\"\n", backend.url(&format!("/{name}")))).concat();
    let hub = hub(&urls);
    let data = || Some(Payload::Json(Bytes::from_static(br#"{"in":1}"#)));
    let (caller, user, channel, token, meta) = (CALLER, "u1", "px:a", "", None);

    let connect = ConnectRequest { caller, name: "js", version: "1", data: data(), channels: Vec::new() };
    let Answer::Result(result) = ask(&hub, &connect) else { panic!() };
    assert_eq!((result.user.as_str(), result.meta), ("u1", Some(Bytes::from_static(br#"{"m":1}"#))));
    let Answer::Result(result) = ask(&hub, &RefreshRequest { caller, user, meta: None }) else { panic!() };
    assert_eq!(result.expire_at, Some(7));
    let subscribe = SubscribeRequest { caller, user, channel, token, data: data(), meta: meta.clone() };
    let Answer::Result(result) = ask(&hub, &subscribe) else { panic!() };
    assert_eq!(result.info.unwrap().bytes().as_ref(), br#"{"ci":1}"#);
    let publish = PublishRequest { caller, user, channel, data: data(), meta: meta.clone() };
    let Answer::Result(result) = ask(&hub, &publish) else { panic!() };
    assert!(result.skip_history && result.data.unwrap().bytes().as_ref() == br#"{"better":1}"#);
    let Answer::Result(result) = ask(&hub, &SubRefreshRequest { caller, user, channel, meta }) else { panic!() };
    assert!(result.expired);
    let refused = Refused { code: 404, message: "no such method".to_owned(), temporary: false };
    assert_eq!(ask(&hub, &rpc("m")), Answer::Error(refused));

    let asked = backend.asked();
    assert_eq!(asked.iter().map(|one| &one.path[1..]).collect::<Vec<_>>(), names);
    assert!(asked.iter().all(|one| one.header("content-type") == Some("application/json")));
    // As recorded from Centrifugo.
    let recorded = r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"u1","channel":"px:a","data":{"in":1}}"#;
    assert_eq!(std::str::from_utf8(&asked[2].body).unwrap(), recorded);
}

#[test]
fn calls_carry_the_headers_on_the_list_and_a_signature_of_the_body() {
    let backend = Backend::start(|_| Reply::ok("{}"));
    let hub = hub(&format!(
        "rpc = \"{}\"\nheaders = [\"cookie\", \"user-agent\"]\nemulated_headers = [\"authorization\"]\nsecret = \"s3cret\"",
        backend.url("/")
    ));
    let head: HeaderMap = [("cookie", "sid=1"), ("user-agent", "browser"), ("x-admin", "yes")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let passed = hub.server().surface().hooks.pass(&head, [("Authorization", "Bearer x"), ("Cookie", "sid=2")]);
    asking(&hub, &rpc("m"), &passed).recv_timeout(PATIENCE).unwrap();
    let asked = &backend.asked()[0];
    assert_eq!(asked.header("cookie"), Some("sid=1"));
    assert_eq!(asked.header("user-agent"), Some("browser"));
    assert_eq!(asked.header("authorization"), Some("Bearer x"));
    assert_eq!(asked.header("x-admin"), None);
    let signature = asked.header("x-fanfare-signature").unwrap();
    let (time, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let signed = [time.as_bytes(), b".", &asked.body].concat();
    assert_eq!(hex, hmac_sha256(b"s3cret", &signed));
}

/// RFC 2104, for keys of up to 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::digest([&pad(0x36), message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn calls_one_after_the_other_use_one_connection() {
    let backend = Backend::start(|_| Reply::ok("{}"));
    let hub = hub(&format!("rpc = \"{}\"", backend.url("/")));
    for _ in 0..20 {
        assert!(matches!(ask(&hub, &rpc("m")), Answer::Result(_)));
    }
    assert_eq!((backend.asked().len(), backend.connections()), (20, 1));
}

#[test]
fn whatever_is_no_answer_is_a_failure_with_its_reason_and_the_next_call_is_none_the_worse() {
    let never = Arc::new(Gate::default());
    let hung = Arc::clone(&never);
    let backend = Backend::start(move |asked| match asked.json()["method"].as_str().unwrap() {
        "hang" => {
            hung.wait();
            Reply::ok("{}")
        }
        "error" => Reply::Status(500, "x".repeat(10_000)),
        "moved" => Reply::Status(302, String::new()),
        "empty" => Reply::Status(204, String::new()),
        "garbage" => Reply::ok("<html>maintenance</html>"),
        "huge" => Reply::Ok(format!("{{\"result\":{{\"data\":\"{}\"}}}}", "x".repeat(5_000))),
        "largest" => Reply::Ok(format!("{{\"result\":{{\"data\":\"{}\"}}}}", "x".repeat(4096 - 24))),
        "cut" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
        "silent" => Reply::Raw(Vec::new()),
        "not http" => Reply::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        "endless head" => Reply::Raw([b"HTTP/1.1 200 OK\r\nX: ", "x".repeat(1 << 20).as_bytes()].concat()),
        "disconnect" => Reply::ok(r#"{"disconnect":{"code":4501,"reason":"no"}}"#),
        _ => Reply::ok("{}"),
    });
    let hub = hub(&format!("timeout = \"3s\"\nanswer = \"4KiB\"\nrpc = \"{}\"", backend.url("/")));
    for (method, code) in [
        ("error", "status"),
        ("moved", "status"),
        ("empty", "status"),
        ("garbage", "garbage"),
        ("huge", "too_large"),
        ("cut", "broken"),
        ("silent", "broken"),
        ("not http", "broken"),
        ("endless head", "broken"),
        ("hang", "timeout"),
    ] {
        let before = failures(&hub, Hook::Rpc, code);
        match ask(&hub, &rpc(method)) {
            Answer::Failed(failure) => assert_eq!(failure.code(), code, "{method}: {failure}"),
            other => panic!("{method}: {other:?}"),
        }
        assert_eq!(failures(&hub, Hook::Rpc, code), before + 1, "{method}");
        // Two, so that fewer than half fail, and the URL is not left alone.
        for _ in 0..2 {
            assert!(matches!(ask(&hub, &rpc("fine")), Answer::Result(_)), "after {method}");
        }
    }
    assert!(matches!(ask(&hub, &rpc("largest")), Answer::Result(_)), "what just fits is an answer");
    assert_eq!(ask(&hub, &rpc("disconnect")), Answer::Disconnect(Ended { code: 4501, reason: "no".to_owned() }));
    never.open();
}

#[test]
fn a_backend_that_is_not_there_is_unreachable() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hub = hub(&format!("rpc = \"http://{address}/\""));
    match ask(&hub, &rpc("m")) {
        Answer::Failed(Failure::Unreachable(why)) => assert!(why.contains("refused"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_more_calls_are_under_way_than_may_be_and_the_others_have_their_turn() {
    let gate = Arc::new(Gate::default());
    let (held, now, most) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let backend = Backend::start(move |_| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        held.wait();
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::ok("{}")
    });
    let hub = hub(&format!("concurrency = 2\nrpc = \"{}\"", backend.url("/")));
    let answers: Vec<_> = (0..7).map(|_| asking(&hub, &rpc("m"), &Passed::default())).collect();
    eventually("two are under way, and five wait", || {
        let census = hub.server().surface().hooks.census();
        (census.under_way, census.waiting) == (2, 5) && backend.asked().len() == 2
    });
    gate.open();
    for answer in answers {
        assert!(matches!(answer.recv_timeout(PATIENCE).unwrap(), Answer::Result(_)));
    }
    assert_eq!((most.load(Ordering::SeqCst), backend.connections()), (2, 2));
}

#[test]
fn what_finds_no_room_to_wait_is_told_at_once() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        held.wait();
        Reply::ok("{}")
    });
    let hub = hub(&format!("concurrency = 1\nqueue = \"64KiB\"\nrpc = \"{}\"", backend.url("/")));
    let hooks = &hub.server().surface().hooks;
    let mut answers = Vec::new();
    let refused = loop {
        let (told, answer) = mpsc::channel();
        match hooks.call(&rpc("m"), &Passed::default(), move |answer| told.send(answer).unwrap()) {
            Ok(()) => answers.push(answer),
            Err(failure) => break failure,
        }
    };
    assert_eq!((&refused, refused.refused().temporary), (&Failure::Busy, true));
    assert!((80..=128).contains(&answers.len()), "64 KiB hold at most 128 calls, not {}", answers.len());
    gate.open();
    for answer in answers {
        assert!(matches!(answer.recv_timeout(PATIENCE).unwrap(), Answer::Result(_)), "what was taken in is answered");
    }
}

#[test]
fn a_backend_with_a_certificate_of_a_private_authority_is_called_over_tls_and_another_is_not() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let served = |authority: &Authority, name: &str| {
        let signed = authority.sign("backend", &[name]);
        let chain = vec![CertificateDer::from_pem_file(&signed.certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&signed.key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Backend::start_tls(config, |_| Reply::ok("{}"))
    };
    for (authority, name, is_answered) in
        [(&ours, "localhost", true), (&theirs, "localhost", false), (&ours, "other", false)]
    {
        let backend = served(authority, name);
        let hub = hub(&format!("rpc = \"{}\"\nca_file = \"{}\"", backend.url("/"), ours.path("ca.pem").display()));
        match ask(&hub, &rpc("m")) {
            Answer::Result(_) => assert!(is_answered, "{name}"),
            Answer::Failed(Failure::Unreachable(why)) => assert!(!is_answered && why.contains("certificate"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(backend.asked().len(), usize::from(is_answered));
    }
}

#[test]
fn a_url_that_fails_is_left_alone_and_found_again_and_others_do_not_notice() {
    let ill = Arc::new(Mutex::new(true));
    let is_ill = Arc::clone(&ill);
    let backend = Backend::start(move |asked| {
        let status = if asked.path == "/rpc" && *is_ill.lock().unwrap() { 503 } else { 200 };
        Reply::Status(status, "{}".to_owned())
    });
    let hub = hub(&format!("rpc = \"{}\"\nsubscribe = \"{}\"", backend.url("/rpc"), backend.url("/subscribe")));
    let hooks = &hub.server().surface().hooks;
    for _ in 0..20 {
        assert_eq!(ask(&hub, &rpc("m")), Answer::Failed(Failure::Status(503)));
    }
    let refused = hooks.call(&rpc("m"), &Passed::default(), |_| {}).unwrap_err();
    assert_eq!((&refused, refused.refused().code, refused.refused().temporary), (&Failure::Open, 100, true));
    assert_eq!(backend.asked().len(), 20, "it is left alone");
    assert_eq!(hooks.census().breakers, [(Hook::Subscribe, 0), (Hook::Rpc, 2)]);
    assert!(hub.http().get("/metrics").text().contains("fanfare_hook_breaker_state{hook=\"rpc\"} 2\n"));
    let (caller, user, channel, token) = (CALLER, "u", "c", "");
    let subscribe = SubscribeRequest { caller, user, channel, token, data: None, meta: None };
    assert!(matches!(ask(&hub, &subscribe), Answer::Result(_)));
    *ill.lock().unwrap() = false;
    eventually("it is found again", || {
        let (told, answer) = mpsc::channel();
        let asked = hooks.call(&rpc("m"), &Passed::default(), move |answer| told.send(answer).unwrap());
        asked.is_ok() && matches!(answer.recv_timeout(PATIENCE), Ok(Answer::Result(_)))
    });
    assert_eq!(hooks.census().breakers, [(Hook::Subscribe, 0), (Hook::Rpc, 0)]);
    assert!(failures(&hub, Hook::Rpc, "breaker_open") >= 1);
}

#[test]
fn clients_that_are_refused_cannot_have_a_hook_taken_from_everyone() {
    let backend = Backend::start(|_| Reply::Status(403, String::new()));
    let hub = hub(&format!("rpc = \"{}\"", backend.url("/")));
    for _ in 0..30 {
        assert_eq!(ask(&hub, &rpc("m")), Answer::Failed(Failure::Status(403)));
    }
}

#[test]
fn equal_connects_under_way_at_the_same_time_are_one_if_that_is_configured() {
    for (coalesce, calls) in [(true, 2), (false, 11)] {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        let backend = Backend::start(move |_| {
            held.wait();
            Reply::ok(r#"{"result":{"user":"u1"}}"#)
        });
        let url = backend.url("/");
        let hub = hub(&format!("coalesce = {coalesce}\nheaders = [\"cookie\"]\nconnect = \"{url}\""));
        let cookie = |value: &str| {
            let head: HeaderMap = [("cookie".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            hub.server().surface().hooks.pass(&head, [])
        };
        let connect = |client: &str, passed: &Passed| {
            let caller = Caller { client, ..CALLER };
            let connect = ConnectRequest { caller, name: "js", version: "1", data: None, channels: Vec::new() };
            asking(&hub, &connect, passed)
        };
        let mut answers: Vec<_> = (0..10).map(|n| connect(&format!("c{n}"), &cookie("sid=1"))).collect();
        answers.push(connect("other", &cookie("sid=2")));
        eventually("all that are made are under way", || backend.asked().len() == calls);
        gate.open();
        for answer in answers {
            let Answer::Result(result) = answer.recv_timeout(PATIENCE).unwrap() else { panic!() };
            assert_eq!(result.user, "u1");
        }
        assert_eq!(backend.asked().len(), calls);
        assert_eq!(hub.server().surface().hooks.counters().coalesced(Hook::Connect), 11 - calls as u64);
    }
}

#[test]
fn events_are_confirmed_in_order_across_an_outage_each_at_least_once() {
    let outages = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&outages);
    let backend = Backend::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Raw(Vec::new()),
        1 | 3 => Reply::Status(500, String::new()),
        // It has taken them, but the hub never learns.
        2 => Reply::Raw(b"HTTP/1.1 2".to_vec()),
        _ => Reply::Status(204, String::new()),
    });
    let hub = hub(&format!("unsubscribe = \"{0}\"\ndisconnect = \"{0}\"", backend.url("/events")));
    for n in 0..300 {
        tell(&hub, &format!("c{n}"), Gone::Subscription("chat"));
        tell(&hub, &format!("c{n}"), Gone::Connection);
    }
    eventually("all are confirmed", || hub.server().surface().hooks.census().events == 0);
    let batches: Vec<_> = backend.asked().iter().map(|asked| asked.json()).collect();
    // The first was sent until it was confirmed, unchanged.
    assert!(batches.len() > 5 && batches[..5].iter().all(|batch| *batch == batches[0]), "{}", batches.len());
    let events: Vec<_> = batches[4..].iter().flat_map(|batch| batch["events"].as_array().unwrap()).collect();
    assert_eq!(events.len(), 600);
    for (n, pair) in events.chunks(2).enumerate() {
        let client = format!("c{n}");
        assert_eq!((pair[0]["type"].as_str(), pair[0]["client"].as_str()), (Some("unsubscribe"), Some(&*client)));
        assert_eq!((pair[1]["type"].as_str(), pair[1]["client"].as_str()), (Some("disconnect"), Some(&*client)));
    }
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 600);
    assert_eq!(hub.server().surface().hooks.counters().lost(Hook::Disconnect), 0);
}

#[test]
fn events_that_find_no_room_are_lost_and_counted_and_those_before_them_arrive() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        held.wait();
        Reply::ok("")
    });
    let hub = hub(&format!("queue = \"64KiB\"\ndisconnect = \"{}\"", backend.url("/")));
    for n in 0..1000 {
        tell(&hub, &format!("c{n}"), Gone::Connection);
    }
    let lost = hub.server().surface().hooks.counters().lost(Hook::Disconnect);
    assert!((400..1000).contains(&lost), "{lost}");
    gate.open();
    eventually("the others are confirmed", || hub.server().surface().hooks.census().events == 0);
    let batches: Vec<_> = backend.asked().iter().map(|asked| asked.json()).collect();
    let events: Vec<_> = batches.iter().flat_map(|batch| batch["events"].as_array().unwrap()).collect();
    assert_eq!(events.len() as u64 + lost, 1000);
    assert!(events.iter().enumerate().all(|(n, event)| event["client"] == format!("c{n}")), "without a gap");
}

#[test]
fn a_drain_delivers_the_events_that_are_left() {
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    let backend = Backend::start(move |_| {
        let status = if count.fetch_add(1, Ordering::SeqCst) < 2 { 503 } else { 200 };
        Reply::Status(status, String::new())
    });
    let hub = hub(&format!("disconnect = \"{}\"", backend.url("/")));
    tell(&hub, "c", Gone::Connection);
    let counters = Arc::clone(hub.server().surface().hooks.counters());
    hub.drain_and_join(PATIENCE).1.unwrap();
    assert_eq!((backend.asked().len(), counters.lost(Hook::Disconnect)), (3, 0));
}

#[test]
fn a_drain_does_not_wait_for_ever_and_says_what_is_lost() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        held.wait();
        Reply::ok("{}")
    });
    let text = format!("drain = \"10ms\"\n[hooks]\ndisconnect = \"{0}\"\nrpc = \"{0}\"", backend.url("/"));
    let hub = TestHub::start(1, &text);
    tell(&hub, "a", Gone::Connection);
    tell(&hub, "b", Gone::Connection);
    let surface = Arc::clone(hub.server().surface());
    let asked = Instant::now();
    hub.drain_and_join(PATIENCE).1.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(900), "it has a second, at least");
    assert_eq!(surface.hooks.counters().lost(Hook::Disconnect), 2);
    assert_eq!(surface.hooks.call(&rpc("m"), &Passed::default(), |_| {}), Err(Failure::Ending));
    // One that comes after all is not silently forgotten either.
    let (transport, protocol) = (CALLER.transport, CALLER.protocol);
    let what = Gone::Connection;
    surface.hooks.tell(Event { what, client: "c", user: "", transport, protocol, time_ms: 1, code: 3000, reason: "" });
    assert_eq!(surface.hooks.counters().lost(Hook::Disconnect), 3);
    gate.open();
}

#[test]
fn who_waits_for_an_answer_when_the_hub_ends_is_told_that_there_is_none() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        held.wait();
        Reply::ok("{}")
    });
    let hub = hub(&format!("rpc = \"{}\"", backend.url("/")));
    let answer = asking(&hub, &rpc("m"), &Passed::default());
    eventually("it is under way", || backend.asked().len() == 1);
    hub.drain_and_join(PATIENCE).1.unwrap();
    assert_eq!(answer.recv_timeout(PATIENCE).unwrap(), Answer::Failed(Failure::Ending));
    gate.open();
}
