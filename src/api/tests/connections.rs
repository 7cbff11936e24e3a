//! What is decided about a user becomes an order for each of its connections. The workers are played by the test.

use serde_json::{Value, json};

use super::RULES;
use super::server_api::{call, ok};
use crate::api::testing::Rig;
use crate::hub::{ClientId, Entered, Offset, Whereabouts, WorkerId};
use crate::protocol::centrifuge::{ClaimedEpoch, UnsubscribeCode};
use crate::session::{Expiry, Overrides, Refresher};
use crate::worker::{Order, Prolonged, To};

/// Two connections of ann, on the two workers.
fn rig() -> (Rig, [ClientId; 2]) {
    let rig = Rig::new(RULES);
    let clients = [ClientId::random(), ClientId::random()];
    for (worker, client) in (0..).zip(clients) {
        let one = Whereabouts { client, worker: WorkerId(worker), place: u64::from(worker) + 70 };
        assert_eq!(rig.surface.hub.directory().enter("ann", one, 0), Entered::Yes);
    }
    (rig, clients)
}

fn orders(rig: &Rig, worker: u16) -> Vec<Order> {
    rig.surface.orders.end(WorkerId(worker)).try_iter().collect()
}

fn to(order: &Order) -> To {
    match order {
        Order::Disconnect { to, .. }
        | Order::Unsubscribe { to, .. }
        | Order::Subscribe { to, .. }
        | Order::Refresh { to, .. }
        | Order::Commands { to, .. } => *to,
        Order::Answered { .. } | Order::Published { .. } => panic!("the API answers nobody's question"),
    }
}

#[tokio::test]
async fn an_order_reaches_all_connections_of_a_user_or_the_one_that_is_named() {
    let (rig, [first, second]) = rig();
    for method in ["subscribe", "unsubscribe", "disconnect", "refresh"] {
        let call = |more: Value| {
            let mut body = json!({"user": "ann"});
            if matches!(method, "subscribe" | "unsubscribe") {
                body["channel"] = json!("news");
            }
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body.to_string()
        };
        let reached = || [0, 1].map(|worker| orders(&rig, worker).iter().map(to).collect::<Vec<_>>());
        assert_eq!(ok(&rig, method, call(json!({}))).await, json!({"result": {}}), "{method}");
        let all = [vec![To { client: first, place: 70 }], vec![To { client: second, place: 71 }]];
        assert_eq!(reached(), all, "{method}");
        ok(&rig, method, call(json!({"client": second.to_string(), "session": ""}))).await;
        assert_eq!(reached(), [vec![], all[1].clone()], "{method}");
        for nobody in [json!({"client": ClientId::random().to_string()}), json!({"user": "bob"})] {
            assert_eq!(ok(&rig, method, call(nobody)).await, json!({"result": {}}), "{method}");
            assert_eq!(reached(), [vec![], vec![]], "{method}");
        }
        // Who has no user is looked for everywhere, by its id.
        ok(&rig, method, call(json!({"user": "", "client": first.to_string()}))).await;
        let somewhere = vec![To { client: first, place: To::ANYWHERE }];
        assert_eq!(reached(), [somewhere.clone(), somewhere], "{method}");
        for (wrong, code) in [
            (json!({"user": ""}), 107),
            (json!({"user": null}), 107),
            (json!({"client": "x"}), 107),
            (json!({"nosuch": 1}), 107),
            (json!({"session": "s"}), 108),
        ] {
            assert_eq!(ok(&rig, method, call(wrong.clone())).await["error"]["code"], code, "{method} {wrong}");
            assert_eq!(reached(), [vec![], vec![]], "{method}");
        }
    }
}

