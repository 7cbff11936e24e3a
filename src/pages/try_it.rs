//! The page at `/`: one file, embedded, that uses nothing from anywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

/// The page.
pub(super) const HTML: &str = include_str!("try_it.html");

/// The `Content-Security-Policy` of the page for a request: its own scripts by hash and connections to this host, and
/// nothing else.
///
/// The host is named for WebSockets, because older browsers take `'self'` for the page's own scheme only.
pub(super) fn policy(html: &str, head: &Parts) -> String {
    let scripts: String =
        scripts(html).map(|script| format!(" 'sha256-{}'", BASE64.encode(Sha256::digest(script)))).collect();
    let host = head.headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok());
    let sockets = host.filter(|host| is_plain(host)).map(|host| format!(" ws://{host} wss://{host}"));
    format!(
        "default-src 'none'; script-src{}; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'{}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        if scripts.is_empty() { " 'none'" } else { &scripts },
        sockets.unwrap_or_default(),
    )
}

/// The contents of the page's script elements.
fn scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('>')?;
        Some(rest.split_once("</script>")?.0)
    })
}

/// A host name or IPv4 address, perhaps with a port: nothing that could end the directive it stands in. (A policy cannot
/// name an IPv6 address.)
fn is_plain(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn policy_for(html: &str, host: &str) -> String {
        policy(html, &Request::get("/").header("host", host).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn scripts_are_allowed_by_their_hash_only() {
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let policy = policy_for("<p><script type=module>alert(1)</script>", "localhost");
        assert!(policy.contains("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"), "{policy}");
        assert!(policy_for("<p>", "localhost").contains("script-src 'none';"));
    }

    #[test]
    fn a_host_cannot_add_to_the_policy() {
        assert!(
            policy_for("", "localhost:8000").contains("connect-src 'self' ws://localhost:8000 wss://localhost:8000;")
        );
        for host in ["a; script-src *", "a b", "[::1]:8000", "a,b", "a'b"] {
            assert!(policy_for("", host).contains("connect-src 'self';"), "{host}");
        }
    }

    #[test]
    fn the_page_has_no_inline_handlers_which_its_policy_would_block() {
        let lower = HTML.to_ascii_lowercase();
        for handler in [" onclick=", " onload=", " onsubmit=", " oninput=", " onchange=", " onkeydown=", "javascript:"]
        {
            assert!(!lower.contains(handler), "{handler}");
        }
    }
}
