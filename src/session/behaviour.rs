//! What an endpoint of the configuration does, compiled once.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde_json::{Map, Value};

use super::session::{Effect, Effects};
use crate::config::Endpoint;
use crate::hub::{Draft, Kind, TopicName};
use crate::protocol::{self, Encoding, Notice};
use crate::refusal::Refusal;
use crate::ws;

/// What an endpoint of the configuration does. One per `[[endpoints]]` entry, shared by all workers.
#[derive(Debug)]
pub struct Behaviour {
    /// The topic its clients join and publish to.
    pub topic: Option<TopicName>,
    /// Whether a fresh id is sent first.
    pub identify: bool,
    /// The frame of the welcome text.
    pub welcome: Option<Bytes>,
    /// Whether the topic's history follows.
    pub replay: bool,
    /// Published when a client comes.
    pub join: Option<Draft>,
    /// Published when a client goes.
    pub leave: Option<Draft>,
    /// Whether each connection's life is logged at `info`.
    pub log_lifecycle: bool,
    /// The path, for the log.
    pub path: String,
    reply: Option<Reply>,
    render: Option<Render>,
    fields: Vec<String>,
}

/// `"You said: {message}"`, taken apart once. Without `{message}` the whole text stands before.
#[derive(Debug)]
struct Reply {
    before: String,
    after: Option<String>,
}

#[derive(Debug)]
struct Render {
    environment: Environment<'static>,
}

/// The one template of a [`Render`]: the name ends in `.html`, which is what turns escaping on.
const TEMPLATE: &str = "message.html";

/// An endpoint that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The template file cannot be read.
    #[error("endpoints \"{path}\": template {}: {source}", file.display())]
    TemplateFile {
        /// The endpoint.
        path: String,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The template has a mistake.
    #[error("endpoints \"{path}\": template {}: {source}", file.display())]
    Template {
        /// The endpoint.
        path: String,
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: minijinja::Error,
    },
    /// The topic's name is not one.
    #[error("endpoints \"{path}\": topic: {source}")]
    Topic {
        /// The endpoint.
        path: String,
        /// Why.
        source: crate::hub::BadTopicName,
    },
}

impl Behaviour {
    /// Reads and checks everything that `endpoint` needs. Does file I/O: call at start.
    pub fn compile(endpoint: &Endpoint) -> Result<Self, CompileError> {
        let path = endpoint.path.clone();
        let topic = endpoint.topic.as_deref().map(TopicName::new).transpose();
        let topic = topic.map_err(|source| CompileError::Topic { path: path.clone(), source })?;
        let render = match &endpoint.template {
            None => None,
            Some(file) => Some(Render::from_file(&path, file)?),
        };
        let mut fields = endpoint.fields.clone();
        if render.is_some() && fields.is_empty() {
            fields = vec!["uid".to_owned(), "message".to_owned()];
        }
        Ok(Self {
            topic,
            identify: endpoint.identify,
            welcome: endpoint.welcome.as_deref().map(ws::frame::text),
            replay: endpoint.replay,
            join: endpoint.announce.join.as_deref().map(Draft::text),
            leave: endpoint.announce.leave.as_deref().map(Draft::text),
            log_lifecycle: endpoint.log_lifecycle,
            reply: endpoint.reply.as_deref().map(Reply::new),
            render,
            fields,
            path,
        })
    }

    /// What a message makes happen: the answer to its sender, then the publication.
    pub(super) fn receive(&self, kind: Kind, payload: &[u8], effects: &mut Effects) {
        let published = match self.publication(kind, payload) {
            Ok(published) => published,
            Err(problem) => {
                let refusal = Refusal::BadMessage;
                let error = protocol::error_json(refusal.code(), &problem);
                effects.push(Effect::Refuse(refusal, protocol::notice(Encoding::Plain, Notice::Error, &error)));
                return;
            }
        };
        if let Some(reply) = &self.reply {
            effects.push(Effect::Reply(reply.answer(kind, payload)));
        }
        if self.topic.is_some() {
            effects.push(Effect::Publish(published.unwrap_or_else(|| Draft::new(kind, payload))));
        }
    }

