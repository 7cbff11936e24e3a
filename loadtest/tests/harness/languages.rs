//! Other protocols are spoken, and their broken promises noticed, as well.

use serde_json::Value;

use crate::runs;
use crate::stub::{self, Fault};
use crate::translator::{self, Language};

fn target(language: Language) -> String {
    let port = translator::start(language);
    match language {
        Language::Pusher | Language::PusherForbidden => {
            format!("peer=pusher+ws://127.0.0.1:{port}/app/thekey?id=7&secret=thesecret")
        }
        _ => format!("peer=centrifuge+ws://127.0.0.1:{port}/connection/websocket"),
    }
}

fn run(target: &str, more: &[&str]) -> (bool, Value) {
    let arguments = ["run", "fanout", target, "--subscribers", "6", "--topics", "3", "--window", "4"];
    runs::report(&[&arguments[..], &["--duration", "0.3", "--warmup", "0", "--stragglers", "0.3"], more].concat())
}

fn assert_clean(target: &str, more: &[&str], dialect: &str) {
    let (content, report) = run(target, more);
    assert!(content && report["verdict"]["in_order"].as_u64().unwrap() > 100, "{report}");
    assert_eq!((report["dialect"].as_str(), report["name"].as_str()), (Some(dialect), Some("peer")));
}

#[test]
fn a_centrifuge_server_is_loaded_its_pings_answered_and_every_delivery_verified() {
    assert_clean(&target(Language::Centrifuge), &[], "centrifuge");
    assert_clean(&target(Language::Centrifuge), &["--topics-each", "3"], "centrifuge");
    assert_clean(&target(Language::CentrifugeWithOffsets), &["--topics-each", "2"], "centrifuge");
}

#[test]
fn a_pusher_server_is_published_to_over_signed_http() {
    assert_clean(&target(Language::Pusher), &[], "pusher");
    assert_clean(&target(Language::Pusher), &["--topics-each", "2"], "pusher");
}

#[test]
fn any_hub_with_a_topic_per_url_is_loaded_by_its_template() {
    let port = stub::start(Fault::None);
    assert_clean(&format!("peer=ws://127.0.0.1:{port}/any/{{topic}}/x"), &[], "template");
    let output = runs::output(&["run", "mixed", &format!("ws://127.0.0.1:{port}/any/{{topic}}")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("one topic each"), "{said}");
}

#[test]
fn a_refused_subscription_ends_the_run_with_the_servers_words() {
    let output = runs::output(&["run", "fanout", &target(Language::CentrifugeForbidden), "--subscribers", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("permission denied"), "{said}");
}

#[test]
fn a_refused_publication_ends_the_run_with_the_servers_words() {
    let output = runs::output(&["run", "fanout", &target(Language::PusherForbidden), "--subscribers", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("401 Unauthorized: bad token"), "{said}");
}

#[test]
fn the_name_of_another_channel_is_wrong_and_what_was_meant_is_lost() {
    let (content, report) = run(&target(Language::CentrifugeMisnaming), &[]);
    let count = |name: &str| report["verdict"][name].as_u64().unwrap();
    assert!(!content && count("wrong") > 0 && count("lost") > 0 && count("in_order") > 0, "{report}");
}

#[test]
fn a_message_that_is_not_json_ends_its_connection() {
    let (content, report) = run(&target(Language::CentrifugeCut), &[]);
    assert!(!content && report["verdict"]["closed"].as_u64().unwrap() > 0, "{report}");
    assert!(report["endings"][0].as_str().unwrap().contains("not understood"), "{report}");
}
