//! Any answer of a backend to any hook: refused, or JSON that was understood as it was written, and never more than it said.
#![no_main]

use fanfare::hooks::{
    Answer, Ask, ConnectRequest, Ended, Payload, PublishRequest, RefreshRequest, RpcRequest, SubRefreshRequest,
    SubscribeRequest, SubscribeResult,
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// The result, if there is one. What else may be answered is within its bounds.
fn result<A: Ask>(body: &[u8]) -> Option<A::Result> {
    let answer = A::parse(body).ok()?;
    serde_json::from_slice::<&RawValue>(body).expect("what was understood is JSON");
    assert_eq!(body.trim_ascii_start().first(), Some(&b'{'), "an answer is an object");
    match answer {
        Answer::Result(result) => return Some(result),
        Answer::Error(refused) => assert_ne!(refused.code, 0),
        Answer::Disconnect(ended) => {
            assert!((3000..=4999).contains(&ended.code) && ended.reason.len() <= Ended::REASON_BYTES);
        }
        Answer::Failed(failure) => panic!("an answer is not a failure: {failure}"),
    }
    None
}

fn verbatim(body: &[u8], json: &[u8]) {
    serde_json::from_slice::<&RawValue>(json).expect("JSON inside JSON");
    assert!(body.windows(json.len()).any(|window| window == json), "as it was written");
}

fn payload(body: &[u8], payload: Option<Payload>) {
    match payload {
        None | Some(Payload::Binary(_)) => {}
        Some(Payload::Json(json)) => verbatim(body, &json),
    }
}

fn subscription(body: &[u8], result: SubscribeResult) {
    payload(body, result.info);
    payload(body, result.data);
    assert_ne!(result.expire_at, Some(0));
}

fuzz_target!(|body: &[u8]| {
    if let Some(result) = result::<ConnectRequest>(body) {
        payload(body, result.info);
        payload(body, result.data);
        result.meta.iter().for_each(|meta| verbatim(body, meta));
        result.subs.into_values().for_each(|sub| subscription(body, sub));
    }
    let refresh = result::<RefreshRequest>(body);
    let sub_refresh = result::<SubRefreshRequest>(body);
    assert_eq!(
        refresh.as_ref().map(|one| (one.expired, one.expire_at)),
        sub_refresh.map(|one| (one.expired, one.expire_at))
    );
    if let Some(result) = refresh {
        payload(body, result.info);
        result.meta.iter().for_each(|meta| verbatim(body, meta));
    }
    if let Some(result) = result::<SubscribeRequest>(body) {
        subscription(body, result);
    }
    if let Some(result) = result::<PublishRequest>(body) {
        payload(body, result.data);
    }
    if let Some(result) = result::<RpcRequest>(body) {
        payload(body, result.data);
    }
});
