//! Files that the configuration names: found relative to it, there, and usable.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::key_path::KeyPath;
use super::super::listeners::ListenAddress;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;
use crate::tls::{self, Identity};

/// Where relative paths start from.
#[derive(Debug)]
pub(in super::super) struct Files<'a> {
    pub(in super::super) directory: &'a Path,
}

impl Files<'_> {
    /// Makes every path absolute to the directory, adds the keys of `api.keys_file`, and tells what cannot be used.
    pub(super) fn check(&self, config: &mut Config, report: &mut Report<'_>) {
        self.api_keys(config, report);
        self.token_keys(config, report);
        self.hooks(config, report);
        for (index, listen) in config.listeners.iter_mut().enumerate() {
            let entry = KeyPath::of("listeners").index(index);
            if let ListenAddress::Unix(path) = &mut listen.address {
                self.resolve(path);
            }
            let Some(tls) = &mut listen.tls else { continue };
            let before = report.mistakes.len();
            let tls_key = entry.key("tls");
            for (index, one) in tls.certificates.iter_mut().enumerate() {
                let key = tls_key.key("certificates").index(index);
                for (name, path) in [("certificate", &mut one.certificate), ("key", &mut one.key)] {
                    self.resolve(path);
                    kind(path, &key.key(name), Kind::File, report);
                }
            }
            if let Some(path) = &mut tls.client_ca {
                self.resolve(path);
                kind(path, &tls_key.key("client_ca"), Kind::File, report);
            }
            if let Some(acme) = &mut tls.acme {
                let key = tls_key.key("acme");
                self.resolve(&mut acme.cache);
                // It need not be there yet.
                if acme.cache.exists() && !acme.cache.is_dir() {
                    let key = key.key("cache");
                    let mistake = Mistake::new(format!("`{key}`: {} is a file", acme.cache.display()));
                    report.mistake(&key, mistake.remark("a directory is needed here"));
                }
                if let Some(path) = &mut acme.directory_ca {
                    self.resolve(path);
                    kind(path, &key.key("directory_ca"), Kind::File, report);
                }
            }
            // Read once, so that what is no certificate is told now and not to the first client.
            if report.mistakes.len() == before
                && let Err(error) = Identity::check(tls)
            {
                report.mistake(&tls_key, Mistake::new(format!("`{tls_key}`: {error}")));
            }
        }
        if config.keeps_on_disk() {
            let key = KeyPath::of("history").key("path");
            self.resolve(&mut config.history.path);
            // It need not be there yet, but its directory must.
            match config.history.path.parent() {
                Some(directory) if !config.history.path.is_dir() => {
                    kind(directory, &key, Kind::Directory, report);
                }
                Some(_) | None => {
                    let mistake = Mistake::new(format!("`{key}`: {} is a directory", config.history.path.display()));
                    report.mistake(&key, mistake.remark("the name of a file is needed here"));
                }
            }
        }
        for (index, endpoint) in config.endpoints.iter_mut().enumerate() {
            let key = KeyPath::of("endpoints").index(index).key("template");
            if let Some(path) = &mut endpoint.template {
                self.resolve(path);
                template(path, &key, report);
            }
        }
        for (index, page) in config.pages.iter_mut().enumerate() {
            let entry = KeyPath::of("pages").index(index);
            if let Some(path) = &mut page.file {
                self.resolve(path);
                kind(path, &entry.key("file"), Kind::File, report);
            }
            if let Some(path) = &mut page.directory {
                self.resolve(path);
                kind(path, &entry.key("directory"), Kind::Directory, report);
            }
        }
    }

    /// Takes the secret from `hooks.secret_file`, and reads the authorities once, so that what is none is told now.
    fn hooks(&self, config: &mut Config, report: &mut Report<'_>) {
        let section = KeyPath::of("hooks");
        if let Some(path) = &mut config.hooks.ca_file {
            self.resolve(path);
            let key = section.key("ca_file");
            if kind(path, &key, Kind::File, report)
                && let Err(error) = tls::authorities(path)
            {
                report.mistake(&key, Mistake::new(format!("`{key}`: {error}")));
            }
        }
        let Some(path) = &mut config.hooks.secret_file else { return };
        self.resolve(path);
        let key = section.key("secret_file");
        let Some(text) = read(path, &key, report) else { return };
        let secret = text.trim();
        if secret.is_empty() {
            report.mistake(&key, Mistake::new(format!("`{key}`: {} is empty", path.display())));
        }
        config.hooks.secret = Some(secret.to_owned());
    }

    pub(super) fn resolve(&self, path: &mut PathBuf) {
        let joined = self.directory.join(&*path);
        // Absolute, so that it means the same wherever the process goes, and wherever `fanfare config` prints it to.
        // Only an empty path, or a working directory that is gone, has no absolute one.
        *path = std::path::absolute(&joined).unwrap_or(joined);
    }

    fn api_keys(&self, config: &mut Config, report: &mut Report<'_>) {
        let api = KeyPath::of("api");
        for (index, key) in config.api.keys.iter().enumerate() {
            if key.trim().is_empty() || key.trim() != key {
                // An empty key would let in everyone who sends an empty header.
                let path = api.key("keys").index(index);
                let mistake = Mistake::new(format!("`{path}` is empty, or has space around it"));
                report.mistake(&path, mistake.fix("a header cannot carry such a key"));
            }
        }
        let Some(path) = &mut config.api.keys_file else { return };
        self.resolve(path);
        let place = api.key("keys_file");
        let Some(text) = read(path, &place, report) else { return };
        let keys = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let before = config.api.keys.len();
        config.api.keys.extend(keys.map(str::to_owned));
        if config.api.keys.len() == before {
            let mistake = Mistake::new(format!("`{place}`: {} has no key", path.display()));
            report.mistake(&place, mistake.remark("one key per line"));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

fn kind(path: &Path, key: &KeyPath, wanted: Kind, report: &mut Report<'_>) -> bool {
    let mistake = match fs::metadata(path) {
        Err(error) => Mistake::new(format!("`{key}`: {}: {error}", path.display())).remark(existing_part(path)),
        Ok(found) if found.is_dir() && wanted == Kind::File => {
            Mistake::new(format!("`{key}`: {} is a directory", path.display())).remark("a file is needed here")
        }
        Ok(found) if !found.is_dir() && wanted == Kind::Directory => {
            Mistake::new(format!("`{key}`: {} is a file", path.display())).remark("did you mean `file`?")
        }
        Ok(_) => return true,
    };
    report.mistake(key, mistake.fix("relative paths start at the directory of the configuration file"));
    false
}

/// The part of `path` that is there: what a person checks first.
fn existing_part(path: &Path) -> String {
    match path.ancestors().skip(1).find(|part| part.is_dir() && !part.as_os_str().is_empty()) {
        Some(part) => format!("not found; {} is there", part.display()),
        None => "not found".to_owned(),
    }
}

fn read(path: &Path, key: &KeyPath, report: &mut Report<'_>) -> Option<String> {
    if !kind(path, key, Kind::File, report) {
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            report.mistake(key, Mistake::new(format!("`{key}`: {}: {error}", path.display())));
            None
        }
    }
}

/// Compiles the template once, so that a slip in it is told now and not to the first client.
fn template(path: &Path, key: &KeyPath, report: &mut Report<'_>) {
    let Some(text) = read(path, key, report) else { return };
    let mut environment = minijinja::Environment::new();
    if let Err(error) = environment.add_template("template", &text) {
        let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
        let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        let mistake = Mistake::new(format!("`{key}`: {}{line}: {detail}", path.display()));
        report.mistake(key, mistake.remark("not a template"));
    }
}
