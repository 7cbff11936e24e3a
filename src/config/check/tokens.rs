//! Keys of tokens that are of no use, and rules that no token could meet.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::files::Files;
use super::report::Report;
use crate::identity::{Family, Key, KeyError, Keys};

/// Asked more often, whoever serves the keys would be busy with it.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Clocks that differ by more are broken, and a token of a day ago is no mistake of a clock.
const LONGEST_LEEWAY: Duration = Duration::from_secs(3600);

/// A shorter secret can be guessed from one token, by trying (RFC 7518 §3.2 wants as many bytes as the hash has).
const SHORTEST_SECRET_BYTES: usize = 32;

impl Files<'_> {
    /// Makes the paths of keys absolute, reads each key once, and tells what is of no use.
    pub(super) fn token_keys(&self, config: &mut Config, report: &mut Report<'_>) {
        let list = KeyPath::of("tokens").key("keys");
        for (index, entry) in config.tokens.keys.iter_mut().enumerate() {
            let paths: [&mut Option<PathBuf>; 2] = [&mut entry.secret_file, &mut entry.public_key_file];
            paths.into_iter().flatten().for_each(|path| self.resolve(path));
            let at = list.index(index);
            if let Err(error) = Key::read(entry) {
                let written = [
                    ("secret", entry.secret.is_some()),
                    ("secret_file", entry.secret_file.is_some()),
                    ("public_key", entry.public_key.is_some()),
                    ("public_key_file", entry.public_key_file.is_some()),
                ];
                let path = match (&error, written.into_iter().find(|(_, there)| *there)) {
                    (KeyError::NotOneSource, _) | (_, None) => at,
                    (_, Some((key, _))) => at.key(key),
                };
                report.mistake(&path, Mistake::new(format!("`{path}`: {error}")));
                continue;
            }
            if entry.algorithm.family() == Family::Secret
                && entry.secret.as_ref().is_some_and(|secret| secret.len() < SHORTEST_SECRET_BYTES)
            {
                let path = at.key("secret");
                let what = format!(
                    "`{path}` has fewer than {SHORTEST_SECRET_BYTES} bytes: whoever has a token may guess it; \
                     `openssl rand -hex 32` makes one"
                );
                report.warn(&path, &what);
            }
        }
    }
}

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let section = KeyPath::of("tokens");
    let tokens = &config.tokens;
    let list = section.key("keys");
    if tokens.keys.len() > Keys::MOST {
        let mistake = Mistake::new(format!("`{list}` has {} entries", tokens.keys.len()));
        report.mistake(&list, mistake.remark(format!("at most {}: a token may be tried with each", Keys::MOST)));
    }
    for (index, entry) in tokens.keys.iter().enumerate() {
        let Some(id) = &entry.id else { continue };
        let path = list.index(index).key("id");
        if id.is_empty() {
            report.mistake(&path, Mistake::new(format!("`{path}` is empty")).remark("leave it out"));
        } else if tokens.keys[..index].iter().any(|earlier| earlier.id.as_ref() == Some(id)) {
            let mistake = Mistake::new(format!("`{path}`: another key has the id {id:?}"));
            report.mistake(&path, mistake.remark("tokens name a key by it"));
        }
    }
    for (key, value) in [("audience", &tokens.audience), ("issuer", &tokens.issuer)] {
        if value.as_ref().is_some_and(String::is_empty) {
            let path = section.key(key);
            report.mistake(&path, Mistake::new(format!("`{path}` is empty")).remark("no token would be for it"));
        }
    }
    if tokens.jwks_refresh.0 < SHORTEST_REFRESH {
        let path = section.key("jwks_refresh");
        let mistake = Mistake::new(format!("`{path}` is {}", tokens.jwks_refresh));
        report.mistake(&path, mistake.remark("at least 1s; a key that is not known yet is asked for early"));
    }
    if tokens.leeway.0 > LONGEST_LEEWAY {
        let path = section.key("leeway");
        let mistake = Mistake::new(format!("`{path}` is {}", tokens.leeway));
        report.mistake(&path, mistake.remark("at most 1h: tokens would be good for so long after their end"));
    }
    if let Some(url) = &tokens.jwks_url {
        fetched_from(url, &section.key("jwks_url"), report);
    }
}

fn fetched_from(url: &str, path: &KeyPath, report: &mut Report<'_>) {
    let parsed = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let scheme = parsed.as_ref().and_then(Uri::scheme_str);
    let has_user = parsed.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().contains('@'));
    if has_user || !matches!(scheme, Some("http" | "https")) {
        let mistake = Mistake::new(format!("`{path}` is not the URL of a key set"));
        report.mistake(path, mistake.remark("such as \"https://auth.example.com/.well-known/jwks.json\""));
        return;
    }
    let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if scheme == Some("http") && !is_here {
        let what = format!(
            "`{path}` is not https: whoever is between the hub and {host} can put in a key of their own, and be anyone"
        );
        report.warn(path, &what);
    }
}
