//! Centrifugo's proxies: `[hooks]`.

use std::collections::BTreeSet;

use super::conversion::Conversion;
use super::note::NoteKind;
use crate::config::Span;

/// Where each proxy is configured, the hook it becomes, and whether it has to be switched on.
const PROXIES: [(&str, &str, bool); 6] = [
    ("client.proxy.connect", "connect", true),
    ("client.proxy.refresh", "refresh", true),
    ("channel.proxy.subscribe", "subscribe", false),
    ("channel.proxy.publish", "publish", false),
    ("channel.proxy.sub_refresh", "sub_refresh", false),
    ("rpc.proxy", "rpc", false),
];

pub(super) fn convert(of: &mut Conversion) {
    let mut timeouts: Vec<(String, Span)> = Vec::new();
    let mut headers = Headers::default();
    for (path, hook, has_switch) in PROXIES {
        let switch = format!("{path}.enabled");
        let all = of.leaves.under(path);
        if has_switch && !of.boolean(&switch) {
            of.note_all(NoteKind::Settled, path, "this proxy is not enabled");
            continue;
        }
        let endpoint = format!("{path}.endpoint");
        let asked = match of.text(&endpoint) {
            None => Err("this proxy has no endpoint".to_owned()),
            Some(url) if url.starts_with("grpc://") => {
                Err("backends are asked over HTTP only, not over gRPC".to_owned())
            }
            Some(url) => of.draft.put("hooks", hook, url),
        };
        if let Err(why) = asked {
            // Not for what was never mentioned.
            if has_switch || !all.is_empty() {
                of.note(NoteKind::Missing, &endpoint, why);
            }
            if has_switch {
                of.note(NoteKind::Missing, &switch, "this proxy has no URL that can be asked");
            }
            of.note_all(NoteKind::Missing, path, "this proxy has no URL that can be asked");
            continue;
        }
        let key = format!("{path}.timeout");
        if let Some(timeout) = of.span(&key) {
            timeouts.push((key, timeout));
        }
        headers.read(of, path);
        of.note_all(NoteKind::Missing, path, "hooks have no such key");
    }
    if let Some(longest) = timeouts.iter().map(|(_, timeout)| *timeout).max() {
        for (key, timeout) in &timeouts {
            let kind = if *timeout == longest { NoteKind::Settled } else { NoteKind::Differs };
            of.note(kind, key, format!("all hooks have one timeout, the longest: {longest}"));
        }
        of.put(&timeouts[0].0.clone(), "hooks", "timeout", longest.to_string());
    }
    headers.write(of);
}

/// Which headers are passed on, over all proxies.
#[derive(Default)]
struct Headers {
    sets: Vec<[BTreeSet<String>; 2]>,
    keys: Vec<[String; 2]>,
}

const LISTS: [(&str, &str); 2] = [("http_headers", "headers"), ("emulated_headers", "emulated_headers")];

impl Headers {
    fn read(&mut self, of: &mut Conversion, path: &str) {
        let paths = LISTS.map(|(theirs, _)| format!("{path}.{theirs}"));
        let sets = paths.each_ref().map(|path| {
            let lower = of.texts(path).into_iter().map(|name| name.to_ascii_lowercase());
            lower.collect::<BTreeSet<_>>()
        });
        self.sets.push(sets);
        self.keys.push(paths);
    }

    fn write(self, of: &mut Conversion) {
        for (list, (_, ours)) in LISTS.into_iter().enumerate() {
            let mut all: BTreeSet<String> = self.sets.iter().flat_map(|sets| sets[list].iter().cloned()).collect();
            // One that cannot be passed on must not take the others with it.
            for name in all.clone() {
                if let Err(why) = of.draft.put("hooks", ours, vec![name.clone()]) {
                    all.remove(&name);
                    for (sets, keys) in self.sets.iter().zip(&self.keys).filter(|(sets, _)| sets[list].contains(&name))
                    {
                        let _ = sets;
                        of.note(NoteKind::Missing, &keys[list], why.clone());
                    }
                }
            }
            of.draft.remove("hooks", ours);
            if all.is_empty() {
                continue;
            }
            for (sets, keys) in self.sets.iter().zip(&self.keys) {
                let (kind, why) = match sets[list] == all {
                    true => (NoteKind::Settled, "all hooks get these headers"),
                    false => (NoteKind::Differs, "all hooks get the same headers: more than this proxy was to get"),
                };
                of.note(kind, &keys[list], why);
            }
            let key = self.keys[0][list].clone();
            of.put(&key, "hooks", ours, all.into_iter().collect::<Vec<_>>());
        }
    }
}