    /// The checked and rendered message, if this endpoint asks for JSON; `None` if it goes as it is.
    fn publication(&self, kind: Kind, payload: &[u8]) -> Result<Option<Draft>, String> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        if kind == Kind::Binary {
            return Err("a JSON text message is expected here, not a binary one".to_owned());
        }
        let message = self.checked(payload)?;
        match &self.render {
            None => Ok(None),
            Some(render) => match render.render(&message) {
                Ok(html) => Ok(Some(Draft::text(&html))),
                Err(error) => Err(format!("the message cannot be rendered: {}", error.kind())),
            },
        }
    }

    fn checked(&self, payload: &[u8]) -> Result<Map<String, Value>, String> {
        let example = || {
            let fields: Vec<_> = self.fields.iter().map(|field| format!("\"{field}\":\"…\"")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let value: Value =
            serde_json::from_slice(payload).map_err(|error| format!("not valid JSON: {error}; send {}", example()))?;
        let Value::Object(message) = value else {
            return Err(format!("a JSON object is expected; send {}", example()));
        };
        for field in &self.fields {
            match message.get(field) {
                Some(Value::String(_)) => {}
                Some(_) => return Err(format!("\"{field}\" must be a string; send {}", example())),
                None => return Err(format!("\"{field}\" is missing; send {}", example())),
            }
        }
        Ok(message)
    }
}

impl Reply {
    fn new(template: &str) -> Self {
        match template.split_once("{message}") {
            Some((before, after)) => Self { before: before.to_owned(), after: Some(after.to_owned()) },
            None => Self { before: template.to_owned(), after: None },
        }
    }

    /// Text is answered with text, binary with binary.
    fn answer(&self, kind: Kind, payload: &[u8]) -> Bytes {
        let mut answer =
            Vec::with_capacity(self.before.len() + payload.len() + self.after.as_deref().map_or(0, str::len));
        answer.extend_from_slice(self.before.as_bytes());
        if let Some(after) = &self.after {
            answer.extend_from_slice(payload);
            answer.extend_from_slice(after.as_bytes());
        }
        protocol::plain_frame(kind, &answer)
    }
}

impl Render {
    fn from_file(path: &str, file: &PathBuf) -> Result<Self, CompileError> {
        let source = std::fs::read_to_string(file).map_err(|source| CompileError::TemplateFile {
            path: path.to_owned(),
            file: file.clone(),
            source,
        })?;
        Self::new(source).map_err(|source| CompileError::Template { path: path.to_owned(), file: file.clone(), source })
    }

    fn new(source: String) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // Escaped whatever the file is called: what is rendered goes to browsers.
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_template_owned(TEMPLATE, source)?;
        Ok(Self { environment })
    }

    fn render(&self, message: &Map<String, Value>) -> Result<String, minijinja::Error> {
        let template = self.environment.get_template(TEMPLATE)?;
        template.render(minijinja::Value::from(Serde(message))).map(|html| html.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::ws::Message;

    fn chat(template: &str) -> Behaviour {
        let mut chat = Behaviour::compile(&Endpoint { topic: Some("chat".into()), ..Endpoint::default() }).unwrap();
        chat.render = Some(Render::new(template.to_owned()).unwrap());
        chat.fields = vec!["uid".into(), "message".into()];
        chat
    }

    fn say(behaviour: Behaviour, message: &Message<'_>) -> Vec<Effect> {
        Session::Endpoint { index: 0 }.receive(message, &[behaviour]).into_vec()
    }

    #[test]
    fn a_reply_template_answers_text_with_text_and_binary_with_binary() {
        let endpoint = Endpoint { reply: Some("You said: {message}!".into()), ..Endpoint::default() };
        let [Effect::Reply(text)] = &say(Behaviour::compile(&endpoint).unwrap(), &Message::Text("hé"))[..] else {
            panic!("one reply")
        };
        assert_eq!(&text[..2], [0x81, 14]);
        assert_eq!(&text[2..], "You said: hé!".as_bytes());
        let [Effect::Reply(binary)] = &say(Behaviour::compile(&endpoint).unwrap(), &Message::Binary(b"\xff"))[..]
        else {
            panic!("one reply")
        };
        assert_eq!(&binary[..], b"\x82\x0cYou said: \xff!");
    }

    #[test]
    fn what_a_message_carries_is_escaped() {
        let effects = say(
            chat("<p id=\"{{ uid }}\">{{ message }}</p>\n"),
            &Message::Text(r#"{"uid":"\"><b>","message":"<script>alert(1)</script>"}"#),
        );
        let [Effect::Publish(draft)] = &effects[..] else { panic!("{effects:?}") };
        let html = String::from_utf8(draft.payload().to_vec()).unwrap();
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }

    #[test]
    fn what_is_not_the_json_asked_for_gets_an_error_that_says_why_and_is_published_to_nobody() {
        for (message, why) in [
            ("{\"uid\":", "not valid JSON"),
            ("[1]", "a JSON object is expected"),
            ("{\"uid\":\"1\"}", "\\\"message\\\" is missing"),
            ("{\"uid\":1,\"message\":\"x\"}", "\\\"uid\\\" must be a string"),
        ] {
            let effects = say(chat("{{ message }}"), &Message::Text(message));
            let [Effect::Refuse(Refusal::BadMessage, frame)] = &effects[..] else { panic!("{effects:?}") };
            let text = String::from_utf8_lossy(frame);
            assert!(text.contains("bad-message") && text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_template_that_names_what_is_not_there_says_so_instead_of_printing_nothing() {
        let effects = say(chat("{{ nobody }}"), &Message::Text(r#"{"uid":"1","message":"x"}"#));
        let [Effect::Refuse(_, frame)] = &effects[..] else { panic!("{effects:?}") };
        assert!(String::from_utf8_lossy(frame).contains("cannot be rendered"));
    }

    #[test]
    fn a_message_is_answered_and_published_when_both_are_asked_for() {
        let endpoint = Endpoint { reply: Some("ok".into()), topic: Some("room".into()), ..Endpoint::default() };
        let effects = say(Behaviour::compile(&endpoint).unwrap(), &Message::Text("x"));
        assert!(matches!(&effects[..], [Effect::Reply(_), Effect::Publish(_)]), "{effects:?}");
    }
}
