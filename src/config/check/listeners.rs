//! Listeners whose keys contradict each other, or the address.

use hyper::Uri;
use rustls::pki_types::DnsName;

use super::super::document::Document;
use super::super::key_path::KeyPath;
use super::super::listeners::{Listen, ListenAddress};
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;
use crate::tls::{Acme, Tls};

/// The longest path of a Unix socket, without the zero at its end (unix(7)).
const LONGEST_UNIX_PATH: usize = 107;

pub(super) fn check(config: &mut Config, document: &Document<'_>, report: &mut Report<'_>) {
    // The default of `server.listen` is for those who say nothing about listeners at all.
    if !config.listeners.is_empty() && !document.has(&KeyPath::of("server").key("listen")) {
        config.server.listen.clear();
    }
    for (index, listen) in config.listeners.iter().enumerate() {
        let entry = KeyPath::of("listeners").index(index);
        address(config, index, &entry, report);
        rules(listen, &entry, report);
    }
}

fn address(config: &Config, index: usize, entry: &KeyPath, report: &mut Report<'_>) {
    let key = entry.key("address");
    let listen = &config.listeners[index];
    let short = config.server.listen.iter().any(|&one| ListenAddress::Tcp(one) == listen.address);
    let twice = short || config.listeners[..index].iter().any(|earlier| earlier.address == listen.address);
    match &listen.address {
        ListenAddress::Tcp(address) if address.port() != 0 && twice => {
            report.mistake(&key, Mistake::new(format!("`{key}`: {address} is listened on already")));
        }
        ListenAddress::Tcp(_) => {}
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) if twice => {
            report.mistake(&key, Mistake::new(format!("`{key}`: {} is listened on already", listen.address)));
        }
        ListenAddress::Unix(path) if path.as_os_str().len() > LONGEST_UNIX_PATH => {
            let mistake = Mistake::new(format!("`{key}` has a path of {} bytes", path.as_os_str().len()));
            report.mistake(&key, mistake.remark(format!("a Unix socket has at most {LONGEST_UNIX_PATH}")));
        }
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => {}
    }
}

fn rules(listen: &Listen, entry: &KeyPath, report: &mut Report<'_>) {
    if listen.surfaces.is_empty() {
        let key = entry.key("surfaces");
        report.mistake(&key, Mistake::new(format!("`{key}` is empty")).remark("nothing would be served"));
    }
    if listen.connections == Some(0) {
        let key = entry.key("connections");
        report.mistake(&key, Mistake::new(format!("`{key}` is 0")).remark("nothing would ever be let in"));
    }
    let base = &listen.base_path;
    let is_path = base.is_empty()
        || (base.starts_with('/') && base.bytes().all(|b| b.is_ascii_graphic()) && !base.contains(['?', '#', '%']));
    if !is_path {
        let key = entry.key("base_path");
        let mistake = Mistake::new(format!("`{key}`: \"{base}\" is not a path"));
        report.mistake(&key, mistake.remark("such as \"/push\", without percent signs"));
    }
    if listen.proxy_protocol && listen.trusted_proxies.is_empty() && !matches!(listen.address, ListenAddress::Unix(_)) {
        let key = entry.key("proxy_protocol");
        let mistake = Mistake::new(format!("`{key}` without `trusted_proxies`: every connection would be refused"));
        report.mistake(&key, mistake.fix("whoever may send this header says who he is: list the proxies that may"));
    }
    if listen.mode.is_some() && !matches!(listen.address, ListenAddress::Unix(_)) {
        let key = entry.key("mode");
        report.mistake(&key, Mistake::new(format!("`{key}` is for Unix sockets")).remark("take it away"));
    }
    if listen.mode_bits().is_none() {
        let key = entry.key("mode");
        let mistake = Mistake::new(format!("`{key}` is not a mode")).remark("octal, such as \"660\"");
        report.mistake(&key, mistake);
    }
    if let Some(tls) = &listen.tls {
        certificates(tls, &entry.key("tls"), report);
    }
}

fn certificates(tls: &Tls, entry: &KeyPath, report: &mut Report<'_>) {
    let key = entry.key("certificates");
    let Some(acme) = &tls.acme else {
        if tls.certificates.is_empty() {
            let mistake = Mistake::new(format!("`{key}` is empty"));
            let mistake = mistake.remark("such as [{ certificate = \"cert.pem\", key = \"key.pem\" }]");
            report.mistake(&key, mistake.fix("or let an authority issue one: `acme`"));
        }
        return;
    };
    let acme_key = entry.key("acme");
    if !cfg!(feature = "acme") {
        let mistake = Mistake::new(format!("`{acme_key}`: this program was built without it"));
        report.mistake(&acme_key, mistake.fix("build it with the feature: cargo build --release --features acme"));
        return;
    }
    if !tls.certificates.is_empty() {
        let mistake = Mistake::new(format!("`{acme_key}` beside `certificates`")).remark("one of the two");
        report.mistake(&acme_key, mistake);
    }
    if tls.client_ca.is_some() {
        let key = entry.key("client_ca");
        let mistake =
            Mistake::new(format!("`{key}` beside `acme`")).remark("the authority that checks has none of these");
        report.mistake(&key, mistake.fix("use `certificates`, or a listener of its own for such clients"));
    }
    issued(acme, &acme_key, report);
}

fn issued(acme: &Acme, entry: &KeyPath, report: &mut Report<'_>) {
    let key = entry.key("domains");
    if acme.domains.is_empty() {
        report.mistake(&key, Mistake::new(format!("`{key}` is empty")).remark("such as [\"push.example.com\"]"));
    }
    for (index, domain) in acme.domains.iter().enumerate() {
        let key = key.index(index);
        if domain.starts_with("*.") {
            let mistake = Mistake::new(format!("`{key}`: {domain} is for any name below another"));
            report
                .mistake(&key, mistake.remark("an authority checks such names in the DNS only: list them one by one"));
        } else if DnsName::try_from(domain.as_str()).is_err() || domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let mistake = Mistake::new(format!("`{key}`: \"{domain}\" is not a domain name"));
            report.mistake(&key, mistake.remark("such as \"push.example.com\", in lower case"));
        }
    }
    for (index, contact) in acme.contact.iter().enumerate() {
        let is_mail = contact.strip_prefix("mailto:").is_some_and(|address| address.contains('@'));
        if !is_mail {
            let key = entry.key("contact").index(index);
            let mistake = Mistake::new(format!("`{key}`: \"{contact}\" is not a mail address"));
            report.mistake(&key, mistake.remark("such as \"mailto:ops@example.com\""));
        }
    }
    let is_url =
        acme.directory.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("https") && url.host().is_some());
    if !is_url {
        let key = entry.key("directory");
        let mistake = Mistake::new(format!("`{key}`: \"{}\" is not a URL", acme.directory));
        report.mistake(&key, mistake.remark("it begins with https://"));
    }
}