#[tokio::test]
async fn a_subscription_is_made_as_it_was_asked_for() {
    let (rig, _) = rig();
    let body = json!({
        "user": "ann", "channel": "kept", "info": {"i": 1}, "b64data": "AP8=", "expire_at": 1_900_000_000,
        "recover_since": {"offset": 3, "epoch": "17"},
        "override": {"presence": {"value": true}, "force_recovery": {"value": false}, "join_leave": {}},
    });
    assert_eq!(ok(&rig, "subscribe", body.to_string()).await, json!({"result": {}}));
    let Some(Order::Subscribe { topic, grant, since, .. }) = orders(&rig, 0).pop() else { panic!("an order") };
    assert_eq!(
        (topic.as_str(), &grant.info[..], grant.data.as_deref()),
        ("kept", &br#"{"i":1}"#[..], Some(&[0, 255][..]))
    );
    assert_eq!(grant.expires, Some(Expiry { at_unix: 1_900_000_000, by: Refresher::Client }));
    assert_eq!(since, Some((ClaimedEpoch::new("17"), Offset(3))));
    let (presence, join_leave) = (Some(true), Some(false));
    let overrides = Overrides { presence, join_leave, force_recovery: Some(false), ..Overrides::default() };
    assert_eq!(grant.overrides, overrides);
    for wrong in [r#"{"user":"ann"}"#, r#"{"user":"ann","channel":"a","info":1,"b64info":"AA=="}"#] {
        assert_eq!(ok(&rig, "subscribe", wrong).await["error"]["code"], 107, "{wrong}");
    }
    let large = json!({"user": "ann", "channel": "a", "data": "x".repeat(65_536)}).to_string();
    assert_eq!(call(&rig, "subscribe", large).await.status(), 413);
}

#[tokio::test]
async fn an_unsubscription_without_a_channel_is_of_all() {
    let (rig, _) = rig();
    for (body, expected) in [(r#"{"user":"ann"}"#, None), (r#"{"user":"ann","channel":"news"}"#, Some("news"))] {
        ok(&rig, "unsubscribe", body).await;
        let Some(Order::Unsubscribe { topic, code, .. }) = orders(&rig, 1).pop() else { panic!("an order") };
        assert_eq!((topic.as_ref().map(|topic| topic.as_str()), code), (expected, UnsubscribeCode::Server));
    }
}

#[tokio::test]
async fn a_disconnect_has_a_code_and_spares_the_white_list() {
    let (rig, [first, second]) = rig();
    ok(&rig, "disconnect", json!({"user": "ann", "whitelist": [second.to_string(), "x"]}).to_string()).await;
    let Some(Order::Disconnect { to, code, reason }) = orders(&rig, 0).pop() else { panic!("an order") };
    assert_eq!((to.client, code, &*reason), (first, 3503, "force disconnect"));
    assert!(orders(&rig, 1).is_empty());
    ok(&rig, "disconnect", r#"{"user":"ann","disconnect":{"code":4321,"reason":"bye"}}"#).await;
    let Some(Order::Disconnect { code, reason, .. }) = orders(&rig, 1).pop() else { panic!("an order") };
    assert_eq!((code, &*reason), (4321, "bye"));
    let long = "x".repeat(124);
    for wrong in [json!({"code": 2999}), json!({"code": 5000}), json!({}), json!({"code": 4000, "reason": long})] {
        let body = json!({"user": "ann", "disconnect": wrong}).to_string();
        assert_eq!(ok(&rig, "disconnect", body).await["error"]["code"], 107, "{wrong}");
    }
}

#[tokio::test]
async fn a_refresh_prolongs_or_ends() {
    let (rig, _) = rig();
    let until = Prolonged::Until(Expiry { at_unix: 1_900_000_000, by: Refresher::Client });
    for (body, expected, shown) in [
        (r#"{"user":"ann"}"#, Prolonged::ForEver, None),
        (r#"{"user":"ann","expire_at":0}"#, Prolonged::ForEver, None),
        (r#"{"user":"ann","expire_at":1900000000,"info":{"n":2}}"#, until, Some(r#"{"n":2}"#)),
        (r#"{"user":"ann","expired":true,"expire_at":1900000000}"#, Prolonged::Over, None),
    ] {
        ok(&rig, "refresh", body).await;
        let Some(Order::Refresh { expires, info, .. }) = orders(&rig, 0).pop() else { panic!("an order") };
        assert_eq!((expires, info.as_deref()), (expected, shown.map(str::as_bytes)), "{body}");
    }
}

#[tokio::test]
async fn a_user_who_is_blocked_is_disconnected() {
    let (rig, _) = rig();
    ok(&rig, "block_user", r#"{"user":"ann"}"#).await;
    assert!(matches!(orders(&rig, 0)[..], [Order::Disconnect { code: 3503, .. }]));
    assert!(matches!(orders(&rig, 1)[..], [Order::Disconnect { code: 3503, .. }]));
}

#[tokio::test]
async fn when_a_worker_takes_no_more_orders_the_call_is_to_come_again() {
    let (rig, _) = rig();
    while rig
        .surface
        .orders
        .give(
            WorkerId(1),
            Order::Unsubscribe {
                to: To { client: ClientId::random(), place: 0 },
                topic: None,
                code: UnsubscribeCode::Server,
            },
        )
        .is_ok()
    {}
    let answer = call(&rig, "disconnect", r#"{"user":"ann"}"#).await;
    assert_eq!((answer.status(), answer.code().as_str(), answer.header("retry-after")), (503, "overloaded", "1"));
    let batch = ok(&rig, "batch", r#"{"commands":[{"disconnect":{"user":"ann"}}]}"#).await;
    assert_eq!(batch["replies"][0]["error"]["code"], 111);
}
