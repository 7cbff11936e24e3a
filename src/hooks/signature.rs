//! How the backend knows that it is the hub who calls.

use aws_lc_rs::hmac;
use hyper::header::HeaderValue;

/// Signs bodies with `hooks.secret`.
#[derive(Debug)]
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The header that carries the signature.
    pub(super) const HEADER: &str = "x-fanfare-signature";

    pub(super) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// `t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a full stop and the body. With the time in it, a call that
    /// somebody recorded is of no use to them later.
    pub(super) fn sign(&self, unix_secs: u64, body: &[u8]) -> HeaderValue {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(unix_secs.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        HeaderValue::try_from(format!("t={unix_secs},v1={hex}")).expect("invariant: digits and letters are a value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_in_the_documentation() {
        // printf '1700000000.{"client":"2f5a"}' | openssl dgst -sha256 -hmac s3cret
        let signed = Signer::new("s3cret").sign(1_700_000_000, br#"{"client":"2f5a"}"#);
        let docs = include_str!("../../docs/hooks.md");
        assert!(docs.contains(signed.to_str().unwrap()), "{signed:?}");
    }
}
