//! Any message to an endpoint that renders JSON through a template: refused to its sender, or published escaped.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use fanfare::config::Endpoint;
use fanfare::session::{Behaviour, Effect, Session};
use fanfare::ws::Message;
use libfuzzer_sys::fuzz_target;

static CHAT: LazyLock<[Behaviour; 1]> = LazyLock::new(|| {
    let template = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/tutorials/chat-room/message.html"));
    let endpoint = Endpoint {
        path: "/chat".into(),
        topic: Some("chat".into()),
        template: Some(template),
        fields: vec!["uid".into(), "message".into()],
        ..Endpoint::default()
    };
    [Behaviour::compile(&endpoint).expect("the tutorial's template")]
});

fuzz_target!(|text: &str| {
    let effects = Session::Endpoint { index: 0 }.receive(&Message::Text(text), &*CHAT);
    assert_eq!(effects.len(), 1);
    match &effects[0] {
        Effect::Publish(draft) => {
            let html = String::from_utf8(draft.payload().to_vec()).expect("text");
            assert!(!html.contains("<script"), "{html}");
        }
        Effect::Refuse(..) => {}
        other => panic!("{other:?}"),
    }
});
