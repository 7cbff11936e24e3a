//! Several methods in one request.

use hyper::Request;
use serde_json::{Value, json};

use super::RULES;
use super::server_api::{call, ok};
use crate::api::server_api::{ANSWER_LIMIT_BYTES, BATCH_LIMIT};
use crate::api::testing::{Answered, Rig};

async fn commands(rig: &Rig, body: impl Into<String>) -> Answered {
    rig.call(Request::post("/api").header("x-api-key", "k"), body.into()).await
}

fn lines(answer: &Answered) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_batch_answers_each_command_in_order_under_its_name() {
    let rig = Rig::new(RULES);
    for parallel in [false, true] {
        let answer = ok(
            &rig,
            "batch",
            json!({"parallel": parallel, "commands": [
                {"publish": {"channel": "kept", "data": 1}},
                {"publish": {"channel": ""}},
                {"nosuch": {}},
                {"broadcast": {"channels": ["kept"], "data": 2}},
                {"channels": null},
                {"batch": {"commands": []}},
                {},
                {"info": {}, "rpc": {}},
                17,
                {"history": {"channel": "kept"}},
            ]})
            .to_string(),
        )
        .await;
        let replies = answer["replies"].as_array().unwrap();
        let codes: Vec<_> = replies.iter().map(|one| one["error"]["code"].as_u64().unwrap_or(0)).collect();
        assert_eq!(codes, [0, 107, 104, 0, 0, 107, 107, 107, 107, 0]);
        assert_eq!(replies[4], json!({"channels": {"channels": {}}}));
        assert_eq!(replies[3]["broadcast"]["responses"][0]["result"]["offset"], replies[9]["history"]["offset"]);
        assert_eq!(replies[0]["publish"]["offset"], if parallel { 3 } else { 1 });
    }
    assert_eq!(ok(&rig, "batch", "{}").await, json!({"replies": []}));
}

#[tokio::test]
async fn a_batch_takes_as_many_commands_as_its_limit() {
    let rig = Rig::new(RULES);
    let body = |count: usize| json!({"commands": vec![json!({"channels": {}}); count]}).to_string();
    assert_eq!(ok(&rig, "batch", body(BATCH_LIMIT)).await["replies"].as_array().unwrap().len(), BATCH_LIMIT);
    assert_eq!(ok(&rig, "batch", body(BATCH_LIMIT + 1)).await["error"]["code"], 107);
}

#[tokio::test]
async fn a_batch_with_large_results_refuses_the_commands_that_are_left() {
    let rig = Rig::new(RULES);
    let data = "x".repeat(60_000);
    for _ in 0..10 {
        ok(&rig, "publish", json!({"channel": "kept", "data": data}).to_string()).await;
    }
    let mut commands = vec![json!({"history": {"channel": "kept", "limit": -1}}); 20];
    commands.push(json!({"publish": {"channel": "kept", "data": 1}}));
    let answer = ok(&rig, "batch", json!({ "commands": commands }).to_string()).await;
    let codes: Vec<_> =
        answer["replies"].as_array().unwrap().iter().map(|one| one["error"]["code"].as_u64().unwrap_or(0)).collect();
    let done = ANSWER_LIMIT_BYTES.div_ceil(600_000);
    assert!(
        codes[..done - 1].iter().all(|&code| code == 0) && codes[done + 1..].iter().all(|&code| code == 111),
        "{codes:?}"
    );
    assert_eq!(ok(&rig, "history", r#"{"channel":"kept"}"#).await["result"]["offset"], 10, "the last one was not done");
}

#[tokio::test]
async fn the_old_style_answers_a_line_for_each_command() {
    let rig = Rig::new(RULES);
    let one = r#"{"method":"publish","params":{"channel":"kept","data":1}}"#;
    let answer = commands(&rig, one).await;
    assert_eq!((answer.status(), lines(&answer).len()), (200, 1));
    let body = format!("{one}\n{one}{{\"method\":\"channels\"}}\n{{\"method\":\"nosuch\"}}\n{{\"params\":{{}}}}");
    let answers = lines(&commands(&rig, body).await);
    assert_eq!(answers[1]["result"]["offset"], 3);
    assert_eq!(answers[2], json!({"result": {"channels": {}}}));
    assert_eq!((&answers[3]["error"]["code"], &answers[4]["error"]["code"]), (&json!(104), &json!(104)));
    for body in ["", "garbage", "{\"method\":\"info\"}\nx", "[]"] {
        assert_eq!(commands(&rig, body).await.code(), "bad-body", "{body}");
    }
    assert_eq!(commands(&rig, "{\"method\":\"nosuch\"}".repeat(BATCH_LIMIT)).await.status(), 200);
    assert_eq!(commands(&rig, "{\"method\":\"nosuch\"}".repeat(BATCH_LIMIT + 1)).await.status(), 400);
    assert_eq!(rig.post("/api", "{}").await.status(), 401);
    assert_eq!(rig.get("/api").await.status(), 405);
    assert_eq!(call(&rig, "batch", "[]").await.status(), 400);
}
