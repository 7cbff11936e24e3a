//! Every other path: endpoints, pages, the try-it page, metrics, health.

use std::fs;
use std::time::Duration;

use hyper::Request;

use crate::admin::health::Health;
use crate::api::testing::{Answered, Rig};
use crate::config::{Config, Page};
use crate::hub::{Letter, WorkerId};

#[tokio::test]
async fn an_unknown_path_is_404_and_says_what_was_meant_perhaps() {
    let rig = Rig::new("");
    for (path, hint) in [("/nothing", "/nothing"), ("/topics", "/topics/NAME"), ("/api/nosuch", "publish, broadcast")] {
        let answer = rig.get(path).await;
        assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown-path"));
        assert!(answer.json()["detail"].as_str().unwrap().contains(hint), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn a_plain_request_to_an_endpoint_is_told_to_upgrade() {
    let rig = Rig::new("[[endpoints]]\npath = \"/socket/\"\nreply = \"{message}\"");
    let get = rig.get("/socket/").await;
    assert_eq!((get.status(), get.code().as_str()), (426, "upgrade-required"));
    assert_eq!(get.header("upgrade"), "websocket");
    assert_eq!(get.header("connection"), "upgrade");
    assert_eq!(get.header("sec-websocket-version"), "13");
    assert!(get.json()["detail"].as_str().unwrap().contains("new WebSocket"));
    let post = rig.post("/socket/", "x").await;
    assert_eq!((post.status(), post.header("allow")), (405, "GET"));
}

#[tokio::test]
async fn a_page_may_share_its_path_with_an_endpoint() {
    let rig = Rig::new("[[endpoints]]\npath = \"/ws\"\nreply = \"x\"\n[[pages]]\npath = \"/ws\"\ntext = \"page\"");
    assert_eq!(rig.get("/ws").await.body, "page");
}

#[tokio::test]
async fn a_text_page_is_served_with_a_tag_and_not_sent_twice() {
    let rig = Rig::new("[[pages]]\npath = \"/\"\ntext = \"WebSocket example\"");
    let answer = rig.get("/").await;
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"WebSocket example"[..]));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let again = rig.call(Request::get("/").header("if-none-match", answer.header("etag")), "").await;
    assert_eq!((again.status(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), answer.header("etag"));
    let head = rig.call(Request::head("/"), "").await;
    assert_eq!((head.status(), head.body.len(), head.header("content-length")), (200, 0, "17"));
    let post = rig.post("/", "x").await;
    assert_eq!((post.status(), post.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn a_directory_serves_its_files_and_nothing_else() {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir_all(site.path().join("public/deep")).unwrap();
    fs::write(site.path().join("secret"), "secret").unwrap();
    fs::write(site.path().join("public/a.css"), "a{}").unwrap();
    fs::write(site.path().join("public/app.js"), "1").unwrap();
    fs::write(site.path().join("public/picture.png"), "png").unwrap();
    fs::write(site.path().join("public/.env"), "secret").unwrap();
    fs::write(site.path().join("public/deep/index.html"), "<p>").unwrap();
    let page = Page { path: "/static".to_owned(), directory: Some(site.path().join("public")), ..Page::default() };
    let rig = Rig::of(Config { pages: vec![page], ..Config::default() });
    for (path, body, content_type) in [
        ("/static/a.css", "a{}", "text/css; charset=utf-8"),
        ("/static/app.js", "1", "text/javascript; charset=utf-8"),
        ("/static/picture.png", "png", "image/png"),
        ("/static/deep/", "<p>", "text/html; charset=utf-8"),
        ("/static/deep/index.html?v=1", "<p>", "text/html; charset=utf-8"),
    ] {
        let answer = rig.get(path).await;
        assert_eq!(
            (answer.status(), &answer.body[..], answer.header("content-type")),
            (200, body.as_bytes(), content_type)
        );
    }
    for path in [
        "/static/",
        "/static/b.css",
        "/static/../secret",
        "/static/..%2fsecret",
        "/static/%2e%2e/secret",
        "/static/.env",
        "/static//secret",
        "/static/a.css/",
        "/static/a.css%00",
        "/static/..%5csecret",
    ] {
        let answer = rig.get(path).await;
        assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown-path"), "{path}");
    }
    let redirect = rig.get("/static/deep?v=1").await;
    assert_eq!((redirect.status(), redirect.header("location")), (308, "./deep/?v=1"));
    let redirect = rig.get("/static").await;
    assert_eq!((redirect.status(), redirect.header("location")), (308, "./static/"));
    let tag = rig.get("/static/a.css").await.header("etag").to_owned();
    let known = |tag: &str| Request::get("/static/a.css").header("if-none-match", tag);
    assert_eq!(rig.call(known(&tag), "").await.status(), 304);
    fs::write(site.path().join("public/a.css"), "b{}").unwrap();
    assert_eq!(rig.call(known(&tag), "").await.status(), 200);
}

#[tokio::test]
async fn a_single_file_is_served_under_its_own_path_and_404_once_it_is_gone() {
    let site = tempfile::tempdir().unwrap();
    let file = site.path().join("chat.html");
    fs::write(&file, "<p>chat").unwrap();
    let page = Page { path: "/".to_owned(), file: Some(file.clone()), ..Page::default() };
    let rig = Rig::of(Config { pages: vec![page], ..Config::default() });
    let answer = rig.get("/").await;
    assert_eq!((&answer.body[..], answer.header("content-type")), (&b"<p>chat"[..], "text/html; charset=utf-8"));
    fs::remove_file(&file).unwrap();
    assert_eq!(rig.get("/").await.status(), 404);
}

#[test]
fn a_page_whose_file_is_missing_is_told_at_start() {
    let missing = Page { path: "/".to_owned(), file: Some("no/such/file".into()), ..Page::default() };
    let error = crate::pages::Pages::new(&Config { pages: vec![missing], ..Config::default() }).unwrap_err();
    assert_eq!(error.to_string(), "pages.file no/such/file of \"/\": cannot be read");
}

#[tokio::test]
async fn the_try_it_page_runs_its_own_scripts_only() {
    let answer = Rig::new("").call(Request::get("/").header("host", "localhost:8000"), "").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("connect-src 'self' ws://localhost:8000 wss://localhost:8000;"), "{policy}");
    assert!(answer.body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn live_is_always_200() {
    let rig = Rig::new("");
    rig.surface.hub.drain();
    assert_eq!(rig.get("/health/live").await.status(), 200);
}

/// Asks for `path` while these workers read their mailboxes.
async fn get_while_working(rig: &Rig, path: &str, workers: &[WorkerId]) -> Answered {
    let mut answer = std::pin::pin!(rig.get(path));
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::task::yield_now() => {
                for &worker in workers {
                    let _ = rig.work(worker);
                }
            }
        }
    }
}

#[tokio::test]
async fn ready_is_200_once_every_worker_has_read_its_canary() {
    let rig = Rig::new("");
    let answer = get_while_working(&rig, "/health/ready", &[WorkerId(0), WorkerId(1)]).await;
    assert_eq!((answer.status(), answer.json()["status"].as_str()), (200, Some("ready")));
}

#[tokio::test]
async fn a_silent_worker_is_named_and_gets_no_second_canary() {
    let mut rig = Rig::new("");
    rig.surface.health = Health::new(Duration::from_millis(20), Duration::ZERO);
    for _ in 0..2 {
        let answer = get_while_working(&rig, "/health/ready", &[WorkerId(0)]).await;
        assert_eq!((answer.status(), answer.code().as_str()), (503, "overloaded"));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("worker 1 "), "{answer:?}");
        assert_eq!(rig.surface.hub.mailbox(WorkerId(1)).depth(), 1);
    }
    assert!(matches!(rig.work(WorkerId(1)), Some(Letter::Canary(_))));
    let answer = get_while_working(&rig, "/health/ready", &[WorkerId(0), WorkerId(1)]).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn checks_that_come_quickly_share_a_finding() {
    let mut rig = Rig::new("");
    rig.surface.health = Health::new(Duration::from_secs(60), Duration::from_secs(60));
    assert_eq!(get_while_working(&rig, "/health/ready", &[WorkerId(0), WorkerId(1)]).await.status(), 200);
    // Nobody reads the mailboxes now, and nobody has to.
    assert_eq!(rig.get("/health/ready").await.status(), 200);
    assert_eq!(rig.surface.hub.mailbox(WorkerId(0)).depth(), 0);
}

#[tokio::test]
async fn ready_is_503_at_once_while_draining() {
    let rig = Rig::new("");
    rig.surface.hub.drain();
    let answer = rig.get("/health/ready").await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "draining"));
    assert_eq!(rig.surface.hub.mailbox(WorkerId(0)).depth(), 0);
}

#[tokio::test]
async fn metrics_are_text_that_prometheus_reads() {
    let rig = Rig::new("");
    let answer = get_while_working(&rig, "/metrics", &[WorkerId(0), WorkerId(1)]).await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.lines().any(|line| line == "fanfare_ready 1"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("process_resident_memory_bytes ")), "{text}");
}
