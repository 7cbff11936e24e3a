//! The files of `config/tutorials/` load, and say what each tutorial is about.

use std::path::{Path, PathBuf};

use crate::config::{Config, Endpoint, Loaded, PublishRule, Span};

fn tutorial(name: &str) -> Loaded {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tutorials").join(name);
    let loaded = Config::load(Some(&file), std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, Vec::<String>::new(), "{name}");
    assert_eq!(loaded.config.server.listen, ["127.0.0.1:8000".parse().unwrap()], "{name}");
    loaded
}

fn endpoint(loaded: &Loaded) -> &Endpoint {
    let [endpoint] = &loaded.config.endpoints[..] else { panic!("one endpoint each") };
    endpoint
}

#[test]
fn echo_answers_in_chinese_and_logs_what_happens() {
    let loaded = tutorial("echo.toml");
    let expected = Endpoint {
        path: "/websocket".into(),
        reply: Some("你发送的消息是：{message}".into()),
        log_lifecycle: true,
        ..Endpoint::default()
    };
    assert_eq!(*endpoint(&loaded), expected);
    assert_eq!(loaded.config.pages[0].text.as_deref(), Some("WebSocket example"));
}

#[test]
fn handler_pings_every_second_and_lets_in_its_own_page() {
    let loaded = tutorial("handler.toml");
    let expected = Endpoint {
        path: "/socket/".into(),
        reply: Some("You said: {message}".into()),
        ping_interval: Some(Span::secs(1)),
        origins: Some(vec!["http://localhost:8000".into()]),
        log_lifecycle: true,
        ..Endpoint::default()
    };
    assert_eq!(*endpoint(&loaded), expected);
}

#[test]
fn chat_room_identifies_replays_and_renders_and_nobody_passes_by_its_template() {
    let loaded = tutorial("chat-room.toml");
    let endpoint = endpoint(&loaded);
    assert!(endpoint.identify && endpoint.replay);
    assert_eq!((endpoint.path.as_str(), endpoint.topic.as_deref()), ("/chat", Some("chat")));
    assert_eq!(endpoint.fields, ["uid", "message"]);
    let rules = loaded.config.rules_for("chat").unwrap();
    assert!(rules.history.size > 0);
    assert_eq!(rules.publish, PublishRule::Api);
}

#[test]
fn the_template_of_the_chat_room_escapes_what_people_write() {
    let loaded = tutorial("chat-room.toml");
    let text = std::fs::read_to_string(endpoint(&loaded).template.as_ref().unwrap()).unwrap();
    let mut environment = minijinja::Environment::new();
    environment.add_template("message.html", &text).unwrap();
    let message = minijinja::context! { uid => "\"><b>", message => "<script>alert(1)</script>" };
    let html = environment.get_template("message.html").unwrap().render(message).unwrap();
    assert!(html.starts_with("<div") && html.trim_end().ends_with("</div>"), "{html}");
    assert!(!html.contains("<script") && !html.contains("<b>") && html.contains("&lt;script"), "{html}");
}

#[test]
fn announcements_tell_everyone_who_comes_and_goes() {
    let loaded = tutorial("announcements.toml");
    let endpoint = endpoint(&loaded);
    assert_eq!(endpoint.path, "/socket");
    assert!(endpoint.topic.is_some());
    assert_eq!(endpoint.announce.join.as_deref(), Some("Server: A new user has entered the chat room."));
    assert_eq!(endpoint.announce.leave.as_deref(), Some("Server: A user has left the chat room."));
    assert!(loaded.config.pages[0].text.is_some());
}

#[test]
fn welcome_greets_first_and_lets_in_localhost() {
    let loaded = tutorial("welcome.toml");
    let expected = Endpoint {
        path: "/ws".into(),
        welcome: Some("Welcome to the WebSocket server!".into()),
        reply: Some("You said: {message}".into()),
        origins: Some(vec!["http://localhost".into()]),
        ..Endpoint::default()
    };
    assert_eq!(*endpoint(&loaded), expected);
}
